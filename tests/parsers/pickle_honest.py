"""Honest files of pickles, written by Python, by NumPy, and in torch's and joblib's formats."""

import bz2
import gzip
import io
import lzma
import pickle
import struct
import zipfile
import zlib
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np

from tests.parsers.pickle_builders import (
    PROTO2,
    binary,
    joblib_array,
    miniz,
    npy,
    state_dict,
    text,
    torch_legacy,
    torch_tar,
    torch_zip,
    zipped,
)
from tests.parsers.pickle_case import Case

SHAPES = {"embed.weight": (8, 4), "layers.0.bias": (4,)}
RAW = {"0": bytes(128), "1": bytes(16)}


def honest(name: str, data: bytes, form: str = "pickle") -> Case:
    """Make a case of which nothing is said."""
    return Case(name, data, form=form)


def _plain() -> Iterator[Case]:
    shared = ["x"] * 3
    values: dict[str, Any] = {
        "numbers": [0, 1, -1, 255, 256, 65536, -(2**31), 2**31, 2**70, -(2**200), 1.5, True, None],
        "texts": ["", "a", "é", "\ud800", "x" * 300, "y" * 70_000, "line\nline", "'\"\\"],
        "bytes": [b"", b"ab", bytes(300), bytes(70_000), bytearray(b"abc")],
        "containers": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {1, 2}, frozenset((3,)), {}],
        "shared": {"a": shared, "b": shared},
        "library": [
            OrderedDict(a=1),
            Counter("aab"),
            deque([1]),
            defaultdict(list),
            complex(1, 2),
            Decimal("1.5"),
            Fraction(1, 3),
            timedelta(1),
            datetime.now(UTC),
            range(3),
            slice(1, 2),
        ],
        "many": list(range(5000)) + [str(number) for number in range(3000)],
        "arrays": {"a": np.zeros((3, 4), "f4"), "b": {"c": np.arange(5), "d": np.float64(2)}},
        "array-kinds": [
            np.zeros(2, kind)
            for kind in ("?", "i1", "u2", "i8", "f2", "f8", "c8", "S3", "U3", ">f4", "M8[s]")
        ],
    }
    for name, value in values.items():
        for protocol in range(6):
            yield honest(f"{name}-{protocol}", pickle.dumps(value, protocol))
    yield honest("uuid", pickle.dumps(UUID(int=5), 2))
    yield honest("large-array", pickle.dumps(np.zeros(500_000, "f4"), 5))
    nested: list[Any] = []
    for _ in range(300):
        nested = [nested]
    yield honest("nested", pickle.dumps(nested, 2))


def _torch() -> Iterator[Case]:
    stream = state_dict(SHAPES)
    yield honest("torch-zip", torch_zip(stream, RAW), "torch-zip")
    entries = {"m/data.pkl": stream, "m/.format_version": b"1", "m/.storage_alignment": b"64"}
    entries |= {"m/byteorder": b"little", "m/data/0": RAW["0"], "m/data/1": RAW["1"]}
    entries |= {"m/version": b"3\n", "m/.data/serialization_id": b"0" * 40}
    yield honest("torch-zip-of-torch", miniz(entries), "torch-zip")
    yield honest("torch-zip-empty", torch_zip(PROTO2 + b"}."), "torch-zip")
    yield honest("torch-legacy", torch_legacy(stream, RAW), "torch-legacy")
    yield honest("torch-tar", torch_tar(PROTO2 + b"}."), "torch-tar")
    odd = {"0": b"cos\nsystem\n(S'id'\ntR.".ljust(128, b"\x80"), "1": b"\x80\x02cos\nsystem\n.xx"}
    yield honest("torch-zip-raw-data-is-anything", torch_zip(stream, odd), "torch-zip")
    yield honest("torch-legacy-raw-data-is-anything", torch_legacy(stream, odd), "torch-legacy")
    for kind in ("HalfStorage", "BFloat16Storage", "LongStorage", "BoolStorage"):
        width = {"HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "BoolStorage": 1}[kind]
        raw = {"0": bytes(8 * width)}
        yield honest(kind, torch_zip(state_dict({"w": (2, 4)}, kind), raw), "torch-zip")


def _archives() -> Iterator[Case]:
    for name, save in (("npz", np.savez), ("npz-deflated", np.savez_compressed)):
        buffer = io.BytesIO()
        save(buffer, a=np.zeros((2, 3)), b=np.arange(70_000))
        yield honest(name, buffer.getvalue(), "npz")
    for name, array in (
        ("npy", np.zeros((2, 3), "f4")),
        ("npy-records", np.zeros(3, [("a", "<f4"), ("b", "<i8", (2,))])),
        ("npy-objects", np.array([{1: 2}, None, "x"], dtype=object)),
        ("npy-empty", np.zeros((0, 3))),
        ("npy-scalar", np.array(1.0)),
    ):
        buffer = io.BytesIO()
        np.save(buffer, array)
        yield honest(name, buffer.getvalue(), "npy")
    yield honest("npy-version-2", npy(bytes(4), version=2), "npy")
    yield honest("no-pickle-in-a-zip", zipped({"readme.txt": b"carts\nhorses\nRoads\n"}), "zip")
    yield honest("empty-zip", zipped({}), "zip")
    stream = pickle.dumps({"a": 1}, 4)
    for name, packed in (
        ("gzip", gzip.compress(stream)),
        ("zlib", zlib.compress(stream)),
        ("bzip2", bz2.compress(stream)),
        ("xz", lzma.compress(stream)),
    ):
        yield honest(name, packed)
    large = gzip.compress(pickle.dumps(np.arange(400_000), 4))
    yield honest("gzip-large", large)
    deflated = zipped({"m/data.pkl": pickle.dumps([1] * 9000)}, zipfile.ZIP_DEFLATED)
    yield honest("torch-zip-deflated", deflated, "torch-zip")


def _joblib() -> Iterator[Case]:
    floats = struct.pack("<300f", *range(300))
    body = PROTO2 + b"}(" + text("w") + joblib_array(floats, 300) + text("n") + b"K\x01u."
    yield honest("joblib", body, "joblib")
    yield honest("joblib-gzip", gzip.compress(body), "joblib")
    old = PROTO2 + b"}(" + text("w") + joblib_array(floats, 300, alignment=b"N") + b"u."
    yield honest("joblib-before-alignment", old, "joblib")
    objects = joblib_array(pickle.dumps(["a", "b"], 2), 2, "O8", b"N")
    yield honest("joblib-objects", PROTO2 + objects + b".", "joblib")
    yield honest("byte-string-that-starts-like-one", PROTO2 + binary(b"\x80\x04\xff\xff") + b".")


CASES = [case for group in (_plain, _torch, _archives, _joblib) for case in group()]
