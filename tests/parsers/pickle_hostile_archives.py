"""Hostile archives of pickles: tricks of ZIP, and pickles under other names."""

import bz2
import gzip
import io
import lzma
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator

from tests.parsers.pickle_builders import (
    PAYLOAD,
    PROTO2,
    central,
    local,
    npy,
    patched,
    state_dict,
    tarred,
    torch_tar,
    torch_zip,
    zipped,
)
from tests.parsers.pickle_case import UNREADABLE, Case, hostile

OS = "os.system"
EVIL = PROTO2 + PAYLOAD + b"."
HONEST = state_dict({"w": (2, 2)})
RAW = {"0": bytes(16)}


def _entries() -> Iterator[Case]:
    yield hostile("data", torch_zip(EVIL), OS)
    yield hostile("data-deflated", zipped({"a/data.pkl": EVIL}, zipfile.ZIP_DEFLATED), OS)
    yield hostile("data-in-bzip2", zipped({"a/data.pkl": EVIL}, zipfile.ZIP_BZIP2), OS)
    yield hostile("data-in-lzma", zipped({"a/data.pkl": EVIL}, zipfile.ZIP_LZMA), UNREADABLE)
    yield hostile("any-top-folder", zipped({"x/y/z/data.pkl": EVIL}), OS)
    yield hostile("no-top-folder", zipped({"data.pkl": EVIL}), OS)
    yield hostile("name-in-capitals", zipped({"archive/DATA.PKL": EVIL}), OS)
    yield hostile("name-with-a-backslash", zipped({"archive\\data.pkl": EVIL}), OS)
    for name in ("byteorder", "version", ".data/serialization_id", "constants.pkl", "extra/x.txt"):
        entries = {"a/data.pkl": HONEST, "a/data/0": bytes(16), f"a/{name}": EVIL}
        yield hostile(f"pickle-as-{name}", zipped(entries), OS)
    yield hostile("pickle-as-a-storage", torch_zip(HONEST, {"0": EVIL.ljust(17, b".")}), OS)
    yield hostile("pickle-as-another-storage", torch_zip(HONEST, RAW | {"1": EVIL}), OS)
    plain = zipped({"a/data.pkl": HONEST, "a/data/0": bytes(16), "a/notes": PAYLOAD + b"."})
    yield hostile("protocol-0-under-another-name", plain, OS)
    yield hostile("archive-in-an-archive", zipped({"model.pt": torch_zip(EVIL)}), OS)
    inner = zipped({"model": torch_zip(EVIL)}, zipfile.ZIP_DEFLATED)
    yield hostile("deflated-archive-in-an-archive", inner, OS)
    script = zipped({"m/data.pkl": HONEST, "m/constants.pkl": b"\x80\x02).", "m/code/a.py": b"#"})
    yield hostile("torchscript", script, "pickle/code-in-archive")
    yield hostile(
        "package", zipped({"m/data.pkl": EVIL, "m/x.py": b"1"}), "pickle/code-in-archive", OS
    )


def _tricks() -> Iterator[Case]:
    plain = torch_zip(EVIL)
    entry = central(plain, "data.pkl")
    own = local(plain, "data.pkl")
    yield hostile("prefix", b"#!/bin/sh\n" + plain, OS, "zip/prefix")
    yield hostile("pickle-before-an-archive", EVIL + torch_zip(HONEST, RAW), OS, "zip/prefix")
    yield hostile("archive-behind-a-pickle", pickle.dumps(1) + plain, OS, "zip/prefix")
    yield hostile("comment", plain[:-2] + b"\x05\0hello", OS)
    encrypted = patched(plain, entry + 8, b"\x01\0")
    yield hostile("encrypted-flag", encrypted, OS, "zip/encrypted", "zip/header-mismatch")
    yield hostile(
        "encrypted-flag-of-both", patched(encrypted, own + 6, b"\x01\0"), OS, "zip/encrypted"
    )
    yield hostile("local-flag", patched(plain, own + 6, b"\x01\0"), OS, "zip/header-mismatch")
    yield hostile(
        "wrong-crc",
        patched(plain, entry + 16, b"\0\0\0\0"),
        OS,
        "zip/wrong-crc",
        "zip/header-mismatch",
    )
    yield hostile("local-crc", patched(plain, own + 14, b"\0\0\0\0"), OS, "zip/header-mismatch")
    yield hostile(
        "local-size", patched(plain, own + 18, b"\1\0\0\0\1\0\0\0"), OS, "zip/header-mismatch"
    )
    yield hostile("local-name", patched(plain, own + 30, b"X"), OS, "zip/header-mismatch")
    yield hostile("local-method", patched(plain, own + 8, b"\x08\0"), OS, "zip/header-mismatch")
    yield hostile("unknown-method", patched(plain, entry + 10, b"\x63\0"), UNREADABLE)
    yield hostile("directory-says-deflated", patched(plain, entry + 10, b"\x08\0"), UNREADABLE)
    yield hostile("no-local-header", patched(plain, own, b"XXXX"), UNREADABLE, "zip/bad-entry")
    yield hostile(
        "entry-beyond-the-file",
        patched(plain, entry + 42, b"\xf0\xff\xff\x7f"),
        UNREADABLE,
        "zip/bad-entry",
    )
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("a/data.pkl", EVIL)
        archive.writestr("a/DATA.pkl", HONEST)
    yield hostile("duplicate-but-for-case", twice.getvalue(), OS, "zip/duplicate-name")
    same = twice.getvalue().replace(b"DATA", b"data")
    yield hostile("duplicate", same, OS, "zip/duplicate-name")
    two = plain + torch_zip(HONEST, RAW)
    yield hostile("two-archives", two, OS, "zip/two-directories")
    yield hostile("two-archives-the-other-way", torch_zip(HONEST, RAW) + plain, OS)
    end = plain.rfind(b"PK\x05\x06")
    lying = patched(plain, end + 16, struct.pack("<I", 5))
    yield hostile("directory-offset-lies", lying, UNREADABLE, "zip/bad-entry")
    yield hostile("no-directory", plain[:-60], "zip/no-directory")
    yield hostile("cut-directory", plain[: end - 10] + plain[end:], "zip/no-directory")
    end = plain.rfind(b"PK\x05\x06")
    first = plain[entry : plain.find(b"PK\x01\x02", entry + 1)]
    benign = patched(plain[plain.find(b"PK\x01\x02") : end], 0, patched(first, 20, b"\2\0\0\0" * 2))
    start = struct.unpack_from("<L", plain, end + 16)[0]
    two = plain[:end] + benign + patched(plain[end:], 16, struct.pack("<I", start))
    yield hostile("two-directories-of-one-archive", two, OS, "zip/two-directories")
    before = patched(plain, plain.rfind(b"PK\x05\x06") + 16, struct.pack("<L", len(plain)))
    yield hostile("entries-before-the-file", before, UNREADABLE, "zip/bad-entry")
    named = zipped({"a\x1b[31m\n.pkl": bytes(40)}, zipfile.ZIP_DEFLATED)
    at = local(named, "a\x1b") + 30 + 10
    yield hostile("escapes-in-a-name", patched(named, at, b"\xff\xff"), UNREADABLE)
    torn = patched(plain, central(plain, "byteorder"), b"XXXX")
    yield hostile("torn-directory", torn, OS, "zip/bad-entry")
    gap = plain[:own] + bytes(70_000) + plain[own:]
    yield hostile("bytes-in-front", gap, OS, "zip/prefix")


def _others() -> Iterator[Case]:
    yield hostile("object-array", npy(EVIL, "'|O'"), OS)
    yield hostile("object-array-version-3", npy(EVIL, "'|O'", version=3), OS)
    yield hostile("structured-object-array", npy(EVIL, "[('a', '<f4'), ('b', '|O')]"), OS)
    yield hostile("npz", zipped({"a.npy": npy(EVIL, "'|O'")}), OS)
    yield hostile("npz-deflated", zipped({"a.npy": npy(EVIL, "'O'")}, zipfile.ZIP_DEFLATED), OS)
    yield hostile("npz-other-name", zipped({"a": npy(EVIL, "'|O'"), "b.npy": npy(bytes(4))}), OS)
    yield hostile("npy-pickle-behind", npy(bytes(4) + EVIL), OS)
    yield hostile("npy-header-is-code", npy(b"", "__import__('os')"), UNREADABLE)
    yield hostile("npy-endless-shape", npy(b"", shape=f"({2**62}, {2**62})"), UNREADABLE)
    yield hostile("npy-deep-header", npy(b"", "(" * 5000 + ")" * 5000), UNREADABLE)
    yield hostile("npy-unknown-version", npy(b"", version=1)[:6] + b"\x09\0", UNREADABLE)
    yield hostile("tar-object", torch_tar(EVIL), OS)
    yield hostile("tar-storages", torch_tar(HONEST, EVIL), OS)
    yield hostile("tar-of-a-pickle", tarred({"model.bin": EVIL}), OS)
    yield hostile("tar-of-an-archive", tarred({"model": torch_zip(EVIL)}), OS)
    yield hostile("tar-whose-first-name-is-a-pickle", tarred({f"{PAYLOAD.decode()}.x": b"x"}), OS)
    for name, packed in (
        ("gzip", gzip.compress(EVIL)),
        ("zlib", zlib.compress(EVIL)),
        ("bzip2", bz2.compress(EVIL)),
        ("xz", lzma.compress(EVIL)),
        ("lzma", lzma.compress(EVIL, lzma.FORMAT_ALONE)),
        ("gzip-second-member", gzip.compress(pickle.dumps(1)) + gzip.compress(EVIL)),
        ("gzip-of-gzip", gzip.compress(gzip.compress(EVIL))),
    ):
        yield hostile(name, packed, OS)
    yield hostile("lz4", b"\x04\x22\x4d\x18" + EVIL, UNREADABLE)
    yield hostile(
        "gzip-bomb",
        gzip.compress(PROTO2 + b"B\0\0\0\x10" + bytes(1 << 28) + b"."),
        "pickle/unexamined",
    )


CASES = [case for group in (_entries, _tricks, _others) for case in group()]
