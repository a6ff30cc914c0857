"""Ollama's stores, from the listing to the verdict: what is found, named and told."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ArtifactRejected, scan, verify
from prefect_mutagen.scanner.listing import ollama_store
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.listing.registry_stores import RegistryStores
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.builders import STRING, gguf, safetensors, tensor
from tests.ollama_stores import GOOD, LIBRARY, LICENSE, LLAMA, OTHER, TEMPLATE, Blobs, blob_path
from tests.scanner.storing import put_local, put_memory
from tests.servers import S3Server

ESCAPE = ("tokenizer.chat_template", STRING, "{{ ''.__class__ }}")


def _store() -> Blobs:
    """A store with a good model, an escape, a cut and a missing blob, and a download."""
    files = Blobs()
    texts = (files.layer("license", LICENSE), files.layer("template", TEMPLATE))
    files.model(f"{LIBRARY}/demo/good", files.layer("model", GOOD), *texts)
    escape = gguf([LLAMA, ESCAPE]).data
    files.model(f"{LIBRARY}/demo/escape", files.layer("model", escape), *texts)
    files.model(f"{LIBRARY}/demo/cut", files.layer("model", OTHER), *texts)
    files[blob_path(OTHER)] = OTHER[:-100]
    gone = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{'d' * 64}"}
    files.model(f"{LIBRARY}/demo/gone", gone, *texts)
    files[f"blobs/sha256-{'d' * 64}-partial"] = GOOD
    files[f"blobs/sha256-{'e' * 64}-partial"] = GOOD
    return files


def _codes(results: Iterable[ScanResult]) -> dict[str, list[str]]:
    return {
        result.url.rpartition("-")[2][:4]: [finding.code for finding in result.findings]
        for result in results
    }


EXPECTED = {
    hashlib.sha256(GOOD).hexdigest()[:4]: [],
    hashlib.sha256(gguf([LLAMA, ESCAPE]).data).hexdigest()[:4]: ["template/escape"],
    hashlib.sha256(OTHER).hexdigest()[:4]: ["gguf/truncated-data", "set/layer-size"],
    "dddd": ["set/missing-layer"],
    "part": ["storage/unfinished"],
}


@pytest.mark.parametrize("place", ["local", "memory", "s3"])
def test_what_is_wrong_in_a_store_is_found(place: str, tmp_path: Path, s3_server: S3Server) -> None:
    files, options = _store(), None
    if place == "s3":
        files = Blobs({f"deep/models/{name}": data for name, data in files.items()})
        root, options = f"s3://{s3_server.bucket(files)}/deep", s3_server.options
    else:
        root = put_local(tmp_path, files) if place == "local" else put_memory(files)
    results = list(scan(root, storage_options=options))
    assert _codes(results) == EXPECTED
    passed = [result for result in results if result.passed]
    assert [result.url.rpartition("/")[2] for result in passed] == [blob_path(GOOD)[6:]]
    assert passed[0].sbom.sha256 == ""
    (stated,) = passed[0].facts["stated_sha256"]
    assert stated["sha256"] == hashlib.sha256(GOOD).hexdigest()
    assert stated["source"] == "name of the store's blob"
    (missing,) = (result for result in results if "dddd" in result.url)
    assert missing.verdict.status == "failed"
    message = missing.findings[0].message
    assert f"the manifest of {LIBRARY}/demo:gone names it (model)" in message
    assert "there is an unfinished download of it" in message


@pytest.mark.parametrize("level", ["stored", "full"])
def test_a_blob_under_anotherblob_path(tmp_path: Path, level: Any) -> None:
    files = Blobs()
    files.model("h/n/m/t", files.layer("model", GOOD), files.layer("system", b"a"))
    files[blob_path(GOOD)] = gguf([("general.architecture", STRING, "alien")]).data
    files[blob_path(b"a")] = b"b"
    (result,) = scan(put_local(tmp_path, files), hash=level)
    texts = [(f.code, f.url.rpartition("/")[2][:11]) for f in result.findings]
    mine = [("sbom/hash-mismatch", blob_path(GOOD)[6:17])] if level == "full" else []
    # A text is read whole in any case.
    assert texts == [*mine, ("sbom/hash-mismatch", blob_path(b"a")[6:17])]
    assert result.verdict.status == "failed"


def test_blobs_of_older_versions(tmp_path: Path) -> None:
    files = Blobs()
    layers = [files.layer("model", GOOD, ":"), files.layer("license", LICENSE, ":")]
    files.model("h/n/m/t", *layers)
    root = put_local(tmp_path, files)
    (result,) = scan(root, hash="full")
    assert result.passed
    assert result.url.endswith(f"/blobs/sha256:{hashlib.sha256(GOOD).hexdigest()}")
    assert result.license_spdx == "MIT"
    assert verify(result.url, result.pin).passed


@pytest.mark.parametrize("folder", ["blobs/", ""], ids=["blobs", "elsewhere"])
def test_blobs_without_manifests_are_judged_by_content(tmp_path: Path, folder: str) -> None:
    weights = safetensors({"a": tensor("F32", [1], 0, 4)}, 4)
    contents = (GOOD, OTHER[:-100], weights, TEMPLATE, LICENSE, b"", b'{"num_ctx": 4096}')
    files = {f"{folder}{blob_path(data)[6:]}": data for data in contents}
    root = put_local(tmp_path, files)
    results = {result.url: result.verdict.status for result in scan(root + "/" + folder)}
    assert results == {
        f"{root}/{folder}{blob_path(data)[6:]}": "failed" if data == OTHER[:-100] else "passed"
        for data in (GOOD, OTHER[:-100], weights)
    }


def test_a_model_of_many_tensors_is_one_set(tmp_path: Path) -> None:
    files = Blobs()
    shards = [safetensors({name: tensor("F32", [2], 0, 8)}, 8) for name in "abc"]
    layers = [files.layer("tensor", data, name=f"{n}.w") for n, data in enumerate(shards)]
    files.model("h/n/m/t", *layers, layers[0], files.layer("json", b"{}", name="config.json"))
    root = put_local(tmp_path, files)
    (result,) = scan(root)
    assert (result.kind, result.url) == ("set", f"{root}/manifests/h/n/m/t")
    assert (result.sbom.parameter_count, len(result.objects)) == (6, 3)
    assert result.findings == ()
    assert verify(result.url, result.pin).passed
    (tmp_path / blob_path(shards[1])).unlink()
    (broken,) = scan(root)
    assert [finding.code for finding in broken.findings] == ["set/missing-layer"]
    assert broken.verdict.status == "failed"


def test_projector_and_adapter_are_files_of_their_own(tmp_path: Path) -> None:
    files = Blobs()
    third = gguf(tensors=[("c.weight", (32, 6), 0)]).data
    files.model(
        "h/n/m/t",
        files.layer("model", GOOD),
        files.layer("projector", OTHER),
        files.layer("adapter", third),
    )
    results = list(scan(put_local(tmp_path, files)))
    kinds = {result.url.rpartition("/")[2]: result.facts["registry"][0]["as"] for result in results}
    expected = {GOOD: "model", OTHER: "projector", third: "adapter"}
    assert kinds == {blob_path(data)[6:]: kind for data, kind in expected.items()}


@pytest.mark.parametrize(
    ("raw", "code", "status"),
    [
        (b"<html>", "set/manifest-invalid", "failed"),
        (b'{"layers": [{"digest": "sha256:short"}]}', "set/manifest-invalid", "failed"),
        (b" " * 300, "scan/manifest-unexamined", "unknown"),
    ],
    ids=["page", "digest", "large"],
)
def test_manifests_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes, code: str, status: str
) -> None:
    monkeypatch.setattr(ollama_store, "MANIFEST_LIMIT", 299)
    files = Blobs()
    files.model("h/n/m/t", files.layer("model", GOOD))
    files["manifests/h/n/m/broken"] = raw
    root = put_local(tmp_path, files)
    found = {result.url: result for result in scan(root)}
    assert found[f"{root}/{blob_path(GOOD)}"].passed
    broken = found[f"{root}/manifests/h/n/m/broken"]
    assert [finding.code for finding in broken.findings] == [code]
    assert broken.verdict.status == status


def _change_template(files: Blobs) -> None:
    files.model("h/n/m/t", files.layer("model", GOOD), files.layer("template", b"{{ .System }}"))


def _add_model(files: Blobs) -> None:
    files.model("h/n/m/second", files.layer("model", GOOD))


def _rewrite_text(files: Blobs) -> None:
    files[blob_path(TEMPLATE)] = b"{{ .Prompt }} and more"


@pytest.mark.parametrize("change", [_change_template, _add_model, _rewrite_text])
def test_the_pin_covers_manifests_and_texts(
    change: Callable[[Blobs], None], s3_server: S3Server
) -> None:
    files = Blobs()
    files.model("h/n/m/t", files.layer("model", GOOD), files.layer("template", TEMPLATE))
    bucket, options = s3_server.bucket(files), s3_server.options
    (first,) = scan(f"s3://{bucket}", storage_options=options)
    verify(first.url, first.pin, storage_options=options)
    verify(f"s3://{bucket}/manifests/h/n/m/t", first.pin, storage_options=options)
    change(files)
    other = s3_server.bucket(files)
    (second,) = scan(f"s3://{other}", storage_options=options)
    assert second.pin != first.pin
    with pytest.raises(ArtifactRejected, match="its bytes differ from the pinned ones"):
        verify(second.url, first.pin, storage_options=options)


def test_a_manifest_stands_for_all_its_weights(tmp_path: Path) -> None:
    files = _store()
    files.model("h/n/m/two", files.layer("model", GOOD), files.layer("projector", OTHER))
    root = put_local(tmp_path, files)
    listed = list(list_artifacts(open_store(f"{root}/manifests/h/n/m/two")))
    assert {artifact.url for artifact in listed} == {
        f"{root}/{blob_path(GOOD)}",
        f"{root}/{blob_path(OTHER)}",
    }
    whole = {artifact.url: artifact for artifact in list_artifacts(open_store(root))}
    assert all(artifact.pin == whole[artifact.url].pin for artifact in listed)
    with pytest.raises(ArtifactRejected, match="demo:gone names it"):
        verify(f"{root}/manifests/{LIBRARY}/demo/gone")


def test_downloads_that_are_not_finished(tmp_path: Path) -> None:
    blob = blob_path(GOOD)
    files = {
        f"{blob}-partial-0": b"{}",
        f"{blob}-partial": GOOD,
        f"{blob_path(OTHER)}-partial": OTHER,
    }
    files[blob_path(OTHER)] = OTHER
    results = list(scan(put_local(tmp_path, files)))
    found = {result.url.rpartition("-")[2]: result.verdict.status for result in results}
    assert found == {"partial": "unknown", blob_path(OTHER)[13:]: "passed"}


def test_folders_that_only_look_like_a_store_are_left_alone(tmp_path: Path) -> None:
    files = {
        "manifests/prod/eu/app/deployment": b"kind: Deployment",
        "manifests/prod/eu/app/m.gguf": GOOD,
        "manifests/prod/eu/app/README.md": b"---\nlicense: mit\n---\n",
    }
    root = put_local(tmp_path, files)
    (result,) = scan(root)
    assert (result.url, result.license_spdx) == (f"{root}/manifests/prod/eu/app/m.gguf", "MIT")


def test_a_model_file_beside_blobs_is_examined_wherever_it_lies(tmp_path: Path) -> None:
    files = _store()
    files["manifests/a/b/c/m.gguf"] = OTHER[:-100]
    files["blobs/m.gguf"] = GOOD
    root = put_local(tmp_path, files)
    found = {result.url: result.passed for result in scan(root)}
    assert found[f"{root}/manifests/a/b/c/m.gguf"] is False
    assert found[f"{root}/blobs/m.gguf"] is True


def test_manifests_whose_blobs_are_all_gone(tmp_path: Path) -> None:
    files = Blobs({name: data for name, data in _store().items() if name.startswith("manifests/")})
    results = list(scan(put_local(tmp_path, files)))
    assert len(results) == 4
    assert {f.code for result in results for f in result.findings} == {"set/missing-layer"}


def test_a_fault_of_ours_costs_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_raw: bytes) -> None:
        raise RuntimeError("a bug")

    put_local(tmp_path / "first", _store())
    put_local(tmp_path / "second", {"m.gguf": GOOD})
    monkeypatch.setattr(ollama_store, "read_manifest", fail)
    found = {result.url: result for result in scan(str(tmp_path))}
    assert set(found) == {f"{tmp_path}/first/", f"{tmp_path}/second/m.gguf"}
    broken = found[f"{tmp_path}/first/"]
    assert broken.verdict.status == "unknown"
    assert [finding.code for finding in broken.findings] == ["scan/internal-error"]


def test_an_artifact_of_a_store_survives_the_manifest_of_a_scan(tmp_path: Path) -> None:
    artifacts = list(list_artifacts(open_store(put_local(tmp_path / "store", _store()))))
    manifest = Manifest(str(tmp_path / "listed"))
    manifest.write(artifacts)
    (batch,) = manifest.batches(1)
    restored = list(batch.read())
    assert [one.registry for one in restored if one.pin] == [
        one.registry for one in artifacts if one.pin
    ]
    assert [one.pin for one in restored] == [one.pin for one in artifacts]


@pytest.mark.parametrize("threshold", [1, 3, 100], ids=["none", "few", "all"])
def test_nested_stores_of_any_size(tmp_path: Path, threshold: int) -> None:
    for folder in ("", "blobs/inner/", "z/"):
        put_local(tmp_path / folder, _store())
    put_local(tmp_path, {"x.gguf": GOOD})
    store = open_store(str(tmp_path))
    expected = [(one.url, one.pin) for one in list_artifacts(store)]

    def others(objects: Iterable[StoredObject]) -> Iterator[Artifact]:
        return (Artifact(item.url, (item,)) for item in objects)

    stores = RegistryStores(store, threshold)
    found = [
        (one.url, one.pin) for one in stores.group(store.list_objects(lambda *_: True), others)
    ]
    assert len(expected) == 16
    assert {url for url, _ in found} == {url for url, _ in expected}
    assert sorted(found)[:-1] == sorted(expected)[:-1]
