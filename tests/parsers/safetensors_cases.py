"""safetensors files, well formed and not, with the decision on each.

A ``§`` in a header marks where the error has to point; it is taken out before the file is written.
The Rust package ``safetensors`` is asked about every case in ``tests/parsers/test_safetensors.py``.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tests.builders import safetensors, tensor, u64

MARK = "§"
GOOD = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


@dataclass(frozen=True)
class Case:
    """One file and what has to be said about it."""

    id: str
    data: bytes
    code: str = ""
    """Code (without ``safetensors/``) of the first error, or note if it loads; empty: none."""
    offset: int = 0
    loads: bool = True
    """Whether a finding is at most a warning."""


def _case(name: str, header: str, data: int = 4, code: str = "", *, loads: bool = False) -> Case:
    before, mark, after = header.partition(MARK)
    offset = 8 + len(before.encode()) if mark else 0
    return Case(name, safetensors(before + after, data), code, offset, loads or not code)


def _one(name: str, fields: str, data: int = 4, code: str = "", *, loads: bool = False) -> Case:
    return _case(name, '{"a":' + fields + "}", data, code, loads=loads)


def _well_formed() -> Iterator[Case]:
    yield _one("plain", GOOD)
    yield _case("empty-object", "{}", 0)
    yield _case("metadata-alone", '{"__metadata__":{"format":"pt"}}', 0)
    yield _case("empty-metadata", '{"__metadata__":{},"a":%s}' % GOOD)
    yield _case("metadata-last", '{"a":%s,"__metadata__":{"k":"v","l":"w"}}' % GOOD)
    yield _case("metadata-key-escaped", '{"\\u005f_metadata__":{"k":"v"},"a":%s}' % GOOD)
    yield _case("spaces-behind", '{"a":%s}  \n\t\r ' % GOOD)
    spaced = '{ "a" : { "dtype" : "F32" ,\n "shape" : [ 1 ] , "data_offsets" : [ 0 , 4 ] } }'
    yield _case("spaces-inside", spaced)
    yield _one("fields-in-another-order", '{"shape":[1],"data_offsets":[0,4],"dtype":"F32"}')
    yield _one("escaped-field", '{"d\\u0074ype":"F32","shape":[1],"data_offsets":[0,4]}')
    yield _one("escaped-dtype", '{"dtype":"F\\u0033\\u0032","shape":[1],"data_offsets":[0,4]}')
    yield _case("escaped-name", '{"a\\"\\\\\\/\\n\\ud83d\\ude00":%s}' % GOOD)
    yield _case("name-not-ascii", '{"größe.重み":%s}' % GOOD)
    yield _case("empty-name", '{"":%s}' % GOOD)
    yield _one("scalar", '{"dtype":"F32","shape":[],"data_offsets":[0,4]}')
    yield _one("scalar-spaced", '{"dtype":"F32","shape":[ ],"data_offsets":[0,4]}')
    yield _one("no-elements", '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}', 0)
    yield _one(
        "zero-first", '{"dtype":"F32","shape":[0,18446744073709551615,9],"data_offsets":[0,0]}', 0
    )
    for dtype, count, size in (
        ("F4", 2, 1),
        ("F6_E2M3", 4, 3),
        ("F6_E3M2", 4, 3),
        ("BOOL", 1, 1),
        ("F8_E8M0", 1, 1),
        ("F8_E4M3FNUZ", 1, 1),
        ("BF16", 1, 2),
        ("C64", 1, 8),
        ("U64", 1, 8),
    ):
        yield _one(f"dtype-{dtype}", json.dumps(tensor(dtype, [count], 0, size)), size)
    yield _case(
        "not-in-order-of-data", '{"b":%s,"a":%s}' % (json.dumps(tensor("I8", [2], 4, 6)), GOOD), 6
    )
    yield _case(
        "empty-tensor-between", '{"a":%s,"e":%s}' % (GOOD, json.dumps(tensor("F32", [0], 4, 4)))
    )
    deep = "[" * 125 + "1" + "]" * 125
    yield _one(
        "extra-field-nested-125",
        GOOD[:-1] + ',"x":%s%s}' % (MARK, deep),
        4,
        "unknown-field",
        loads=True,
    )


def _loads_with_a_warning() -> Iterator[Case]:
    yield _case("leading-space", MARK + '  {"a":%s}' % GOOD, 4, "leading-space", loads=True)
    yield _case(
        "metadata-null", '{"__metadata__":§null,"a":%s}' % GOOD, 4, "null-metadata", loads=True
    )
    extra = GOOD[:-1] + ',"x":§{"y":[1,-2.5e3,"t",true,false,null,{},[]]}}'
    yield _one("extra-field", extra, 4, "unknown-field", loads=True)
    yield _one(
        "extra-number-of-300-digits",
        GOOD[:-1] + ',"x":§' + "1" * 300 + "}",
        4,
        "unknown-field",
        loads=True,
    )
    yield _one("extra-tiny-number", GOOD[:-1] + ',"x":§1e-999}', 4, "unknown-field", loads=True)
    yield _one("tensor-as-array", '§["F32",[1],[0,4]]', 4, "unusual-tensor", loads=True)
    yield _one(
        "dtype-as-object",
        '{"dtype":§{"F32":null},"shape":[1],"data_offsets":[0,4]}',
        4,
        "unusual-tensor",
        loads=True,
    )


def _json() -> Iterator[Case]:
    yield _case("byte-order-mark", '§\ufeff{"a":%s}' % GOOD, 4, "bad-json")
    yield _case("array", "§[]", 0, "not-an-object")
    yield _case("null", "§null", 0, "not-an-object")
    yield _case("text", '§"a"', 0, "not-an-object")
    yield _case("words", "§hello", 0, "bad-json")
    yield _case("zero-behind", '{"a":%s}§\0' % GOOD, 4, "bad-json")
    yield _case("vertical-tab-behind", '{"a":%s}§\x0b' % GOOD, 4, "bad-json")
    yield _case("object-twice", '{"a":%s}§{}' % GOOD, 4, "bad-json")
    yield _case("trailing-comma", '{"a":%s,§}' % GOOD, 4, "bad-json")
    yield _case("no-comma", '{"a":%s§"b":%s}' % (GOOD, GOOD), 4, "bad-json")
    yield _case("no-colon", '{"a"§%s}' % GOOD, 4, "bad-json")
    yield _case("not-closed", '{"a":%s§' % GOOD, 4, "bad-json")
    yield _case("single-quotes", "{§'a':1}", 4, "bad-json")
    yield _case("name-not-closed", '{"abc§', 4, "bad-json")
    yield _case("control-character", '{"a§\x01":%s}' % GOOD, 4, "bad-json")
    yield _case("raw-newline-in-name", '{"a§\n":%s}' % GOOD, 4, "bad-json")
    yield _case("unknown-escape", '{"a§\\x":%s}' % GOOD, 4, "bad-json")
    yield _case("half-a-character", '{§"a\\ud800":%s}' % GOOD, 4, "bad-json")
    yield _one("nan", '{"dtype":"F32","shape":[§NaN],"data_offsets":[0,4]}', 4, "bad-json")
    yield _one("infinity", GOOD[:-1] + ',"x":§Infinity}', 4, "bad-json")
    yield _one("number-out-of-range", GOOD[:-1] + ',"x":§1e999}', 4, "bad-json")
    yield _one(
        "integer-of-5000-digits",
        '{"dtype":"F32","shape":[§' + "1" * 5000 + '],"data_offsets":[0,4]}',
        4,
        "bad-json",
    )
    yield _one("leading-zero", '{"dtype":"F32","shape":[0§1],"data_offsets":[0,4]}', 4, "bad-json")
    yield _one(
        "offset-with-leading-zero",
        '{"dtype":"F32","shape":[1],"data_offsets":[0,0§4]}',
        4,
        "bad-json",
    )
    deep = "[" * 125 + "§[1]" + "]" * 125
    yield _one("extra-field-nested-126", GOOD[:-1] + ',"x":%s}' % deep, 4, "nesting-too-deep")
    bomb = "[" * 125 + "§" + "[" * 200_000
    yield _one("nesting-bomb", GOOD[:-1] + ',"x":' + bomb, 4, "nesting-too-deep")
    yield Case("not-utf8", safetensors(b'{"\xff":1}'), "not-utf8", 10, loads=False)
    yield Case("cut-character", safetensors(b'{"a":1} \xc3'), "not-utf8", 16, loads=False)


def _duplicates() -> Iterator[Case]:
    yield _case("name-twice", '{"a":%s,"a":§%s}' % (GOOD, GOOD), 4, "duplicate-key")
    yield _case("name-twice-escaped", '{"a":%s,"\\u0061":§%s}' % (GOOD, GOOD), 4, "duplicate-key")
    escaped_first = '{"\\u0061":%s,"a":§%s}' % (GOOD, GOOD)
    yield _case("name-twice-escaped-first", escaped_first, 4, "duplicate-key")
    twice = '{"__metadata__":{"k":"1","k":§"2"},"a":%s}' % GOOD
    yield _case("metadata-key-twice", twice, 4, "duplicate-key")
    yield _case(
        "metadata-key-twice-escaped", twice.replace('"k":§', '"\\u006b":§'), 4, "duplicate-key"
    )
    yield _case(
        "metadata-twice", '{"__metadata__":{},"__metadata__":§{},"a":%s}' % GOOD, 4, "duplicate-key"
    )
    yield _one(
        "field-twice",
        '{"dtype":"F32","dtype":§"F32","shape":[1],"data_offsets":[0,4]}',
        4,
        "duplicate-key",
    )
    yield _one("field-twice-escaped", GOOD[:-1] + ',"\\u0064type":§"F32"}', 4, "duplicate-key")
    yield _one("key-in-extra-field-twice", GOOD[:-1] + ',"x":{"y":1,"y":§2}}', 4, "duplicate-key")


def _schema() -> Iterator[Case]:
    for name, value in (("text", '"x"'), ("number", "1"), ("array", "[]"), ("true", "true")):
        yield _case(
            f"metadata-is-{name}", '{"__metadata__":§%s,"a":%s}' % (value, GOOD), 4, "bad-metadata"
        )
    for name, value in (("number", "1"), ("null", "null"), ("object", '{"x":1}')):
        yield _case(
            f"metadata-value-is-{name}",
            '{"__metadata__":{"k":§%s},"a":%s}' % (value, GOOD),
            4,
            "bad-metadata",
        )
    for name, value in (("null", "null"), ("number", "1"), ("text", '"F32"')):
        yield _one(f"tensor-is-{name}", MARK + value, 0, "bad-tensor")
    yield _one("array-of-four", '§["F32",[1],[0,4],0]', 4, "bad-tensor")
    yield _one("array-of-two", '§["F32",[1]]', 4, "missing-field")


def _fields() -> Iterator[Case]:
    for field in ("dtype", "shape", "data_offsets"):
        fields = tensor("F32", [1], 0, 4)
        del fields[field]
        yield _one(f"no-{field}", MARK + json.dumps(fields), 4, "missing-field")
    yield _one("no-fields", "§{}", 0, "missing-field")

    def dtype(value: str) -> str:
        return '{"dtype":§%s,"shape":[1],"data_offsets":[0,4]}' % value

    for name, value in (("lower-case", '"f32"'), ("unknown", '"F128"'), ("empty", '""')):
        yield _one(f"dtype-{name}", dtype(value), 4, "bad-dtype")
    for name, value in (("number", "1"), ("null", "null"), ("array", '["F32"]')):
        yield _one(f"dtype-is-{name}", dtype(value), 4, "bad-dtype")

    def shape(value: str) -> str:
        return '{"dtype":"F32","shape":§%s,"data_offsets":[0,4]}' % value

    for name, value in (
        ("negative", "[-1]"),
        ("minus-zero", "[-0]"),
        ("true", "[true]"),
        ("float", "[1.0]"),
        ("exponent", "[1e0]"),
        ("text", '["1"]'),
        ("null", "null"),
        ("number", "1"),
        ("object", "{}"),
        ("nested", "[[1]]"),
        ("beyond-64-bits", "[18446744073709551616]"),
    ):
        yield _one(f"shape-{name}", shape(value), 4, "bad-shape")
    yield _one(
        "shape-product-overflows", shape("[18446744073709551615,2,0]"), 4, "tensor-too-large"
    )
    yield _one("shape-bits-overflow", shape("[4611686018427387904]"), 4, "tensor-too-large")
    yield _one("half-a-byte", '{"dtype":"F4","shape":§[3],"data_offsets":[0,2]}', 2, "partial-byte")

    def offsets(value: str, data: int = 4, code: str = "bad-offsets", name: str = "") -> Case:
        fields = '{"dtype":"F32","shape":[1],"data_offsets":§%s}' % value
        return _one(f"offsets-{name or value}", fields, data, code)

    for value in ("[0]", "[0,4,8]", "[]", "null", "4", '["0",4]', "[0,-4]", "[0.0,4]", "[4,0]"):
        yield offsets(value)
    yield offsets("[0,18446744073709551616]", name="beyond-64-bits")
    # Found by fuzzing: a size of nonsense must not equal a difference of nonsense.
    nonsense = '{"dtype":"F32","shape":[0§1],"data_offsets":[5,4]}'
    yield _one("offsets-one-back-and-no-shape", nonsense, 4, "bad-json")
    yield offsets("[0,5]", 5, "size-mismatch")
    yield offsets("[0,3]", 3, "size-mismatch")
    yield offsets("[4,8]", 8, "hole")
    two = '{"a":' + GOOD + ',"b":{"dtype":"F32","shape":[1],"data_offsets":§[%d,%d]}}'
    yield _case("hole-between", two % (8, 12), 12, "hole")
    yield _case("overlap", two % (2, 6), 6, "overlap")
    yield _case("same-bytes", two % (0, 4), 4, "overlap")
    inside = '{"a":%s,"e":{"dtype":"F32","shape":[0],"data_offsets":§[2,2]}}'
    yield _case("empty-tensor-inside-another", inside % GOOD, 4, "overlap")


def _sizes() -> Iterator[Case]:
    whole = safetensors('{"a":%s}' % GOOD, 4)
    size = len(whole)

    def cut(name: str, data: bytes, code: str, offset: int) -> Case:
        return Case(name, data, code, offset, loads=False)

    for length in (1, 7):
        yield cut(f"cut-at-{length}", whole[:length], "truncated", 0)
    for length in (8, 9, size - 5):
        yield cut(f"header-cut-at-{length}", whole[:length], "truncated", 0)
    yield cut("data-cut", whole[:-1], "truncated-data", size - 1)
    yield cut("no-data", whole[:-4], "truncated-data", size - 4)
    yield cut("byte-behind", whole + b"\0", "trailing-data", size)
    yield cut("bytes-behind-nothing", safetensors("{}", 3), "trailing-data", 10)
    yield cut("length-beyond-limit", u64(100_000_001) + whole[8:], "header-too-large", 0)
    for name, length in (("2^63", 2**63), ("2^64-1", 2**64 - 1), ("2^64-8", 2**64 - 8)):
        yield cut(f"length-{name}", u64(length) + whole[8:], "header-too-large", 0)
    yield cut("length-0", u64(0) + b"{}", "bad-json", 8)
    yield cut("length-one-short", u64(size - 13) + whole[8:], "bad-json", size - 5)


def _not_safetensors() -> Iterator[Case]:
    def other(name: str, data: bytes, code: str) -> Case:
        return Case(name, data, code, 0, loads=False)

    yield other("empty", b"", "empty-file")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64
    yield other("lfs-pointer", pointer + b"\nsize 4096\n", "lfs-pointer")
    yield other("html", b"<!doctype html><html><body>403 Forbidden", "web-page")
    yield other(
        "json-error", b'{"error":"Invalid credentials in Authorization header"}', "json-document"
    )
    yield other("zip", b"PK\x03\x04" + bytes(60), "archive")
    yield other("pickle", b"\x80\x02}q\x00" + bytes(20), "archive")
    yield other("zeros", bytes(100), "zeros")
    yield other("gguf", b"GGUF\x03\0\0\0" + bytes(16), "wrong-format")


CASES = tuple(
    case
    for group in (
        _well_formed,
        _loads_with_a_warning,
        _json,
        _duplicates,
        _schema,
        _fields,
        _sizes,
        _not_safetensors,
    )
    for case in group()
)
