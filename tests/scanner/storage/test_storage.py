"""The contract of stores, held by every one of them over real servers."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import fsspec
import pytest

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.storage import local
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.options import load_options
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, Store, StoredObject
from tests.builders import ARRAY, STRING, gguf
from tests.scanner.storing import choose_engine, put_local, put_memory, wait
from tests.servers import S3Server, WebServer
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

FILES = {
    "a.gguf": b"0123456789",
    "b/c.safetensors": b"abcdefghij" * 100,
    "b/config.json": b"{}",
    "b/notes.txt": b"not wanted",
    "b/d/odd name, größe #1?.gguf": b"x",
    "empty.gguf": b"",
}


@pytest.fixture(params=["local", "memory", "s3-fsspec", "s3-obstore", "http"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, dict[str, str], Callable[[str, bytes], None]]]:
    """A root of each kind: its address, options, and how to write into it."""
    kind = request.param
    with ExitStack() as stack:
        if kind == "local":
            url = put_local(tmp_path, FILES)
            yield url, {}, lambda name, data: _write(tmp_path / name, data)
        elif kind == "memory":
            url = put_memory(FILES)
            system = fsspec.filesystem("memory")
            path = url.removeprefix("memory:/")
            yield url, {}, lambda name, data: system.pipe_file(f"{path}/{name}", data)
        elif kind.startswith("s3"):
            choose_engine(monkeypatch, kind.removeprefix("s3-"))
            server: S3Server = request.getfixturevalue("s3_server")
            bucket = server.bucket({f"root/{name}": data for name, data in FILES.items()})
            client = server.client()
            yield (
                f"s3://{bucket}/root",
                server.options,
                lambda name, data: client.put_object(Bucket=bucket, Key=f"root/{name}", Body=data),
            )
        else:
            put_local(tmp_path, {name: data for name, data in FILES.items() if "?" not in name})
            site = stack.enter_context(WebServer(tmp_path))
            yield site.url, {}, lambda name, data: _write(tmp_path / name, data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _wanted(name: str, _: int) -> bool:
    return name.endswith((".gguf", ".safetensors", ".json"))


Root = tuple[str, dict[str, str], Callable[[str, bytes], None]]


def _listed(root: Root) -> tuple[Store, dict[str, StoredObject]]:
    store = open_store(root[0], root[1])
    found = {item.url.removeprefix(root[0] + "/"): item for item in store.list_objects(_wanted)}
    return store, found


def test_listing_shows_what_is_wanted_with_size_and_pin(root: Root) -> None:
    _, found = _listed(root)
    expected = {name for name in FILES if _wanted(name, 0)}
    if root[0].startswith("http"):
        expected = {name for name in expected if "?" not in name}
    assert set(found) == expected
    for name, item in found.items():
        if root[0].startswith("http"):  # a page of links says nothing else
            assert (item.size, item.pin) == (UNKNOWN_SIZE, "")
        else:
            assert item.size == len(FILES[name])
            assert item.pin
        assert item.name == name.rpartition("/")[2]
        assert item.fault is None


def test_a_range_is_read_with_size_and_pin(root: Root) -> None:
    store, found = _listed(root)
    item = found["b/c.safetensors"]
    reply = wait(store, store.read(item, 5, 25))
    assert reply.data == (b"abcdefghij" * 100)[5:25]
    assert reply.size == 1000
    assert reply.pin
    assert item.pin in ("", reply.pin)
    assert wait(store, store.read(item, 990, 5000)).data == b"abcdefghij"


def test_an_object_is_found_by_its_address(root: Root) -> None:
    store, found = _listed(root)
    item = wait(store, store.find(found["a.gguf"].url))
    assert item.size == 10
    assert item.pin == wait(store, store.read(item, 0, 1)).pin
    with pytest.raises(StorageError) as caught:
        wait(store, store.find(found["a.gguf"].url + ".not"))
    assert caught.value.code == "storage/not-found"


def test_an_empty_object_can_be_looked_at(root: Root) -> None:
    store, found = _listed(root)
    item = wait(store, store.find(found["empty.gguf"].url))
    assert item.size == 0


def test_a_root_may_be_one_object(root: Root) -> None:
    store = open_store(f"{root[0]}/a.gguf", root[1])
    assert [item.url for item in store.list_objects(_wanted)] == [f"{root[0]}/a.gguf"]
    assert store.root == f"{root[0]}/a.gguf"


def test_odd_names_are_read_as_they_are(root: Root) -> None:
    if root[0].startswith("http"):
        pytest.skip("a web server would need them quoted")
    store, found = _listed(root)
    item = found["b/d/odd name, größe #1?.gguf"]
    assert wait(store, store.read(item, 0, 1)).data == b"x"


def test_a_replaced_object_is_noticed(root: Root) -> None:
    store, found = _listed(root)
    item = wait(store, store.find(found["a.gguf"].url))
    root[2]("a.gguf", b"9876543210...")
    with pytest.raises(StorageError) as caught:
        wait(store, store.read(item, 0, 10))
    assert caught.value.code == "storage/changed-during-scan"


def test_a_missing_root_is_said_to_be_missing(root: Root) -> None:
    store = open_store(f"{root[0]}/no/such/folder", root[1])
    with pytest.raises(StorageError) as caught:
        list(store.list_objects(_wanted))
    assert caught.value.code == "storage/not-found"
    assert caught.value.url == f"{root[0]}/no/such/folder"


@pytest.mark.parametrize(
    ("url", "clean", "secret"),
    [
        ("/data/models", "/data/models", False),
        ("/data/../models/", "/models", False),
        ("file:///data/m.gguf", "/data/m.gguf", False),
        ("s3://bucket/a?b#c", "s3://bucket/a?b#c", False),
        ("https://host/m.gguf?X-Amz-Signature=abc", "https://host/m.gguf", True),
        ("https://user:word@host:1/m.gguf", "https://host:1/m.gguf", True),
        ("HTTPS://host/m.gguf?sig=abc", "https://host/m.gguf", True),
        (" https://host/m.gguf?sig=abc", "https://host/m.gguf", True),
        ("ftp://user:word@host/m", "ftp://host/m", True),
        ("S3://bucket/k", "s3://bucket/k", False),
    ],
)
def test_addresses_are_shown_without_secrets(url: str, clean: str, secret: bool) -> None:  # noqa: FBT001 - a column of the table
    address = Address.parse(url)
    assert str(address) == clean
    assert address.has_secrets == secret
    assert "hunter2" not in repr(address)


@pytest.mark.parametrize("url", ["nosuch://x/y", "gs://bucket/x", "abfs://container@account/x"])
def test_unknown_storage_is_said_to_be_unknown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    choose_engine(monkeypatch, "fsspec")
    with pytest.raises(StorageError) as caught:
        open_store(url)
    assert caught.value.code == "storage/unsupported"


def test_options_come_from_text_file_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_options('{"anon": true}') == {"anon": True}
    path = tmp_path / "options.json"
    path.write_text('{"key": "k"}')
    assert load_options(f"@{path}") == {"key": "k"}
    assert load_options() == {}
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", f"@{path}")
    assert load_options() == {"key": "k"}


@pytest.mark.parametrize("text", ['{"secret": "hunter2"', '["hunter2"]'])
def test_broken_options_are_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="storage options") as caught:
        load_options(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


class TestLocal:
    def test_links_to_files_keep_their_name_and_links_to_folders_are_not_followed(
        self, tmp_path: Path
    ) -> None:
        digest = "ab" * 32
        put_local(tmp_path, {f"blobs/{digest}": b"model", "snapshots/rev/config.json": b"{}"})
        link = tmp_path / "snapshots/rev/model.safetensors"
        link.symlink_to(f"../../blobs/{digest}")
        (tmp_path / "snapshots/rev/circle").symlink_to(tmp_path)
        found = list(open_store(str(tmp_path)).list_objects(_wanted))
        assert [item.url for item in found] == [
            str(tmp_path / "snapshots/rev/config.json"),
            str(link),
        ]
        assert found[1].size == 5
        assert found[1].sha256 == digest
        assert found[1].sha256_source == "name of the cache's blob"

    def test_what_cannot_be_looked_at_is_listed_with_its_fault(self, tmp_path: Path) -> None:
        (tmp_path / "dangling.gguf").symlink_to("nowhere")
        (tmp_path / "loop.gguf").symlink_to("loop.gguf")
        os.mkfifo(tmp_path / "pipe.gguf")
        found = {item.name: item for item in open_store(str(tmp_path)).list_objects(_wanted)}
        faults = {name: item.fault.code for name, item in found.items() if item.fault}
        assert faults == {
            "dangling.gguf": "storage/not-found",
            "loop.gguf": "storage/not-found",
            "pipe.gguf": "storage/not-a-file",
        }

    def test_a_folder_larger_than_what_is_sorted_at_a_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local, "_SORT_LIMIT", 3)
        names = [f"{number}.gguf" for number in range(10)]
        put_local(tmp_path, dict.fromkeys([*names, "b/x.gguf", "a/x.gguf", "a/a/x.gguf"], b"x"))
        found = [item.url for item in open_store(str(tmp_path)).list_objects(_wanted)]
        assert sorted(found[:10]) == [str(tmp_path / name) for name in names]
        inside = ("a/x.gguf", "a/a/x.gguf", "b/x.gguf")
        assert found[10:] == [str(tmp_path / name) for name in inside]

    def test_a_pipe_named_as_a_root_does_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.gguf")
        (found,) = open_store(str(tmp_path / "pipe.gguf")).list_objects(_wanted)
        assert found.fault is not None

    def test_a_file_that_grows_while_it_is_read_is_noticed(self, tmp_path: Path) -> None:
        put_local(tmp_path, {"a.gguf": b"x" * 100})
        store = open_store(str(tmp_path))
        (item,) = store.list_objects(_wanted)
        with (tmp_path / "a.gguf").open("ab") as file:
            file.write(b"more")
        with pytest.raises(StorageError, match="changed"):
            wait(store, store.read(item, 0, 10))


class TestHttp:
    def test_a_server_without_ranges_is_read_no_further_than_needed(self, tmp_path: Path) -> None:
        put_local(tmp_path, {"a.gguf": b"0123456789" * 100_000})
        with WebServer(tmp_path, ranges=False) as site:
            store = open_store(f"{site.url}/a.gguf")
            item = wait(store, store.find(f"{site.url}/a.gguf"))
            assert item.size == 1_000_000
            reply = wait(store, store.read(item, 13, 25))
            assert reply.data == b"345678901234"

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (401, "storage/credentials"),
            (403, "storage/denied"),
            (404, "storage/not-found"),
            (429, "storage/throttled"),
            (503, "storage/throttled"),
            (500, "storage/failed"),
        ],
    )
    def test_replies_have_their_meaning(self, tmp_path: Path, status: int, code: str) -> None:
        put_local(tmp_path, {"a.gguf": b"x"})
        with WebServer(tmp_path) as site:
            site.status["/a.gguf"] = status
            store = open_store(f"{site.url}/a.gguf")
            with pytest.raises(StorageError) as caught:
                wait(store, store.find(f"{site.url}/a.gguf"))
            assert caught.value.code == code

    def test_a_broken_reply_is_no_short_object(self, tmp_path: Path) -> None:
        put_local(tmp_path, {"a.gguf": b"0123456789" * 1000})
        with WebServer(tmp_path) as site:
            store = open_store(site.url)
            item = wait(store, store.find(f"{site.url}/a.gguf"))
            site.cut = 100
            with pytest.raises(StorageError) as caught:
                wait(store, store.read(item, 0, 5000))
            assert caught.value.code == "storage/failed"

    def test_a_signed_address_opens_its_file_and_shows_no_signature(self, tmp_path: Path) -> None:
        put_local(tmp_path, {"a.gguf": b"0123456789"})
        with WebServer(tmp_path) as site:
            store = open_store(f"{site.url}/a.gguf?signature=hunter2")
            (item,) = store.list_objects(_wanted)
            assert item.url == f"{site.url}/a.gguf"
            assert wait(store, store.read(item, 0, 3)).data == b"012"
            assert all(path.endswith("?signature=hunter2") for _, path, _ in site.requests)

    def test_user_and_password_are_used_and_not_shown(self, tmp_path: Path) -> None:
        put_local(tmp_path, {"a.gguf": b"0123456789"})
        with WebServer(tmp_path) as site:
            site.password = "Basic dXNlcjpodW50ZXIy"  # noqa: S105 - user:hunter2
            store = open_store(f"{site.url}/a.gguf".replace("://", "://user:hunter2@"))
            (item,) = store.list_objects(_wanted)
            assert item.url == f"{site.url}/a.gguf"
            site.password = "other"  # noqa: S105 - not a secret
            with pytest.raises(StorageError) as caught:
                wait(store, store.read(item, 0, 3))
            assert caught.value.code == "storage/credentials"
            assert "hunter2" not in str(caught.value)

    def test_a_dead_server_is_unreachable(self) -> None:
        with pytest.raises(StorageError) as caught:
            list(open_store("http://127.0.0.1:9/models/").list_objects(_wanted))
        assert caught.value.code == "storage/unreachable"

    @pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no-ranges"])
    def test_a_long_header_is_one_request(self, tmp_path: Path, ranges: bool) -> None:  # noqa: FBT001 - a parameter
        words = [f"token {number:06}" for number in range(100_000)]
        model = gguf([("tokenizer.ggml.tokens", ARRAY, (STRING, words))]).data
        put_local(tmp_path, {"m.gguf": model})
        with WebServer(tmp_path, ranges=ranges) as site:
            (result,) = scan(f"{site.url}/")
            assert result.sbom.vocab_size == 100_000
            assert result.requests == 1
            assert [path for _, path, _ in site.requests if path != "/"] == ["/m.gguf"]
            assert result.bytes_read <= len(model)


def test_google_storage_through_the_fast_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    choose_engine(monkeypatch, "obstore")
    with SyntheticS3(Written({"m/a.gguf": b"0123456789"})) as server:
        options = {"token": "anon", "endpoint_url": server.url}
        store = open_store("gs://bucket/m", options)
        (item,) = store.list_objects(_wanted)
        assert item.url == "gs://bucket/m/a.gguf"
        reply = wait(store, store.read(item, 2, 5))
        assert (reply.data, reply.size, reply.pin) == (b"234", 10, item.pin)
        assert isinstance(server.content, Written)
        server.content.put("m/a.gguf", b"9876543210")
        with pytest.raises(StorageError) as caught:
            wait(store, store.read(item, 2, 5))
        assert caught.value.code == "storage/changed-during-scan"


def test_azure_storage_needs_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    choose_engine(monkeypatch, "obstore")
    with pytest.raises(StorageError, match="has no such options"):
        open_store("az://container/m")
    store = open_store("az://container/m", {"account_name": "a", "account_key": "a2V5"})
    assert store.root == "az://container/m"


def test_a_link_that_goes_while_it_is_looked_at_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blob").write_bytes(b"x")
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).symlink_to(tmp_path / "blob")

    def gone(path: str) -> str:
        raise FileNotFoundError(2, "gone", path)

    monkeypatch.setattr("os.readlink", gone)
    found = list(
        local.LocalStore(str(tmp_path)).list_objects(lambda name, _: name.endswith(".gguf"))
    )
    assert [(item.name, item.sha256, item.fault) for item in found] == [
        ("a.gguf", "", None),
        ("b.gguf", "", None),
    ]
