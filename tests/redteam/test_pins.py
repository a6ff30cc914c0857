"""What is pinned is what is used: other bytes, or other files beside them, under the old pin."""

import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_mutagen.scanner import ArtifactRejected, scan, verify
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.table.table import Table
from tests.builders import STRING, gguf
from tests.scanner.storing import put_local
from tests.servers import WebServer
from tests.synthetic_contents import MODIFIED, Written
from tests.synthetic_s3 import SyntheticS3

GOOD = gguf((("general.architecture", STRING, "llama"), ("tokenizer.chat_template", STRING, "ab")))
DATA = GOOD.data
OTHER = DATA.replace(b"llama", b"qwen2")
"""As long as the other, with another header."""
TENSORS = DATA[:-8] + b"otherdat"
"""As long as the other, and only the tensors differ."""
FILES = {
    "m.gguf": DATA,
    "config.json": b'{"a": 1}',
    "README.md": b"---\nlicense: mit\n---\n",
    "chat_template.jinja": b"{{ messages }}",
    "modeling_x.py": b"x = 1\n",
    "tokenizer.json": b"{}",
}
assert len(OTHER) == len(TENSORS) == len(DATA)


def _put_times_back(path: Path, status: os.stat_result) -> None:
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(TENSORS)


def _truncate_and_write(path: Path) -> None:
    path.write_bytes(TENSORS)


def _write_at_an_offset(path: Path) -> None:
    handle = os.open(path, os.O_WRONLY)
    os.pwrite(handle, b"X", len(DATA) - 1)
    os.close(handle)


def _write_through_memory(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[-4:] = b"evil"
        memory.flush()


def _write_through_a_link(path: Path) -> None:
    other = path.with_suffix(".other")
    os.link(path, other)
    _overwrite(other)
    other.unlink()


def _replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(TENSORS)
    other.replace(path)


def _put_behind_a_link(path: Path) -> None:
    other = path.parent / "elsewhere"
    other.write_bytes(TENSORS)
    path.unlink()
    path.symlink_to(other)


def _beside(name: str, data: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        place = path.parent / name
        status = place.stat() if place.exists() else path.stat()
        place.write_bytes(data)
        _put_times_back(place, status)

    return change


ATTEMPTS: dict[str, Callable[[Path], None]] = {
    "overwritten in place": _overwrite,
    "truncated and written": _truncate_and_write,
    "one byte at an offset": _write_at_an_offset,
    "written through memory": _write_through_memory,
    "written through a link": _write_through_a_link,
    "replaced by rename": _replace,
    "replaced by a link": _put_behind_a_link,
    "config of the same length": _beside("config.json", b'{"a": 2}'),
    "template of the same length": _beside("chat_template.jinja", b"{{ message5}}}"[:14]),
    "code of the same length": _beside("modeling_x.py", b"x = 2\n"),
    "card of the same length": _beside("README.md", b"---\nlicense: mil\n---\n"),
    "tokenizer, which is not read": _beside("tokenizer.json", b"[]"),
    "code that was not there": _beside("modeling_y.py", b"x = 1\n"),
    "pickle that was not there": _beside("pytorch_model.bin", b"\x80\x02}."),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put_local(tmp_path / "m", FILES)
    return tmp_path / "m"


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_other_bytes_are_refused(attempt: Callable[[Path], None], folder: Path) -> None:
    path = folder / "m.gguf"
    (result,) = scan(str(folder))
    assert verify(str(path), result.pin).pin == result.pin
    status = path.stat()
    attempt(path)
    _put_times_back(path, status)
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    with pytest.raises(ArtifactRejected) as refused:
        verify(str(path), result.pin)
    assert refused.value.reasons[0].code == "storage/other-pin"
    ran = folder / "ran"
    words = ["exec", str(path), "--pin", result.pin, "--", "touch", str(ran)]
    assert main(words) == 4
    assert not ran.exists()


def _rescan(folder: Path, *more: str) -> ScanResult:
    table = folder.parent / "table"
    main(["scan", str(folder), "--table", str(table), "--format", "table", *more])
    (result,) = Table(str(table), str(folder)).read_state().values()
    return result


@pytest.mark.parametrize("level", ["stored", "full"])
@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_other_bytes_are_a_change(
    attempt: Callable[[Path], None], level: str, folder: Path
) -> None:
    path = folder / "m.gguf"
    first = _rescan(folder, "--hash", level)
    status = path.stat()
    attempt(path)
    _put_times_back(path, status)
    second = _rescan(folder, "--hash", level)
    assert second.drift == "changed"
    assert second.pin != first.pin
    if level == "full" and path.read_bytes() != DATA:
        assert second.sbom.sha256 != first.sbom.sha256


TOUCHES: dict[str, Callable[[Path], object]] = {
    "chmod": lambda path: path.chmod(0o600),
    "link": lambda path: os.link(path, path.parent.parent / "link"),
    "rename and back": lambda path: path.rename(path.with_suffix(".x")).rename(path),
    "times set to what they were": lambda path: _put_times_back(path, path.stat()),
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_a_change_time_alone_is_no_change_where_the_bytes_were_hashed(
    touch: Callable[[Path], object], folder: Path
) -> None:
    for name in ("m.gguf", "config.json", "README.md"):
        first = _rescan(folder, "--hash", "full")
        touch(folder / name)
        second = _rescan(folder)  # by default nothing is hashed, but what was is compared
        assert (second.drift, second.verdict) == ("unchanged", first.verdict)
        assert second.pin != first.pin
        assert second.sbom.sha256 == (first.sbom.sha256 if name == "m.gguf" else "")
        verify(str(folder / "m.gguf"), second.pin)
        (folder.parent / "link").unlink(missing_ok=True)


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_without_a_hash_a_change_time_is_another_pin_and_says_what_does_that(
    touch: Callable[[Path], object], folder: Path
) -> None:
    first = _rescan(folder)
    touch(folder / "m.gguf")
    second = _rescan(folder)
    assert second.drift == "changed"
    (change,) = second.drift_details
    assert change.field == "object:m.gguf"
    assert "chmod, chown, link and rename" in change.after
    with pytest.raises(ArtifactRejected, match="chmod, chown, link and rename"):
        verify(str(folder / "m.gguf"), first.pin)


@pytest.mark.parametrize("data", [OTHER, TENSORS, DATA], ids=["header", "tensors", "the same"])
def test_a_size_is_no_pin(data: bytes, tmp_path: Path) -> None:
    put_local(tmp_path / "site", {"m.gguf": DATA})
    with WebServer(tmp_path / "site", etags=False) as site:
        url = f"{site.url}/m.gguf"
        (result,) = scan(url)
        assert result.passed
        assert result.pin.startswith("weak-")
        put_local(tmp_path / "site", {"m.gguf": data})
        with pytest.raises(ArtifactRejected, match="ETag or Last-Modified") as refused:
            verify(url, result.pin)
        assert refused.value.reasons[0].code == "storage/weak-pin"
        with pytest.raises(ArtifactRejected):
            verify(url, result.pin.removeprefix("weak-"))
        ran = tmp_path / "ran"
        words = ["exec", url, "--pin", result.pin, "--", "touch", str(ran)]
        assert main(words) == 4
        assert not ran.exists()
        assert verify(url).passed, "without a pin, what is there now is judged"


def test_a_folder_of_sizes_is_no_pin(tmp_path: Path) -> None:
    put_local(tmp_path / "site", {"m/a.gguf": DATA, "m/b.gguf": DATA})
    with WebServer(tmp_path / "site", etags=False) as site:
        pin = verify(f"{site.url}/m/").pin
        assert pin.startswith("weak-")
        with pytest.raises(ArtifactRejected, match="ETag or Last-Modified"):
            verify(f"{site.url}/m/", pin)


def test_what_has_a_size_for_a_pin_is_examined_each_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put_local(tmp_path / "site", {"m.gguf": DATA})
    with WebServer(tmp_path / "site", etags=False) as site:
        words = ["scan", f"{site.url}/", "--table", str(tmp_path / "t"), "--format", "table"]
        assert main(words) == 0
        put_local(tmp_path / "site", {"m.gguf": OTHER})
        assert main(words) == 0
    assert "qwen2" in capfd.readouterr().out
    (result,) = Table(str(tmp_path / "t"), f"{site.url}/").read_state().values()
    assert result.drift == "changed"


@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
@pytest.mark.parametrize("data", [OTHER, TENSORS], ids=["header", "tensors"])
def test_equal_tags_of_other_bytes(
    data: bytes, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two contents of one MD5 can be made; the time of the upload cannot be chosen."""
    monkeypatch.setenv("PREFECT_MUTAGEN_ENGINE", engine)
    content = Written()
    content.put("m/m.gguf", DATA, etag="d131dd02c5e6eec4")
    with SyntheticS3(content=content) as server:
        (result,) = scan("s3://bucket/m", storage_options=server.options)
        url = "s3://bucket/m/m.gguf"
        assert verify(url, result.pin, storage_options=server.options).pin == result.pin
        content.put("m/m.gguf", data, etag="d131dd02c5e6eec4", modified=MODIFIED + 1)
        with pytest.raises(ArtifactRejected, match="bytes differ from the pinned ones"):
            verify(url, result.pin, storage_options=server.options)
