"""Headers made to break whoever reads them: each in a process of its own, its peak memory measured.

How long each one takes is printed by ``python -m tests.benchmarks.headers``; here only hanging is a
failure.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_mutagen.parsers import Format, NeedBytes, read_header
from tests.builders import ARRAY, STRING, U8, U32, gguf, safetensors, u32, u64
from tests.memory import peak_apart
from tests.parsers.safetensors_cases import GOOD

MB = 1 << 20


def read_apart(tmp_path: Path, data: bytes, expected: Format, size: int = 0) -> tuple[int, str]:
    """Read a header in a process of its own: megabytes at its peak, and the codes of the errors."""
    path = tmp_path / "hostile"
    path.write_bytes(data)
    peak, codes = peak_apart(read_file, str(path), expected, size or len(data))
    return int(peak), codes


def read_file(path: str, expected: Format, size: int) -> str:
    """Read a header; the codes of its errors."""
    handle = os.open(path, os.O_RDONLY)
    reader = read_header(size, expected)
    answer = reader.feed(b"")
    while isinstance(answer, NeedBytes):
        count = max(answer.upto - reader.position, 1 << 20)
        answer = reader.feed(os.pread(handle, count, reader.position))
    return ",".join(error.code for error in answer.errors if error.severity == "error")


def _extra(value: str) -> bytes:
    """A sound tensor with a field that nobody defined."""
    return safetensors('{"a":' + GOOD[:-1] + ',"x":' + value + "}}", 4)


SMALL: dict[str, tuple[Format, Callable[[], bytes], str]] = {
    "gguf-n-kv-2^62": ("gguf", lambda: gguf(patch={"n_kv": u64(2**62)}).data, "gguf/truncated"),
    "gguf-string-2^63": (
        "gguf",
        lambda: gguf(patch={"k0.value": u64(2**63)}).data,
        "gguf/string-too-long",
    ),
    "gguf-array-of-2^61": (
        "gguf",
        lambda: gguf((("x", ARRAY, (10, [1])),), patch={"k0.count": u64(2**61)}).data,
        "gguf/array-too-long",
    ),
    "gguf-30-million-bytes": (
        "gguf",
        lambda: gguf((("x", ARRAY, (U8, b"\1" * 30_000_000)),)).data,
        "",
    ),
    "gguf-4-million-empty-strings": (
        "gguf",
        lambda: gguf((("x", ARRAY, (STRING, [b""] * 4_000_000)),)).data,
        "",
    ),
    "gguf-100000-nested-arrays": (
        "gguf",
        lambda: (
            gguf(
                (("x", ARRAY, (U32, [1])),),
                patch={"k0.element": u32(ARRAY), "k0.items": (u32(ARRAY) + u64(1)) * 100_000},
            ).data
        ),
        "gguf/nested-array",
    ),
    "gguf-900000-keys": (
        "gguf",
        lambda: gguf([(f"k{number}", U8, 1) for number in range(900_000)]).data,
        "gguf/header-too-large",
    ),
    "safetensors-200000-levels": (
        "safetensors",
        lambda: _extra("[" * 200_000),
        "safetensors/nesting-too-deep",
    ),
    "safetensors-5000-digits": (
        "safetensors",
        lambda: _extra("1" * 5000),
        "safetensors/bad-json",
    ),
    "safetensors-5-MB-of-escapes": (
        "safetensors",
        lambda: safetensors('{"' + "\\u0061" * 850_000 + '":' + GOOD + "}", 4),
        "",
    ),
    "safetensors-million-objects": (
        "safetensors",
        lambda: _extra("[" + '{"y":1},' * 1_000_000 + "0]"),
        "safetensors/too-complex",
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_memory_stays_below_150_megabytes(tmp_path: Path, name: str) -> None:
    expected, build, code = SMALL[name]
    peak, codes = read_apart(tmp_path, build(), expected)
    assert codes == code
    assert peak < 150


def large_header(count: int) -> tuple[bytes, int]:
    """A sound header of so many tensors, without its data; and the size of the whole file."""
    rows = (
        f'"model.layers.{number // 9}.self_attn.weight{number % 9}":'
        f'{{"dtype":"BF16","shape":[4,4],"data_offsets":[{32 * number},{32 * number + 32}]}}'
        for number in range(count)
    )
    header = ("{" + ",".join(rows) + "}").encode()
    return u64(len(header)) + header, 8 + len(header) + 32 * count


LARGE: dict[str, tuple[Callable[[], tuple[bytes, int]], str]] = {
    "850000-tensors": (lambda: large_header(850_000), ""),
    "empty-arrays-in-a-field": (lambda: (_extra("[" + "[]," * 29_000_000 + "0]"), 0), ""),
    "empty-arrays-for-a-tensor": (
        lambda: (safetensors('{"a":[' + "[]," * 29_000_000 + "0]}", 4), 0),
        "safetensors/bad-tensor,safetensors/bad-dtype,safetensors/bad-offsets",
    ),
    "a-shape": (
        lambda: (
            safetensors(
                '{"a":{"dtype":"F32","shape":[' + "1," * 44_000_000 + '1],"data_offsets":[0,4]}}',
                4,
            ),
            0,
        ),
        "safetensors/too-complex",
    ),
    "a-name": (lambda: (safetensors('{"' + "a" * 88_000_000 + '":' + GOOD + "}", 4), 0), ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_header_of_90_megabytes_takes_no_more_than_three_times_that(
    tmp_path: Path, name: str
) -> None:
    data, size = LARGE[name][0]()
    peak, codes = read_apart(tmp_path, data, "safetensors", size)
    assert codes == LARGE[name][1]
    assert peak < 3 * len(data) // MB
