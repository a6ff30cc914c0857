"""Whatever names nothing passes nothing: in every kind of storage, at every door."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import (
    ArtifactRejected,
    StorageError,
    open_verified,
    scan,
    verify,
)
from prefect_mutagen.scanner.agents.start_record import StartRecord
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.listing.listing import list_artifacts, list_selected
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks.scan_selection import ScanSelection
from tests.builders import gguf
from tests.scanner.storing import choose_engine, put_local, put_memory
from tests.servers import S3Server, WebServer

GGUF = gguf().data
FILES = {"full/a.gguf": GGUF, "full/b/c.gguf": GGUF, "bare/notes.txt": b"no model"}


def _open(url: str) -> None:
    with open_verified(url):
        pass


DOORS: dict[str, Callable[[str], Any]] = {
    "scan": lambda url: list(scan(url)),
    "verify": verify,
    "open_verified": _open,
    "open_store": open_store,
    "table": lambda url: Table(url, "/m"),
    "source of a table": lambda url: Table("/t", url),
}


@pytest.fixture(params=["local", "memory", "s3-fsspec", "s3-obstore", "http"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A root of each kind with these files, and its options."""
    kind: str = request.param
    with ExitStack() as stack:
        if kind == "memory":
            yield put_memory(FILES), {}
        elif kind.startswith("s3"):
            choose_engine(monkeypatch, kind.removeprefix("s3-"))
            server: S3Server = request.getfixturevalue("s3_server")
            yield f"s3://{server.bucket(FILES)}", server.options
        else:
            put_local(tmp_path, FILES)
            url = stack.enter_context(WebServer(tmp_path)).url if kind == "http" else str(tmp_path)
            yield url, {}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("url", ["", " ", "\n\t", "file://", "local://", "file:// "], ids=repr)
def test_a_blank_address_is_not_the_current_folder(
    door: Callable[[str], Any], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_local(tmp_path, {"a.gguf": GGUF})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="the address is empty") as caught:
        door(url)
    assert caught.value.code == "storage/not-found"


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize(
    ("url", "missing"),
    [
        ("s3://", "bucket"),
        ("s3:///key", "bucket"),
        ("s3a://user:hunter2@/key", "bucket"),
        ("gs://", "bucket"),
        ("az:///key", "bucket"),
        ("http://", "server"),
        ("https:///m/a.gguf", "server"),
    ],
)
def test_an_address_names_its_bucket_or_server(
    door: Callable[[str], Any], url: str, missing: str
) -> None:
    if door is DOORS["source of a table"]:
        pytest.skip("a table only keeps its name")
    with pytest.raises(StorageError, match=f"names no {missing}$") as caught:
        door(url)
    assert caught.value.code == "storage/not-found"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file://localhost/m", "/m"),
        ("file:///m/", "/m"),
        ("local:///m", "/m"),
        ("~/m", "/home/ana/m"),
        ("~", "/home/ana"),
        ("file://~/m", "/home/ana/m"),
        ("/m/~", "/m/~"),
        ("s3://b/~/m", "s3://b/~/m"),
    ],
)
def test_where_local_addresses_lead(url: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    assert Address.parse(url).text == path


@pytest.mark.parametrize("name", ["nowhere", "nowhere/", "nowhere.gguf", "full/nowhere/x.gguf"])
def test_what_is_not_there_is_refused(root: tuple[str, dict[str, Any]], name: str) -> None:
    url, options = f"{root[0]}/{name}", root[1]
    for door in (
        lambda: list(scan(url, storage_options=options)),
        lambda: verify(url, storage_options=options),
    ):
        with pytest.raises(StorageError) as caught:
            door()
        assert caught.value.code == "storage/not-found"


def test_no_model_is_nothing_to_pass(root: tuple[str, dict[str, Any]]) -> None:
    url, options = f"{root[0]}/bare", root[1]
    assert list(scan(url, storage_options=options)) == []
    with pytest.raises(ArtifactRejected, match="there is no model") as caught:
        verify(url, storage_options=options)
    assert caught.value.reasons[0].code == "storage/not-found"


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Selection(include=("*.safetensors",)), None),
        (Selection(include=("*.safetensors", "nowhere/**")), None),
        (Selection(include=("*.safetensors",), exclude=("*",)), None),
        (Selection(include=("*.safetensors", "*.gguf")), 2),
        (Selection(include=("b/*",)), 1),
        (Selection(include=("*.gguf",), exclude=("*",)), 0),
        (Selection(include=("*.gguf",), modified_since=2**40), 0),
        (Selection(exclude=("*",)), 0),
    ],
    ids=lambda value: value.describe() if isinstance(value, Selection) else "",
)
def test_patterns_that_fit_nothing_are_refused(
    root: tuple[str, dict[str, Any]], selection: Selection, count: int | None
) -> None:
    store = open_store(f"{root[0]}/full", root[1])
    if count is None:
        with pytest.raises(StorageError, match="no model fits the patterns") as caught:
            list(list_artifacts(store, selection=selection))
        assert caught.value.code == "storage/not-found"
        return
    if selection.modified_since and root[0].startswith("http"):
        count = 2  # a listing of a web server states no age
    assert len(list(list_selected(store, selection, root[1]))) == count


def test_patterns_over_nothing_at_all(root: tuple[str, dict[str, Any]]) -> None:
    store = open_store(f"{root[0]}/bare", root[1])
    assert list(list_artifacts(store, selection=Selection(include=("*.gguf",)))) == []


@pytest.mark.parametrize("field", ["include", "exclude"])
@pytest.mark.parametrize("texts", [("",), ("*.gguf", " ")], ids=repr)
def test_blank_patterns_are_refused(field: str, texts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"a pattern of {field} is empty"):
        Selection(**{field: texts})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"a pattern of {field} is empty"):
        ScanSelection.model_validate({field: list(texts)})


def test_a_blank_inventory_is_refused() -> None:
    with pytest.raises(ValueError, match="the address of the inventory is empty"):
        ScanSelection(inventory=" ")


@pytest.mark.parametrize("pin", ["", " ", "\n"], ids=repr)
def test_a_blank_pin_is_not_any_pin(tmp_path: Path, pin: str) -> None:
    path = put_local(tmp_path, {"a.gguf": GGUF}) + "/a.gguf"
    with pytest.raises(ValueError, match="the pin is empty"):
        verify(path, pin)
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    with pytest.raises(ValueError, match="the pin is empty"), open_verified(path, pin):
        pass
    if before:
        assert set(os.listdir("/proc/self/fd")) == before


def test_a_record_of_starts_has_a_place() -> None:
    with pytest.raises(StorageError, match="the address is empty"):
        StartRecord("")


@pytest.mark.parametrize("name", ["nowhere.gguf", "bare"])
def test_the_command_refuses_and_starts_nothing(
    root: tuple[str, dict[str, Any]],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", json.dumps(root[1]))
    ran = tmp_path / "ran"
    for words in (
        ["verify", f"{root[0]}/{name}"],
        ["exec", f"{root[0]}/{name}", "--", "touch", str(ran)],
    ):
        assert main(words) == 2
        said = capfd.readouterr().err
        assert said.startswith(f"prefect-mutagen: {root[0]}/{name}: there is no")
        assert said.count("\n") == 1
    assert not ran.exists()


def test_an_empty_bucket_is_empty(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", json.dumps(s3_server.options))
    url = f"s3://{s3_server.bucket()}"
    for engine in ("fsspec", "obstore"):
        choose_engine(monkeypatch, engine)
        for more in ([], ["--all-versions"]):
            assert main(["scan", url, *more]) == 0
            assert capsys.readouterr().err == f"prefect-mutagen: {url}: there is no model file\n"
        assert main(["scan", f"{url}-not"]) == 2
        assert "there is no such bucket" in capsys.readouterr().err
