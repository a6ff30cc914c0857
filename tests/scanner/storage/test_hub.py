"""Models on a hub: revisions, gated and private repositories."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from prefect_mutagen.scanner import scan, verify
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.storage.errors import StorageError
from tests.builders import gguf
from tests.hub_server import TOKEN, HubServer

MODEL = gguf(tensors=(("a.weight", (32, 8), 0),)).data
FILES = {
    "acme/m@main": {"m.gguf": MODEL, "README.md": b"---\nlicense: mit\n---\n"},
    "acme/m@refs/pr/1": {"n.gguf": MODEL},
    "gated/m@main": {"m.gguf": MODEL},
    "private/m@main": {"m.gguf": MODEL},
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    pytest.importorskip("huggingface_hub")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    with HubServer(FILES) as started:
        yield started


def _scan(hub: HubServer, url: str, **options: Any) -> dict[str, str]:
    results = scan(url, storage_options={"endpoint": hub.url, **options})
    return {one.url: one.verdict.status for one in results}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("hf://acme/m", "hf://acme/m/m.gguf"),
        ("hf://acme/m@main", "hf://acme/m@main/m.gguf"),
        ("hf://acme/m/m.gguf", "hf://acme/m/m.gguf"),
        ("hf://acme/m@refs%2Fpr%2F1", "hf://acme/m@refs%2Fpr%2F1/n.gguf"),
        ("hf://acme/m@refs/pr/1", "hf://acme/m@refs/pr/1/n.gguf"),
    ],
)
def test_a_revision_is_what_it_has(hub: HubServer, url: str, found: str) -> None:
    assert _scan(hub, url) == {found: "passed"}
    options = {"endpoint": hub.url}
    assert verify(found, storage_options=options).passed


@pytest.mark.parametrize("repository", ["gated", "private"])
def test_a_token_opens_what_is_closed(hub: HubServer, repository: str) -> None:
    url = f"hf://{repository}/m"
    assert _scan(hub, url, token=TOKEN) == {f"{url}/m.gguf": "passed"}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("hf://private/m", "or it is private and the token is missing"),
        ("hf://acme/none", "there is no such repository"),
        ("hf://acme/m@nope", "the repository has no such revision"),
    ],
)
def test_what_is_not_there_says_what_to_do(hub: HubServer, url: str, reason: str) -> None:
    with pytest.raises(StorageError, match=reason) as caught:
        _scan(hub, url)
    assert caught.value.code == "storage/not-found"


def test_a_gated_repository_is_unknown_and_says_what_to_do(
    hub: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    options = json.dumps({"endpoint": hub.url})
    assert main(["scan", "hf://gated/m", "--storage-options", options, "--format", "table"]) == 1
    out, err = capsys.readouterr()
    assert "accept its terms on the hub, then set HF_TOKEN" in out
    assert TOKEN not in out + err


def test_a_wrong_token_is_not_shown(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    options = json.dumps({"endpoint": hub.url, "token": "hf_wrong_hunter3"})
    main(["scan", "hf://gated/m", "--storage-options", options, "--format", "table"])
    out, err = capsys.readouterr()
    assert "hunter3" not in out + err
