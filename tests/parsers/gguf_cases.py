"""GGUF files, well formed and not, with the decision on each.

``loads`` is what ggml's own reader says (``gguf_init_from_file`` without data, then every tensor's
end against the file's size, as llama.cpp does). It was checked case by case against a build of
ggml; ``tests/parsers/test_gguf.py`` checks what this project says. The two agree but where a
comment says otherwise.
"""

from collections.abc import Iterator

from tests.builders import (
    ARRAY,
    BOOL,
    F32,
    F64,
    I8,
    I32,
    STRING,
    U8,
    U16,
    U32,
    U64,
    gguf,
    u32,
    u64,
)
from tests.parsers.gguf_case import ARCH, Case, case, kv, patched

_TOP = 2**63 - 1


def _well_formed() -> Iterator[Case]:
    no_tensors = (("no-tensors", 8),)
    yield case("plain", gguf())
    yield case("version-2", gguf(version=2))
    yield case("no-tensors", gguf(tensors=()), notes=no_tensors)
    yield case(
        "nothing-at-all",
        gguf((), ()),
        notes=(*no_tensors, ("missing-architecture", 16)),
    )
    imatrix = (("general.type", STRING, "imatrix"),)
    yield case("no-architecture-of-an-imatrix", gguf(imatrix))
    yield case("no-metadata", gguf(()), notes=(("missing-architecture", 16),))
    yield case(
        "architecture-is-a-number",
        gguf((("general.architecture", U32, 1),)),
        notes=(("missing-architecture", "k0.type"),),
    )
    for kind, value in ((U8, 255), (I8, -1), (U16, 9), (I32, -9), (F32, 0.5), (F64, 1e300)):
        yield case(f"value-type-{kind}", kv(("x", kind, value)))
    yield case("u64-value", kv(("x", U64, 2**64 - 1)))
    yield case("bool-values", kv(("x", BOOL, 0), ("y", BOOL, 1)))
    yield case("empty-string-value", kv(("x", STRING, "")))
    yield case("empty-array", kv(("x", ARRAY, (STRING, ()))))
    yield case("array-of-16", kv(("x", ARRAY, (U32, range(16)))))
    yield case("array-of-17", kv(("x", ARRAY, (U32, range(17)))))
    yield case("string-array-of-40", kv(("x", ARRAY, (STRING, ["a" * n for n in range(40)]))))
    yield case("bool-array", kv(("x", ARRAY, (BOOL, [0, 1] * 20))))
    yield case("scalar-tensor", gguf(tensors=(("a", (), 0),)))
    yield case("four-dimensions", gguf(tensors=(("a", (2, 3, 4, 5), 0),)))
    yield case("zero-dimension", gguf(tensors=(("a", (0, 3), 0), ("b", (1,), 0))))
    yield case("zero-dimension-beside-huge-ones", gguf(tensors=(("a", (0, 2**62, 2**62), 0),)))
    yield case("empty-tensor-name", gguf(tensors=(("", (1,), 0),)))
    yield case("tensor-name-of-63", gguf(tensors=(("n" * 63, (1,), 0),)))
    yield case("quantized", gguf(tensors=(("a", (32, 4), 2), ("b", (64,), 8), ("c", (256,), 12))))
    yield case("two-tensors", gguf(tensors=(("a", (3,), 0), ("b", (5,), 1))))
    yield case(
        "alignment-64",
        gguf(
            (ARCH, ("general.alignment", U32, 64)), (("a", (3,), 0), ("b", (1,), 0)), alignment=64
        ),
    )
    yield case("alignment-8192", gguf((ARCH, ("general.alignment", U32, 8192)), alignment=8192))
    yield case("key-of-65535-bytes", kv(("k" * 65535, U8, 1)))
    yield case("long-text", kv(("x", STRING, "t" * 70_000)))
    yield case("text-beyond-a-megabyte", kv(("x", STRING, "t" * 1_100_000)))


def _irregular() -> Iterator[Case]:
    """The specification forbids it, or it is odd; ggml loads it."""
    yield case("key-too-long", kv(("k" * 65536, U8, 1)), notes=(("long-key", "k1.key"),))
    yield case("key-not-ascii", kv(("schlüssel", U8, 1)), notes=(("non-ascii-key", "k1.key"),))
    yield case(
        "key-not-utf8",
        gguf((ARCH, ("x", U8, 1)), patch={"k1.key": u64(1) + b"\xff"}),
        notes=(("non-ascii-key", "k1.key"),),
    )
    yield case("bool-of-two", kv(("x", BOOL, 2)), notes=(("bad-bool", "k1.value"),))
    odd = kv(("x", ARRAY, (BOOL, [0, 1] * 20 + [7])))
    yield case("bool-array-with-seven", odd, notes=(("bad-bool", odd.at("k1.items") + 40),))
    odd = kv(("x", ARRAY, (BOOL, [0, 3])))
    yield case("short-bool-array-with-three", odd, notes=(("bad-bool", odd.at("k1.items") + 1),))
    yield case(
        "value-not-utf8", kv(("x", STRING, b"\xc3\x28")), notes=(("invalid-utf8", "k1.value"),)
    )
    odd = kv(("x", ARRAY, (STRING, [b"ok", b"\xff"])))
    yield case("array-element-not-utf8", odd, notes=(("invalid-utf8", odd.at("k1.items") + 10),))
    hidden = [b"ok"] * 20 + [b"\xff"]
    yield case("element-beyond-the-preview-not-utf8", kv(("x", ARRAY, (STRING, hidden))))
    for name, value in (("nan", float("nan")), ("infinity", float("inf"))):
        yield case(name, kv(("x", F32, value)), notes=(("non-finite-number", "k1.value"),))
    yield case(
        "alignment-4",
        gguf((ARCH, ("general.alignment", U32, 4)), (("a", (3,), 0), ("b", (1,), 0)), alignment=4),
        notes=(("odd-alignment", "k1.value"),),
    )
    yield case(
        "alignment-1",
        gguf((ARCH, ("general.alignment", U32, 1)), (("a", (3,), 1), ("b", (1,), 0)), alignment=1),
        notes=(("odd-alignment", "k1.value"),),
    )
    whole = gguf(tensors=(("a", (3,), 0),))
    size = len(whole.data)
    yield case(
        "last-padding-missing", whole, notes=(("missing-padding", size - 20),), cut=size - 20
    )
    yield case("trailing-bytes", whole.data + b"x", notes=(("trailing-data", size),))
    odd = gguf()
    odd.pieces["padding"] = bytes(len(odd.pieces["padding"]) - 1) + b"\1"
    yield case("padding-not-zero", odd, notes=(("nonzero-padding", odd.at("data") - 1),))
    yield case(
        "tensor-name-not-utf8",
        gguf(patch={"t0.name": u64(8) + b"\xffweight"[:7] + b"x"}),
        notes=(("invalid-utf8", "t0.name"),),
    )
    # ggml refuses a foreign byte order; its own hosts load it, so it is a warning here.
    yield case("big-endian", gguf(order=">"), notes=(("big-endian", 4),), loads=False)
    yield case(
        "big-endian-version-2", gguf(version=2, order=">"), notes=(("big-endian", 4),), loads=False
    )


def _not_gguf() -> Iterator[Case]:
    def page(name: str, data: bytes, code: str) -> Case:
        return case(name, data, (code, 0))

    yield page("empty", b"", "empty-file")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64
    yield page("lfs-pointer", pointer + b"\nsize 4096\n", "lfs-pointer")
    yield page("html", b"<!DOCTYPE html><html><body>Not found", "web-page")
    yield page("html-after-space", b"\n  <html>", "web-page")
    yield page("xml-error", b'<?xml version="1.0"?><Error><Code>NoSuchKey', "web-page")
    yield page("json-error", b'{"error": "Repository not found"}', "json-document")
    yield page("zip", b"PK\x03\x04" + bytes(60), "archive")
    yield page("pickle", b"\x80\x04\x95\x10\x00", "archive")
    yield page("gzip", b"\x1f\x8b\x08" + bytes(20), "archive")
    yield page("tar", b"a".ljust(257, b"\0") + b"ustar\x0000" + bytes(255), "archive")
    yield page("zeros", bytes(4096), "zeros")
    yield page("old-ggml", b"lmgg" + bytes(40), "archive")
    yield page("random", b"\x17\x93 something else", "bad-magic")
    yield page("lower-case-magic", b"gguf" + gguf().data[4:], "bad-magic")
    yield page("safetensors", b"\x02\0\0\0\0\0\0\0{}", "wrong-format")


def _preamble() -> Iterator[Case]:
    whole = gguf().data
    for size in (1, 3):
        yield case(f"magic-cut-at-{size}", whole[:size], ("truncated", 0))
    for size, at in ((4, 4), (7, 4), (8, 8), (15, 8)):
        yield case(f"preamble-cut-at-{size}", whole[:size], ("truncated", at))
    # From here on the whole file is too small for the one tensor that it has just declared.
    for size in (16, 23):
        yield case(f"preamble-cut-at-{size}", whole[:size], ("truncated", 8))
    yield case("cut-inside-the-key-count", gguf(tensors=()).data[:17], ("truncated", 16))
    yield case("cut-behind-the-preamble", whole[:24], ("truncated", 24))
    for version in (0, 4, 99, 0x7FFFFFFF):
        yield case(f"version-{version}", patched({"version": u32(version)}), ("unknown-version", 4))
    one = gguf(version=1)
    yield case("version-1", one, ("version-1", 4))
    yield case(
        "version-1-big-endian",
        gguf(version=1, order=">"),
        ("version-1", 4),
        notes=(("big-endian", 4),),
    )
    yield case(
        "version-9-big-endian",
        patched({"version": b"\0\0\0\x09"}),
        ("unknown-version", 4),
        notes=(("big-endian", 4),),
    )
    for label, at in (("n_tensors", 8), ("n_kv", 16)):
        yield case(f"{label}-negative", patched({label: u64(2**64 - 1)}), ("negative-count", at))
        yield case(f"{label}-smallest", patched({label: u64(2**63)}), ("negative-count", at))
        yield case(f"{label}-2^62", patched({label: u64(2**62)}), ("truncated", at))
        yield case(f"{label}-million", patched({label: u64(10**6)}), ("truncated", at))
    # One more than there is, but no more than would fit: read on, and padding is taken for it.
    more = patched({"n_tensors": u64(2)}, tensors=(("a", (), 0),))
    yield case("one-tensor-too-few", more, ("bad-tensor-offset", more.at("padding") + 16))


def _metadata() -> Iterator[Case]:
    base = kv(("x.y", STRING, "value"))
    whole = base.data
    yield case("two-keys-in-no-bytes", whole[:24], ("truncated", 16))
    for label in ("k0.type", "k0.value", "k1.key", "k1.type", "k1.value"):
        at = base.at(label)
        yield case(f"cut-before-{label}", whole[:at], ("truncated", at))
        yield case(f"cut-inside-{label}", whole[: at + 3], ("truncated", at))
    at = base.at("k1.value")
    yield case("cut-inside-the-text", whole[: at + 10], ("truncated", at))
    for name, length in (
        ("2^40", 2**40),
        ("2^63", 2**63),
        ("wraps", 2**64 - 8),
        ("gib", 2**30 + 1),
    ):
        for label in ("k1.key", "k1.value"):
            yield case(
                f"string-{name}-in-{label}",
                kv(("x", STRING, "v"), patch={label: u64(length) + b"x"}),
                ("string-too-long", label),
            )
    yield case(
        "string-longer-than-the-file",
        kv(("x", STRING, "v"), patch={"k1.value": u64(5000) + b"x"}),
        ("truncated", "k1.value"),
    )
    yield case("key-empty", kv(("", U8, 1)), ("empty-key", "k1.key"))
    yield case(
        "key-twice", kv(("x", U8, 1), ("y", U8, 1), ("x", U8, 2)), ("duplicate-key", "k3.key")
    )
    for kind in (13, 99, 2**32 - 1):
        yield case(
            f"value-type-{kind}",
            kv(("x", U8, 1), patch={"k1.type": u32(kind)}),
            ("bad-value-type", "k1.type"),
        )
    array = ("x", ARRAY, (U32, [1, 2, 3]))
    whole = kv(array).data
    for label in ("k1.element", "k1.count"):
        at = kv(array).at(label)
        yield case(f"cut-inside-{label}", whole[: at + 2], ("truncated", at))
    at = kv(array).at("k1.element")
    yield case("array-cut", whole[: at + 14], ("truncated", at))
    yield case(
        "array-of-unknown-type",
        kv(array, patch={"k1.element": u32(77)}),
        ("bad-value-type", "k1.element"),
    )
    yield case(
        "array-of-arrays",
        kv(array, patch={"k1.element": u32(ARRAY)}),
        ("nested-array", "k1.element"),
    )
    nested = (u32(ARRAY) + u64(1)) * 100_000
    yield case(
        "a-hundred-thousand-nested-arrays",
        kv(array, patch={"k1.items": nested, "k1.element": u32(ARRAY)}),
        ("nested-array", "k1.element"),
    )
    for name, count in (
        ("2^40", 2**40),
        ("2^61", 2**61),
        ("2^64-1", 2**64 - 1),
        ("2^30+1", 2**30 + 1),
    ):
        yield case(
            f"array-count-{name}",
            kv(array, patch={"k1.count": u64(count)}),
            ("array-too-long", "k1.count"),
        )
    yield case(
        "array-count-beyond-the-file",
        kv(array, patch={"k1.count": u64(2**30)}),
        ("truncated", "k1.element"),
    )
    strings = kv(("x", ARRAY, (STRING, ["a"] * 30)))
    items = strings.at("k1.items")
    yield case("string-array-cut", strings, ("truncated", "k1.element"), cut=items + 9 * 25 + 4)
    long = bytearray(strings.data)
    long[items + 9 * 20 : items + 9 * 20 + 8] = u64(2**20)
    yield case("string-array-element-too-long", bytes(long), ("truncated", items + 9 * 20))
    long[items + 9 * 3 : items + 9 * 3 + 8] = u64(2**62)
    yield case("early-element-too-long", bytes(long), ("string-too-long", items + 9 * 3))
    key = "general.alignment"
    yield case("alignment-0", kv((key, U32, 0)), ("bad-alignment", "k1.value"))
    yield case("alignment-48", kv((key, U32, 48)), ("bad-alignment", "k1.value"))
    yield case("alignment-as-u64", kv((key, U64, 32)), ("bad-alignment", "k1.type"))
    yield case("alignment-as-text", kv((key, STRING, "32")), ("bad-alignment", "k1.type"))
    yield case("alignment-as-array", kv((key, ARRAY, (U32, [32]))), ("bad-alignment", "k1.type"))


def _tensors() -> Iterator[Case]:
    base = gguf(tensors=(("a.weight", (32, 2), 0), ("b.weight", (8,), 0)))
    whole = base.data
    for label in ("t0.name", "t0.n_dims", "t0.dim0", "t0.dim1", "t0.type", "t0.offset", "t1.name"):
        at = base.at(label)
        yield case(f"cut-inside-{label}", whole[: at + 3], ("truncated", at))
    yield case(
        "cut-inside-the-name", whole[: base.at("t1.name") + 10], ("truncated", base.at("t1.name"))
    )

    def patched(name: str, label: str, data: bytes, code: str, at: str | None = None) -> Case:
        return case(name, gguf(patch={label: data}), (code, at or label))

    yield case("name-of-64", gguf(tensors=(("n" * 64, (1,), 0),)), ("long-tensor-name", "t0.name"))
    yield case(
        "name-twice",
        gguf(tensors=(("a", (1,), 0), ("a", (1,), 0))),
        ("duplicate-tensor", "t1.name"),
    )
    yield case(
        "name-equal-up-to-a-zero-byte",
        gguf(tensors=(("a\0x", (1,), 0), ("a\0y", (1,), 0))),
        ("duplicate-tensor", "t1.name"),
    )
    for count in (5, 99, 2**32 - 1):
        yield patched(f"dimensions-{count}", "t0.n_dims", u32(count), "too-many-dimensions")
    yield patched("dimension-negative", "t0.dim0", u64(2**64 - 32), "negative-dimension")
    yield patched("dimension-2^63", "t0.dim1", u64(2**63), "negative-dimension")
    yield patched("elements-overflow", "t0.dim1", u64(_TOP // 32 + 1), "tensor-too-large")
    yield patched("elements-wrap-to-few", "t0.dim1", u64(2**59 + 1), "tensor-too-large")
    # ggml's guard multiplies with wrapping and takes this for an empty tensor.
    yield case(
        "third-dimension-overflows",
        gguf(tensors=(("a", (2, 2, 2), 0),), patch={"t0.dim2": u64(2**62)}),
        ("tensor-too-large", "t0.dim2"),
        loads=True,
    )
    # ggml lets bytes go up to 2^64 and then finds the data cut.
    yield patched("bytes-overflow", "t0.dim1", u64(2**57), "tensor-too-large", "t0.type")
    for kind in (43, 99, 2**31, 2**32 - 1):
        yield patched(f"type-{kind}", "t0.type", u32(kind), "bad-tensor-type")
    for kind in (4, 5, 31, 32, 33, 36, 37, 38):
        yield patched(f"removed-type-{kind}", "t0.type", u32(kind), "removed-tensor-type")
    yield patched("rows-do-not-fill-blocks", "t0.type", u32(12), "partial-block")
    yield case(
        "rows-of-33-q8",
        gguf(tensors=(("a", (64,), 8),), patch={"t0.dim0": u64(33)}),
        ("partial-block", "t0.type"),
    )
    yield case(
        "scalar-q8",
        gguf(tensors=(("a", (), 0),), patch={"t0.type": u32(8)}),
        ("partial-block", "t0.type"),
    )
    two = (("a", (8,), 0), ("b", (8,), 0))
    for name, offset in (("overlap", 0), ("gap", 64), ("unaligned", 33), ("huge", 2**64 - 32)):
        yield case(
            f"offset-{name}",
            gguf(tensors=two, patch={"t1.offset": u64(offset)}),
            ("bad-tensor-offset", "t1.offset"),
        )
    yield case(
        "first-offset-not-zero",
        gguf(patch={"t0.offset": u64(32)}),
        ("bad-tensor-offset", "t0.offset"),
    )
    yield case(
        "offsets-descend",
        gguf(tensors=two, patch={"t0.offset": u64(32), "t1.offset": u64(0)}),
        ("bad-tensor-offset", "t0.offset"),
    )
    size = len(whole)
    for missing in (1, 32, 200):
        yield case(
            f"data-cut-by-{missing}",
            gguf(tensors=(("a.weight", (32, 2), 0), ("b.weight", (8,), 0))).data[: size - missing],
            ("truncated-data", size - missing),
        )
    yield case("no-data", whole[: base.at("data")], ("truncated-data", base.at("data")))
    yield case(
        "cut-in-the-padding",
        whole[: base.at("padding") + 1],
        ("truncated-data", base.at("padding") + 1),
    )


CASES: tuple[Case, ...] = (
    *_well_formed(),
    *_irregular(),
    *_not_gguf(),
    *_preamble(),
    *_metadata(),
    *_tensors(),
)
