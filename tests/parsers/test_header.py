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
        (b"[1, 2]", "text"),
        (b"<?xml version='1.0'?>", "web-page"),
        (b"\xef\xbb\xbf<html>", "web-page"),
        (b"....TFL3", "archive"),
        (b"(lp0\nI1\na.", "archive"),
        (b"cos\nsystem\n(S'true'\ntR.", "archive"),
        (b"\x7fELF" + bytes(60), "executable"),
        (b"\xcf\xfa\xed\xfe" + bytes(60), "executable"),
        (b"MZ\x90\0" + bytes(60), "executable"),
        (b"\0\x05\x16\x07" + bytes(60), "apple-double"),
        (b"Entry \xff not found", "bad-magic"),
        (b"\xff\xfe" + bytes(60), "bad-magic"),
    ],
)
def test_first_bytes_have_names(head: bytes, kind: str) -> None:
    assert identify(head, len(head)).kind == kind


SHA256 = "83eb79b87f872983aed070131b82bed366c55488616df41abf23a5e6d4b1f35c"


@pytest.mark.parametrize("expected", ["gguf", "safetensors"])
@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        pytest.param(b"Entry not found", "text", "a text: 'Entry not found'", id="entry"),
        pytest.param(b"Not found\n", "text", "a text: 'Not found'", id="line"),
        pytest.param(b"403", "text", "a text: '403'", id="shorter-than-a-length"),
        pytest.param(b"#!/bin/sh\nwget x\n", "text", "'#!/bin/sh\\nwget x'", id="script"),
        pytest.param(
            b"Access to model acme/demo is restricted. You must be authenticated to access it.",
            "text",
            "You must be authenticated to access it.'",
            id="gated",
        ),
        pytest.param(b"\xef\xbb\xbferror code: 1015", "text", "'error code: 1015'", id="bom"),
        pytest.param(
            "\ufeffEntry not found".encode("utf-16-le"),
            "text",
            "a text in UTF-16: 'Entry not found'",
            id="utf-16-le",
        ),
        pytest.param(
            "\ufeffNicht gefunden: größe".encode("utf-16-be"), "text", "in UTF-16", id="utf-16-be"
        ),
        pytest.param(
            "Größe ".encode() * 400, "text", "a text that starts with 'Gr\\xf6\\xdfe ", id="long"
        ),
        pytest.param(
            f"../../blobs/{SHA256}".encode(),
            "link-text",
            f"a link that was copied as a text: '../../blobs/{SHA256}'",
            id="link-of-the-hub",
        ),
        pytest.param(b"/mnt/models/m\n", "link-text", "'/mnt/models/m'", id="absolute-link"),
        pytest.param(
            b"<Error><Code>NoSuchKey</Code></Error>", "web-page", "<Code>NoSuchKey", id="s3-error"
        ),
        pytest.param(
            b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>',
            "web-page",
            "<Code>AccessDenied",
            id="s3-error-declared",
        ),
        pytest.param(
            b'{"error":"Repository not found"}', "json-document", "Repository not", id="json"
        ),
        pytest.param(b"\x9d\xf2\x11 not a text" * 4, "bad-magic", "the bytes '", id="other-bytes"),
        pytest.param(b"gguf" + bytes(60), "bad-magic", "the bytes 'gguf", id="lower-case-magic"),
    ],
)
def test_a_text_under_a_models_name_is_shown(
    expected: Format, data: bytes, kind: str, said: str
) -> None:
    (error,) = read(data, expected).errors
    assert (error.code, error.offset) == (f"{expected}/{kind}", 0)
    assert said in str(error)
    assert " declared" not in str(error)


@pytest.mark.parametrize("expected", ["gguf", "safetensors"])
def test_a_pointer_with_windows_line_ends_says_its_size(expected: Format) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\r\noid sha256:ab\r\nsize 1234\r\n"
    (error,) = read(pointer, expected).errors
    assert "1234 bytes" in str(error)
