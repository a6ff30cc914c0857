"""Hostile pickle streams: every way to come to a call, and every way to hide it."""

import base64
import pickle
import struct
from collections.abc import Iterator

from tests.parsers.pickle_builders import (
    CALL,
    PAYLOAD,
    PROTO2,
    PROTO4,
    SYSTEM,
    binary,
    joblib_array,
    stack_global,
    text,
    torch_legacy,
)
from tests.parsers.pickle_case import UNDECIDED, UNREADABLE, Case, hostile

OS = "os.system"


def _opcodes() -> Iterator[Case]:
    yield hostile("global-protocol-0", PAYLOAD + b".", OS)
    yield hostile("global-protocol-2", PROTO2 + PAYLOAD + b".", OS)
    yield hostile("global-protocol-4", PROTO4 + PAYLOAD + b".", OS)
    yield hostile("import-without-a-call", PROTO2 + SYSTEM + b".", OS)
    yield hostile("inst", b"(S'id'\nios\nsystem\n.", OS)
    yield hostile("obj", b"(" + SYSTEM + b"S'id'\no.", OS)
    yield hostile("newobj", PROTO2 + SYSTEM + text("id") + b"\x85\x81.", OS)
    yield hostile("newobj-ex", PROTO4 + SYSTEM + text("id") + b"\x85}\x92.", OS)
    yield hostile("stack-global", PROTO4 + stack_global("os", "system") + CALL + b".", OS)
    yield hostile("unicode-lines", PROTO4 + b"Vos\nVsystem\n\x93" + CALL + b".", OS)
    yield hostile("escaped-lines", PROTO4 + b"V\\u006fs\nVsyste\\u006d\n\x93" + CALL + b".", OS)
    yield hostile("quoted-lines", PROTO4 + b"S'os'\nS\"system\"\n\x93" + CALL + b".", OS)
    yield hostile("escaped-quotes", PROTO4 + b"S'\\x6f\\163'\nS'system'\n\x93" + CALL + b".", OS)
    yield hostile("python-2-strings", PROTO4 + b"U\x02osT\x06\0\0\0system\x93" + CALL + b".", OS)
    yield hostile("long-unicode", PROTO4 + b"X\x02\0\0\0os\x8d\x06" + bytes(7) + b"system\x93.", OS)
    for number, width in ((1, b"\x05"), (2, b"\x05\0"), (4, b"\x05\0\0\0")):
        code = bytes((0x81 + (1, 2, 3)[(1, 2, 4).index(number)],))
        yield hostile(f"extension-{number}", PROTO2 + code + width + b")R.", "extension.5")
    yield hostile(
        "dotted-name",
        PROTO4 + stack_global("os", "path.join.__globals__") + b".",
        "os.path.join.__globals__",
    )
    dotted = stack_global("torch", "Tensor.__init__.__globals__")
    yield hostile(
        "dotted-name-of-what-is-allowed",
        PROTO4 + dotted + b".",
        "torch.Tensor.__init__.__globals__",
    )
    yield hostile(
        "dotted-module", PROTO4 + stack_global("torch.hub", "load") + CALL + b".", "torch.hub.load"
    )
    yield hostile("python-2-name", b"c__builtin__\neval\n" + CALL + b".", "builtins.eval")
    yield hostile(
        "python-2-module", PROTO2 + b"ccommands\ngetoutput\n" + CALL + b".", "subprocess.getoutput"
    )
    yield hostile(
        "protocol-changes-back", PROTO2 + b"\x80\x04c__builtin__\nset\n)R.", "__builtin__.set"
    )


def _memo() -> Iterator[Case]:
    call = b"\x93" + CALL + b"."
    yield hostile(
        "binput", PROTO4 + text("os") + b"q\x00" + text("system") + b"q\x0100h\x00h\x01" + call, OS
    )
    yield hostile(
        "long-binput",
        PROTO4 + text("system") + b"r\xff\xff\0\0" + b"0" + text("os") + b"j\xff\xff\0\0" + call,
        OS,
    )
    yield hostile("memoize", PROTO4 + text("system") + b"\x940" + text("os") + b"h\x00" + call, OS)
    yield hostile("put-and-get-lines", PROTO4 + b"Vsystem\np7\n0Vos\ng7\n" + call, OS)
    yield hostile(
        "overwritten",
        PROTO4 + text("x") + b"q\x000" + text("system") + b"q\x000" + text("os") + b"h\x00" + call,
        OS,
    )
    yield hostile(
        "memoize-behind-a-gap",
        PROTO4 + text("a") + b"q\x090" + text("system") + b"\x940" + text("os") + b"h\x01" + call,
        OS,
    )
    yield hostile("dup", PROTO4 + text("code") + b"2\x93" + CALL + b".", "code.code")
    yield hostile("pop", PROTO4 + text("os") + text("x") + b"0" + text("system") + call, OS)
    yield hostile(
        "pop-mark", PROTO4 + text("os") + b"(" + text("x") + b"1" + text("system") + call, OS
    )
    yield hostile("pop-of-a-mark", PROTO4 + text("os") + b"(0" + text("system") + call, OS)
    yield hostile("memoized-global", PROTO2 + SYSTEM + b"q\x000h\x00" + CALL + b".", OS)
    yield hostile("mark-between", PROTO4 + b"(" + stack_global("os", "system") + b"t.", OS)
    long = PROTO4 + text("system") + b"p" + b"0" * 3000 + b"3\n0" + text("os") + b"g3\n" + call
    yield hostile("number-with-zeros", long, OS)


def _undecided() -> Iterator[Case]:
    built = b"cbuiltins\nstr\n" + binary(b"os") + text("utf-8") + b"\x86R"
    yield hostile(
        "computed-module", PROTO4 + built + text("system") + b"\x93" + CALL + b".", UNDECIDED
    )
    yield hostile("computed-name", PROTO4 + text("os") + built + b"\x93" + CALL + b".", UNDECIDED)
    yield hostile("persistent-id-as-a-name", PROTO4 + text("os") + b"Px\n\x93.", UNDECIDED)
    yield hostile(
        "long-module", PROTO4 + b"X\x2c\x01\0\0" + b"m" * 300 + text("x") + b"\x93.", UNDECIDED
    )
    yield hostile("long-line", b"c" + b"m" * 70_000 + b"\nx\n.", UNDECIDED)
    yield hostile("call-of-an-object", PROTO2 + b"ccollections\nOrderedDict\n)R)R.", UNDECIDED)
    yield hostile("call-of-a-string", PROTO2 + text("x") + b")R.", UNDECIDED)
    yield hostile("call-of-a-persistent-object", PROTO2 + text("x") + b"Q)R.", UNDECIDED)
    yield hostile("out-of-band-buffer", b"\x80\x05\x97)R.", UNDECIDED)
    tampered = PROTO2 + b"ctorch\nTensor\n}(" + text("__len__") + b"ctorch\nSize\nub."
    yield hostile("build-on-a-class", tampered, "pickle/forbidden-build")


def _broken() -> Iterator[Case]:
    yield hostile("no-stop", PROTO2 + PAYLOAD, OS, UNREADABLE)
    yield hostile("junk-behind-the-payload", PROTO2 + PAYLOAD + b"\xff\xff\xff", OS, UNREADABLE)
    yield hostile("underflow-behind-it", PROTO2 + PAYLOAD + b"000000.", OS, UNREADABLE)
    yield hostile("missing-memo-behind-it", PROTO2 + PAYLOAD + b"h\x63.", OS, UNREADABLE)
    yield hostile("cut-inside-a-number", PROTO2 + PAYLOAD + b"J\0\0", OS, UNREADABLE)
    yield hostile("cut-inside-a-string", PROTO2 + PAYLOAD + b"X\xff\0\0\0x", OS, UNREADABLE)
    yield hostile("negative-length", PROTO2 + PAYLOAD + b"T\xff\xff\xff\xff.", OS, UNREADABLE)
    yield hostile(
        "length-beyond-the-file", PROTO4 + PAYLOAD + b"\x8e" + b"\xff" * 8 + b".", OS, UNREADABLE
    )
    yield hostile("protocol-6", PROTO2 + PAYLOAD + b"\x80\x06.", OS, UNREADABLE)
    yield hostile("bad-utf-8", PROTO2 + PAYLOAD + b"\x8c\x02\xff\xfe.", OS, UNREADABLE)
    yield hostile("unquoted-string", PAYLOAD + b"Sx\n.", OS, UNREADABLE)
    yield hostile("name-without-its-end", PROTO2 + b"cos\nsystemx", OS, UNREADABLE)
    yield hostile("lying-frame", PROTO4 + b"\x95" + struct.pack("<Q", 3) + PAYLOAD + b".", OS)
    yield hostile("frame-beyond-the-file", PROTO4 + b"\x95" + b"\xff" * 8 + PAYLOAD + b".", OS)
    # The compiled unpickler drops what is left of a frame when an argument does not fit into it.
    names = text("collections") + b"p12\n0" + text("OrderedDict") + b"p13\n0"
    names += text("os") + b"p2\n0" + text("system") + b"p3\n0"
    recall = b"g12\ng13\n\x93" + CALL + b"."
    cut = PROTO4 + names + b"\x95" + struct.pack("<Q", 2) + recall
    yield hostile("frame-ends-inside-a-line", cut, UNREADABLE)
    wide = b"j\x0c\0\0\0" + b"\x02\0\0\0"
    cut = PROTO4 + names + b"\x95" + struct.pack("<Q", 3) + wide
    yield hostile("frame-ends-inside-a-number", cut, UNREADABLE)
    cut = PROTO4 + b"\x95" + struct.pack("<Q", 4) + text("collections") + b"."
    yield hostile("frame-ends-inside-a-string", cut, UNREADABLE)
    inner = b"\x95" + struct.pack("<Q", 20) + b"N."
    yield hostile(
        "frame-inside-of-a-frame", PROTO4 + b"\x95" + struct.pack("<Q", 11) + inner, UNREADABLE
    )
    hidden = PROTO4 + b"\x95" + struct.pack("<Q", 12) + b"N." + PROTO4 + b"N." + b"N" * 6
    yield hostile("frame-beyond-stop", hidden, UNREADABLE)
    yield hostile("harmless-and-cut", PROTO2 + b"]", UNREADABLE)


def _several() -> Iterator[Case]:
    honest = pickle.dumps([1, 2, 3], 4)
    evil = PROTO2 + PAYLOAD + b"."
    yield hostile("second-stream", honest + evil, OS)
    yield hostile("second-stream-of-protocol-0", honest + PAYLOAD + b".", OS)
    yield hostile("tenth-stream", honest * 9 + evil, OS)
    yield hostile("cut-second-stream", honest + PROTO2 + PAYLOAD, OS, UNREADABLE)
    yield hostile("in-a-byte-string", PROTO2 + binary(evil) + b".", OS)
    yield hostile("second-in-a-byte-string", PROTO2 + binary(honest + evil) + b".", OS)
    yield hostile("in-a-python-2-string", PROTO2 + b"U" + bytes((len(evil),)) + evil + b".", OS)
    inner = evil
    for _ in range(6):
        inner = PROTO2 + binary(inner) + b"."
    yield hostile("six-deep", inner, OS)
    yield hostile("six-deep-and-again", PROTO2 + binary(honest + inner) + b".", OS)
    for _ in range(6):
        inner = PROTO2 + binary(inner) + b"."
    yield hostile("deeper-than-is-looked", inner, "pickle/unexamined")
    flood = PROTO2 + (b"C\x04\x80\x02N.0" * 20_000) + b"N."
    yield hostile("many-streams-in-strings", flood, "pickle/unexamined")
    behind = PROTO2 + binary(bytes(300_000)) + PAYLOAD + b"."
    yield hostile("behind-a-large-string", behind, OS)
    between = PROTO2 + (binary(bytes(300_000)) + b"0") * 3 + PAYLOAD + b"."
    yield hostile("behind-three-large-strings", between, OS)
    state = PROTO2 + b"}."
    yield hostile("legacy-object", torch_legacy(evil, {}), OS)
    legacy = torch_legacy(state, {})
    yield hostile("behind-a-legacy-file", legacy + evil, OS)
    yield hostile("legacy-system-info", legacy.replace(pickle.dumps(1001, 2), evil, 1), OS)


def _joblib() -> Iterator[Case]:
    floats = struct.pack("<2f", 1.0, 2.0)
    yield hostile(
        "joblib-behind-an-array",
        PROTO2 + b"]" + joblib_array(floats, 2) + b"a" + PAYLOAD + b".",
        OS,
    )
    hidden = PAYLOAD + b"."
    hidden += b"x" * (-len(hidden) % 4)
    unaligned = joblib_array(hidden, len(hidden) // 4, alignment=b"N")
    yield hostile("joblib-array-of-opcodes", PROTO2 + unaligned + b".", OS)
    objects = joblib_array(PROTO2 + PAYLOAD + b".", 1, "O8", b"N")
    yield hostile("joblib-object-array", PROTO2 + objects + b".", OS)
    recounted = joblib_array(PROTO4 + text("a") + b"\x94.", 1, "O8", b"N")
    yield hostile("joblib-memoize-in-objects", PROTO2 + recounted + b".", UNREADABLE)
    records = joblib_array(floats, 1, "V8x")
    yield hostile("joblib-array-without-a-size", PROTO2 + records + b".", UNREADABLE)
    yield hostile("joblib-cut-array", PROTO2 + joblib_array(floats, 1 << 20) + b".", UNREADABLE)


def _encoded() -> Iterator[Case]:
    """Pickles that stand as texts inside of others."""
    code = "pickle/encoded-payload"
    inner = PROTO4 + PAYLOAD + b"."
    digits = {
        "base64": base64.b64encode(inner),
        "base64-without-padding": base64.b64encode(inner).rstrip(b"="),
        "base64-in-lines": base64.encodebytes(inner * 4),
        "base64-urlsafe": base64.urlsafe_b64encode(PROTO2 + PAYLOAD + b"\x8c\x03\xff\xbf\xbe0."),
        "hex": inner.hex().encode(),
        "hex-upper-case": inner.hex().upper().encode(),
        "hex-escapes": "".join(f"\\x{byte:02x}" for byte in inner).encode(),
        "long": base64.b64encode(PROTO2 + PAYLOAD + b"0" + binary(bytes(3000)) + b"."),
        "longer-than-is-decoded": base64.b64encode(
            PROTO2 + PAYLOAD + b"0" + binary(bytes(300_000)) + b"."
        ),
    }
    for name, value in digits.items():
        size = struct.pack("<I", len(value))
        yield hostile(f"{name}-as-text", PROTO2 + b"X" + size + value + b".", code)
        yield hostile(f"{name}-as-bytes", PROTO4 + b"B" + size + value + b".", code)
        yield hostile(f"{name}-as-python-2-text", PROTO2 + b"T" + size + value + b".", code)
    yield hostile("base64-as-a-line", b"V" + digits["base64"] + b"\n.", code)
    yield hostile("base64-in-quotes", b"S'" + digits["base64"] + b"'\n.", code)


def _dtype(name: str, state: bytes) -> bytes:
    """Push a dtype of NumPy whose state was set."""
    return stack_global("numpy", "dtype") + text(name) + b"\x89\x88\x87R" + state + b"b"


def _state(flags: int, *, size: int = -1, fields: bytes = b"NN") -> bytes:
    number = b"J" + struct.pack("<i", size)
    return (
        b"(K\x03"
        + text("|")
        + b"N"
        + fields
        + number
        + b"J\xff\xff\xff\xff"
        + b"K"
        + bytes((flags,))
        + b"t"
    )


def _wrapped(dtype: bytes, shape: bytes, alignment: bytes = b"N", more: bytes = b"") -> bytes:
    """Push joblib's wrapper of an array, with any parts."""
    return (
        stack_global("joblib.numpy_pickle", "NumpyArrayWrapper")
        + b")\x81}("
        + text("subclass")
        + stack_global("numpy", "ndarray")
        + text("shape")
        + shape
        + text("order")
        + text("C")
        + text("dtype")
        + dtype
        + text("allow_mmap")
        + b"\x89"
        + text("numpy_array_alignment_bytes")
        + alignment
        + more
        + b"ub"
    )


def _numpy() -> Iterator[Case]:
    """States that NumPy and joblib read otherwise than names say."""
    floats = _dtype("f8", _state(0))
    body = bytes(800) + b"."
    objects = _dtype("O8", _state(0))
    fields = b"(" + text("a") + b"t}" + text("a") + _dtype("O8", _state(63)) + b"K\x00\x86s"
    wrappers = {
        "flags-of-objects": _wrapped(_dtype("f4", _state(63)), b"K\x64\x85"),
        "fields-of-objects": _wrapped(_dtype("V8", _state(0, fields=fields)), b"K\x64\x85"),
        "smaller-elements": _wrapped(_dtype("V8", _state(0, size=1)), b"K\x64\x85"),
        "alignment-as-a-text": _wrapped(floats, b"K\x64\x85", text("x")),
        "shape-twice": _wrapped(floats, b"K\x64\x85", more=text("shape") + b"K\x01\x85"),
        "shape-behind-others": _wrapped(
            floats,
            b"K\x64\x85",
            more=b"".join(text(f"j{n}") + b"K\x00" for n in range(70))
            + text("shape")
            + b"K\x01\x85",
        ),
        "shape-by-a-call": _wrapped(
            floats,
            b"K\x64\x85",
            more=stack_global("builtins", "str") + text("shape") + b"\x85RK\x01\x85",
        ),
    }
    for name, wrapper in wrappers.items():
        yield hostile(f"joblib-{name}", PROTO4 + wrapper + body, UNREADABLE)
    reconstruct = (
        stack_global("numpy._core.multiarray", "_reconstruct")
        + stack_global("numpy", "ndarray")
        + b"K\x00\x85C\x01b\x87R"
    )
    raw = b"(K\x01K\x01\x85" + objects + b"\x89C\x08AAAAAAAAtb."
    yield hostile("objects-from-raw-bytes", PROTO4 + reconstruct + raw, UNREADABLE)
    frombuffer = stack_global("numpy._core.numeric", "_frombuffer")
    raw = b"(C\x08AAAAAAAA" + objects + b"K\x01\x85" + text("C") + b"tR."
    yield hostile("objects-from-a-buffer", PROTO4 + frombuffer + raw, UNREADABLE)
    twice = _dtype("O8", _state(63)) + _state(0) + b"b."
    yield hostile("second-state-of-a-dtype", PROTO4 + twice, UNREADABLE)
    scalar = stack_global("numpy._core.multiarray", "scalar") + _dtype("O8", _state(63))
    scalar += stack_global("uuid", "UUID") + b"\x86R"
    yield hostile("class-through-a-scalar", PROTO4 + scalar + b".", UNDECIDED)
    from_type = stack_global("torch._tensor", "_rebuild_from_type_v2") + b"("
    from_type += stack_global("numpy", "dtype") + stack_global("numpy.dtypes", "ObjectDType")
    from_type += text("O8") + b"\x85" + _state(0) + b"tR."
    yield hostile("dtype-by-torch", PROTO4 + from_type, UNDECIDED)


CASES = [
    case
    for group in (_opcodes, _memo, _undecided, _broken, _several, _joblib, _encoded, _numpy)
    for case in group()
]
