"""Keys lead to the artifacts that a scan of the whole root finds, with the same pins."""

from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.keyed import FoundKeys
from prefect_mutagen.scanner.listing.listing import list_artifacts, list_selected
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import Store
from tests.builders import gguf
from tests.scanner.examine.shard_builders import Files, index, model, shard
from tests.scanner.listing.test_agreement import CARD, GGUF, LAYOUTS
from tests.scanner.storing import put_local, put_memory
from tests.servers import S3Server

MANY: Files = {
    f"many/{name}/{file}": data for name, files in LAYOUTS.items() for file, data in files.items()
}
LAYOUTS_HERE: dict[str, Files] = {
    **LAYOUTS,
    "one root": {key.replace(" ", "-"): data for key, data in MANY.items()},
    "flat": {f"m{number}.gguf": gguf().data for number in range(30)} | {"config.json": b"{}"},
    "parts with cards": {
        "p/model_index.json": b'{"_class_name": "X", "unet": ["diffusers", "Y"]}',
        "p/unet/README.md": CARD,
        "p/unet/config.json": b"{}",
        "p/unet/diffusion_pytorch_model.safetensors": shard("a"),
        "p/vae/diffusion_pytorch_model.safetensors": shard("b"),
        "other/m.gguf": GGUF,
    },
    "shards in a folder below": {
        "model.safetensors.index.json": index({"a": "x/one.safetensors", "b": "x/two.safetensors"}),
        "x/one.safetensors": shard("a"),
        "x/two.safetensors": shard("b"),
    },
    "two models": {
        **{f"a/{name}": data for name, data in model("model-%05d-of-00002.safetensors").items()},
        "b/m.gguf": GGUF,
        "b/pytorch_model.bin": b"x",
    },
}


@pytest.fixture(params=["local", "memory", "s3"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Stores files; opens their root."""

    def store(files: Files) -> Store:
        if request.param == "local":
            return open_store(put_local(tmp_path, files))
        if request.param == "memory":
            return open_store(put_memory(files))
        server: S3Server = request.getfixturevalue("s3_server")
        return open_store(f"s3://{server.bucket(files)}", server.options)

    return store


def listed(store: Store, *keys: str) -> tuple[dict[str, Artifact], FoundKeys]:
    found = FoundKeys()
    artifacts = list(list_selected(store, Selection(keys=keys), {}, found=found))
    by_url = {artifact.url: artifact for artifact in artifacts}
    assert len(by_url) == len(artifacts), "each artifact once"
    return by_url, found


def key_of(store: Store, url: str) -> str:
    return url.removeprefix(store.root).lstrip("/")


@pytest.mark.parametrize("files", LAYOUTS_HERE.values(), ids=LAYOUTS_HERE)
def test_a_key_leads_to_what_a_listing_finds(files: Files, opened: Any) -> None:
    store = opened(files)
    whole = {artifact.url: artifact for artifact in list_artifacts(store)}
    assert whole
    for url, artifact in whole.items():
        for item in (*artifact.objects, *artifact.beside.neighbours):
            found, rest = listed(store, key_of(store, item.url))
            assert rest == FoundKeys()
            assert url in found, item.url
            for one in found.values():
                assert one.pin == whole[one.url].pin
                assert one.neighbour_pins == whole[one.url].neighbour_pins
                assert one.kind == whole[one.url].kind


@pytest.mark.parametrize("files", LAYOUTS_HERE.values(), ids=LAYOUTS_HERE)
def test_all_keys_lead_to_all_artifacts(files: Files, opened: Any) -> None:
    store = opened(files)
    whole = {artifact.url: artifact.pin for artifact in list_artifacts(store)}
    found, rest = listed(store, *files)
    assert {url: artifact.pin for url, artifact in found.items()} == whole
    assert not rest.not_found
