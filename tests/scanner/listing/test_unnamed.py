"""Files whose names say nothing are looked into once, and are what their first bytes are."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.listing.unnamed import LEAST_SIZE, begins_like_weights, says_nothing
from prefect_mutagen.scanner.storage.opening import open_store
from tests.builders import gguf
from tests.parsers.pickle_builders import PAYLOAD, PROTO2
from tests.scanner.storing import put_local

GGUF = gguf(tensors=(("a.weight", (512, 1024), 0),)).data
HOSTILE = PROTO2 + PAYLOAD + b"." + bytes(LEAST_SIZE)
NOISE = b"\x01\xfe" * LEAST_SIZE


def _torch(stream: bytes) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr("archive/data.pkl", stream)
        archive.writestr("archive/data/0", bytes(LEAST_SIZE))
    return into.getvalue()


@pytest.mark.parametrize(
    ("path", "size", "silent"),
    [
        ("a/model", LEAST_SIZE, True),
        ("a/model", LEAST_SIZE - 1, False),
        ("a/model", -1, False),
        ("a/weights.dat", LEAST_SIZE, True),
        ("a/.hidden", LEAST_SIZE, True),
        ("a/m.gguf", LEAST_SIZE, False),
        ("a/m.bin", LEAST_SIZE, False),
        ("a/LICENSE", LEAST_SIZE, False),
        ("a/picture.png", LEAST_SIZE, False),
        ("blobs/sha256-" + "ab" * 32, LEAST_SIZE, False),
        ("models--o--m/blobs/" + "ab" * 32, LEAST_SIZE, False),
    ],
)
def test_names_that_say_nothing(path: str, size: int, silent: bool) -> None:  # noqa: FBT001
    assert says_nothing(path, size) == silent


@pytest.mark.parametrize(
    "head",
    [
        b"\x89HDF\r\n\x1a\n",
        b"\x1c\0\0\0TFL3",
        b"lmgg\1\0\0\0",
        b"tjgg\3\0\0\0",
        b"\x80\x04\x95\x10\0\0\0\0\0\0\0}",
        GGUF[:64],
    ],
    ids=["hdf5", "tflite", "ggml", "ggjt", "pickle", "gguf"],
)
def test_first_bytes_of_weights(head: bytes) -> None:
    assert begins_like_weights(head.ljust(1024, b"\0"), 1 << 21)
    assert not begins_like_weights(b"x" + head, 1 << 21)


FILES = {
    "model": ("gguf", "passed"),
    "weights.dat": ("gguf", "passed"),
    "pickle": ("pickle", "failed"),
    "checkpoint": ("pytorch", "failed"),
}


def test_content_decides(tmp_path: Path) -> None:
    torch = _torch(PROTO2 + PAYLOAD + b".")
    contents = {"model": GGUF, "weights.dat": GGUF, "pickle": HOSTILE, "checkpoint": torch}
    root = put_local(tmp_path, contents | {"noise": NOISE, "small": GGUF[:1000]})
    found = {Path(one.url).name: (one.sbom.format, one.verdict.status) for one in scan(root)}
    assert found == FILES


def test_a_model_without_a_name_has_its_files_beside_it(tmp_path: Path) -> None:
    card = b"---\nlicense: mit\n---\n"
    (result,) = scan(
        put_local(tmp_path, {"model": GGUF, "README.md": card, "x.pkl": b"\x80\x02}."})
    )
    assert result.license_spdx == "MIT"
    assert "set/pickle-beside" in {one.code for one in result.findings}


def test_a_second_scan_into_a_table_reads_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = put_local(tmp_path / "root", {"model": GGUF, "noise": NOISE, "other.dat": NOISE})
    reads: list[str] = []
    store = type(open_store(root))
    original = store.read

    async def read(self: Any, item: Any, start: int, end: int) -> Any:
        reads.append(os.path.basename(item.url))
        return await original(self, item, start, end)

    monkeypatch.setattr(store, "read", read)
    command = ["scan", root, "--table", str(tmp_path / "table"), "--format", "table"]
    assert main(command) == 0
    assert {"model", "noise", "other.dat"} <= set(reads)
    assert reads.count("noise") == reads.count("other.dat") == 1
    reads.clear()
    assert main(command) == 0
    assert reads == []
    assert capsys.readouterr().out.count("1 model file examined; 2 not understood") == 2
    reads.clear()
    (tmp_path / "root/noise").write_bytes(NOISE[2:])
    assert main(command) == 0
    assert set(reads) == {"noise"}
    assert len(list((tmp_path / "table/looked").glob("*/*.parquet"))) == 1
