"""A second format behind a model, or in its last bytes."""

import io
import pickle
import tarfile
import zipfile

import pytest

from prefect_mutagen.parsers.polyglot import TAIL_SIZE, find_second_format


def zipped(name: str = "run.sh", *, comment: bytes = b"", files: int = 1) -> bytes:
    """Write a ZIP archive."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for number in range(files):
            archive.writestr(f"{name}{number}", "echo hello\n")
        archive.comment = comment
    return into.getvalue()


def _tar() -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    return into.getvalue()


def _find(appended: bytes, tensors: bytes = b"") -> tuple[int, str] | None:
    whole = tensors + appended
    start = max(0, len(whole) - TAIL_SIZE)
    found = find_second_format((len(tensors), appended[:4096]), (start, whole[start:]))
    return None if found is None else (found.offset, found.description)


@pytest.mark.parametrize(
    ("appended", "said"),
    [
        pytest.param(zipped(), "a zip archive", id="zip"),
        pytest.param(b"\0" * 32 + zipped(), "a zip archive", id="zip-after-padding"),
        pytest.param(b"\x7fELF" + bytes(60), "an ELF executable", id="elf"),
        pytest.param(b"\xcf\xfa\xed\xfe" + bytes(60), "a Mach-O executable", id="mach-o"),
        pytest.param(b"MZ\x90\0" + bytes(60), "a Windows executable", id="pe"),
        pytest.param(b"\n#!/bin/sh\necho hello\n", "a script", id="script"),
        pytest.param(b"#!/usr/bin/python3\n\xff\xfe", "a script", id="script-not-utf-8"),
        pytest.param(pickle.dumps(print, 2), "a Python pickle", id="pickle"),
        pytest.param(pickle.dumps(print, 0), "a Python pickle", id="pickle-protocol-0"),
        pytest.param(_tar(), "a tar archive", id="tar"),
        pytest.param(b"\x1f\x8b\x08" + bytes(20), "a gzip archive", id="gzip"),
        pytest.param(b"GGUF\3\0\0\0" + bytes(16), "a GGUF file", id="another-model"),
        pytest.param(b"<html><script>", "a web page", id="web-page"),
    ],
)
def test_what_is_appended_is_named(appended: bytes, said: str) -> None:
    found = _find(appended, b"\x11" * 100)
    assert found is not None
    assert found[1].startswith(said)
    assert found[0] == 100 + len(appended) - len(appended.lstrip(b"\0\n"))


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(zipped(), id="plain"),
        pytest.param(zipped(comment=b"c" * 65535), id="longest-comment"),
        pytest.param(zipped(files=2000), id="directory-longer-than-the-tail"),
        pytest.param(zipped() + bytes(300), id="padded"),
        pytest.param(
            b"PK\x06\x07" + bytes(16) + b"PK\x05\x06" + bytes(8) + b"\xff" * 8 + bytes(2),
            id="zip64",
        ),
    ],
)
def test_an_archive_in_the_last_tensor_is_seen(archive: bytes) -> None:
    found = find_second_format((9, b""), (70_000 - len(archive), archive[-TAIL_SIZE:]))
    assert found is not None
    assert "zip archive" in found.description


@pytest.mark.parametrize(
    "appended",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bytes(4096), id="zeros"),
        pytest.param(b"A" * 5000, id="letters"),
        pytest.param(b"\xa7\x01" * 500, id="bytes"),
        pytest.param(b"x PK\x05\x06" + b"\x99" * 18, id="chance"),
        pytest.param(b"x PK\x05\x06" + bytes(4), id="end-record-cut"),
        pytest.param(b"text PK\x05\x06" + bytes(8) + b"\1\0\0\0" + bytes(6), id="no-directory"),
    ],
)
def test_other_bytes_are_no_second_format(appended: bytes) -> None:
    assert _find(appended, b"\x11" * 200) is None
