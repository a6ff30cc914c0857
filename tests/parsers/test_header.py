import pytest

from prefect_mutagen.parsers import (
    Format,
    GgufHeader,
    NeedBytes,
    SafetensorsHeader,
    UnknownHeader,
    identify,
    read_header,
)
from tests.builders import gguf, safetensors
from tests.parsers.reading import read
from tests.parsers.safetensors_cases import GOOD

GGUF = gguf().data
SAFETENSORS = safetensors('{"a":%s}' % GOOD, 4)


@pytest.mark.parametrize("expected", ["gguf", "safetensors", None])
def test_the_content_decides_the_format(expected: Format | None) -> None:
    assert isinstance(read(GGUF, expected), GgufHeader)
    assert isinstance(read(SAFETENSORS, expected), SafetensorsHeader)


@pytest.mark.parametrize(
    ("data", "expected", "code"),
    [
        (GGUF, "safetensors", "safetensors/wrong-format"),
        (SAFETENSORS, "gguf", "gguf/wrong-format"),
        (b"hello, this is text", None, "sbom/not-a-model"),
        (b"", None, "sbom/not-a-model"),
        (bytes(100), None, "sbom/not-a-model"),
    ],
)
def test_a_wrong_promise_is_an_error(data: bytes, expected: Format | None, code: str) -> None:
    header = read(data, expected)
    assert [error.code for error in header.errors] == [code]
    assert isinstance(header, UnknownHeader) == (code == "sbom/not-a-model")


def test_a_pointer_says_the_size_it_names() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 4920739232\n"
    (error,) = read(pointer, "gguf").errors
    assert "4920739232 bytes" in str(error)


def test_an_empty_file_needs_no_bytes() -> None:
    assert isinstance(read_header(0, "gguf").feed(b""), UnknownHeader)


def test_the_position_counts_what_was_fed() -> None:
    reader = read_header(len(GGUF), "gguf")
    assert isinstance(reader.feed(GGUF[:10]), NeedBytes)
    assert reader.position == 10


def test_bytes_beyond_the_header_do_no_harm() -> None:
    header = read(GGUF, "gguf")
    assert header.complete
    assert header.header_size < len(GGUF)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"GG", "bad-magic"),
        (b"\x02\0\0\0\0\0\0\0{}", "safetensors"),
        (b"\x04\0\0\0\0\0\0\0 \n{}", "safetensors"),
        (b"\x04\0\0\0\0\0\0\0[  ]", "bad-magic"),
        (b"{}", "json-document"),
        (b"[1, 2]", "bad-magic"),
        (b"<?xml version='1.0'?>", "web-page"),
        (b"\xef\xbb\xbf<html>", "web-page"),
        (b"....TFL3", "archive"),
    ],
)
def test_first_bytes_have_names(head: bytes, kind: str) -> None:
    assert identify(head, len(head)).kind == kind
