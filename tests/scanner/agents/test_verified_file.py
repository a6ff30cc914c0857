"""What is handed out is what was verified, whatever happens to the name meanwhile."""

import io
import mmap
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from prefect_mutagen.scanner import ArtifactRejected, Policy, StorageError, open_verified, verify
from prefect_mutagen.scanner.agents import verified_file
from prefect_mutagen.scanner.agents.verified_file import VerifiedFile
from tests.builders import gguf, tensor
from tests.builders import safetensors as write_safetensors
from tests.scanner.storing import put_local, put_memory
from tests.servers import S3Server, WebServer

DATA = bytes(range(256)) * 64
MODEL = write_safetensors({"w": tensor("U8", (len(DATA),), 0, len(DATA))}, DATA)
OTHER = write_safetensors({"w": tensor("U8", (len(DATA),), 0, len(DATA))}, DATA[::-1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    put_local(tmp_path, {"m.safetensors": MODEL})
    return tmp_path / "m.safetensors"


def _read_in_every_way(file: VerifiedFile) -> None:
    assert file.result.passed
    assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
    assert file.read() == MODEL
    assert file.read() == b""
    assert file.seek(-10, io.SEEK_END) == len(MODEL) - 10
    assert file.read(100) == MODEL[-10:]
    assert file.seek(0) == 0
    assert file.read(8) == MODEL[:8]
    file.seek(5, io.SEEK_CUR)
    assert file.tell() == 13
    buffer = bytearray(20)
    assert file.readinto(buffer) == 20
    assert buffer == MODEL[13:33]
    assert file.seek(len(MODEL) + 5) == len(MODEL) + 5
    assert file.read(1) == b""
    for offset, whence in ((-1, io.SEEK_SET), (0, 9)):
        with pytest.raises(ValueError, match=r"position|whence|seek"):
            file.seek(offset, whence)


def test_a_local_file(path: Path) -> None:
    with open_verified(str(path), verify(str(path)).pin) as file:
        _read_in_every_way(file)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            assert view[:] == MODEL
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_loaders_take_the_file_or_its_descriptor(path: Path) -> None:
    with open_verified(str(path)) as file:
        os.replace(put_local(path.parent, {"other": OTHER}) + "/other", path)
        assert bytes(safetensors.numpy.load(file.read())["w"]) == DATA
        with safetensors.safe_open(f"/proc/self/fd/{file.fileno()}", "np") as model:
            assert np.array_equal(model.get_tensor("w"), np.frombuffer(DATA, np.uint8))


def test_what_does_not_pass_is_not_opened(path: Path, tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    path.write_bytes(MODEL[:50])
    with pytest.raises(ArtifactRejected, match=r"m\.safetensors"), open_verified(str(path)):
        pass
    path.write_bytes(MODEL)
    with pytest.raises(ArtifactRejected), open_verified(str(path), policy=Policy(max_size_bytes=1)):
        pass
    with pytest.raises(StorageError) as caught, open_verified(str(tmp_path)):
        pass
    assert caught.value.code == "storage/not-a-file"
    with pytest.raises(StorageError) as caught, open_verified(str(tmp_path / "nowhere")):
        pass
    assert caught.value.code == "storage/not-found"
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(StorageError, match="not a regular file"):  # noqa: SIM117 - one is enough
        with open_verified(str(tmp_path / "pipe.gguf")):
            pass
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("other", [OTHER, MODEL], ids=["other-bytes", "same-bytes"])
def test_a_file_swapped_after_it_was_pinned_is_refused(path: Path, other: bytes) -> None:
    pin = verify(str(path)).pin
    os.replace(put_local(path.parent, {"other": other}) + "/other", path)
    with pytest.raises(ArtifactRejected) as caught, open_verified(str(path), pin):
        pass
    assert caught.value.reasons[0].code == "storage/other-pin"


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.replace(put_local(path.parent, {"other": OTHER}) + "/other", path),
        os.unlink,
        lambda path: os.link(path, f"{path}.copy"),
    ],
    ids=["replaced", "removed", "linked"],
)
def test_a_name_may_come_and_go_while_the_file_is_open(
    path: Path, change: Callable[[Path], None]
) -> None:
    with open_verified(str(path)) as file:
        assert file.read(100) == MODEL[:100]
        change(path)
        assert file.read() == MODEL[100:]
        file.seek(0)
        assert file.read() == MODEL


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(OTHER)


def _overwrite_in_secret(path: Path) -> None:
    before = path.stat()
    _overwrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


@pytest.mark.parametrize(
    "change",
    [_overwrite, _overwrite_in_secret, _append, lambda path: os.truncate(path, 100)],
    ids=["overwritten", "time-set-back", "appended", "cut"],
)
def test_who_writes_into_the_open_file_is_found_out(
    path: Path, change: Callable[[Path], None]
) -> None:
    with pytest.raises(StorageError) as at_the_end, open_verified(str(path)):
        change(path)
    assert at_the_end.value.code == "storage/changed-during-scan"
    path.write_bytes(MODEL)
    stack = ExitStack()
    file = stack.enter_context(open_verified(str(path)))
    change(path)
    for _ in range(2):
        file.seek(50)
        with pytest.raises(StorageError) as at_the_read:
            file.read()
        assert at_the_read.value.code == "storage/changed-during-scan"
        path.write_bytes(MODEL)  # putting the bytes back does not help
    with pytest.raises(StorageError):
        stack.close()


def test_an_error_of_the_caller_is_not_hidden(path: Path) -> None:
    def work() -> None:
        with open_verified(str(path)):
            _overwrite(path)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        work()


def test_an_object_in_a_bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified_file, "_PIECE", 1000)
    bucket = s3_server.bucket({"m.safetensors": MODEL})
    url, options = f"s3://{bucket}/m.safetensors", s3_server.options
    pin = verify(url, storage_options=options).pin
    with open_verified(url, pin, storage_options=options) as file:
        _read_in_every_way(file)
        with pytest.raises(io.UnsupportedOperation):
            file.fileno()
        file.seek(100)
        s3_server.client().put_object(Bucket=bucket, Key="m.safetensors", Body=OTHER)
        file.seek(len(MODEL) // 2)
        with pytest.raises(StorageError) as caught:
            file.read(5000)
        assert caught.value.code == "storage/changed-during-scan"
    with pytest.raises(ArtifactRejected), open_verified(url, pin, storage_options=options):
        pass


def test_a_page_on_the_web(tmp_path: Path) -> None:
    put_local(tmp_path, {"m.safetensors": MODEL})
    with WebServer(tmp_path) as site:
        with open_verified(f"{site.url}/m.safetensors") as file:
            _read_in_every_way(file)
            (tmp_path / "m.safetensors").write_bytes(OTHER)
            file.seek(0)
            with pytest.raises(StorageError):
                file.read()
        site.etags = False
        refused = pytest.raises(StorageError, match="states no version")
        with refused, open_verified(f"{site.url}/m.safetensors"):
            pass


def test_any_other_storage() -> None:
    root = put_memory({"m.safetensors": MODEL, "n.gguf": gguf().data})
    with open_verified(f"{root}/m.safetensors") as file:
        assert file.read() == MODEL
    with pytest.raises(StorageError, match="not a single model file"), open_verified(root):
        pass


def test_verify_computes_a_sha256_that_the_policy_asks_for(path: Path) -> None:
    result = verify(str(path), policy=Policy(require_sha256=True))
    assert result.sha256_source == "computed"
    with open_verified(str(path), policy=Policy(require_sha256=True)) as file:
        assert file.result.sbom.sha256 == result.sbom.sha256
