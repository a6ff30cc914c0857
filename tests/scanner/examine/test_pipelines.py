"""Models of several folders, examined: pipelines as one artifact, and what their roots state."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ArtifactRejected, Policy, ScanResult, scan, verify
from prefect_mutagen.scanner.examine.driver import drive, serve
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.storage.coroutines import run
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.requests import Cost, Request
from tests.scanner.examine.shard_builders import Files, index, shard
from tests.scanner.storing import ENGINES, choose_engine, put_local
from tests.servers import S3Server

NONCOMMERCIAL = b"---\nlicense: cc-by-nc-4.0\nbase_model: acme/base\n---\n"
DENIED = Policy(denied_licenses=("cc-by-nc-*",))
SHARDED = "transformer/diffusion_pytorch_model"
PIPELINE: Files = {
    "README.md": NONCOMMERCIAL,
    "model_index.json": json.dumps({"_class_name": "DemoPipeline"}).encode(),
    "scheduler/scheduler_config.json": b"{}",
    "text_encoder/config.json": b'{"model_type": "clip_text_model"}',
    "text_encoder/model.safetensors": shard("e", "f"),
    f"{SHARDED}-00001-of-00002.safetensors": shard("a"),
    f"{SHARDED}-00002-of-00002.safetensors": shard("b"),
    f"{SHARDED}.safetensors.index.json": index(
        {
            "a": "diffusion_pytorch_model-00001-of-00002.safetensors",
            "b": "diffusion_pytorch_model-00002-of-00002.safetensors",
        }
    ),
}


def codes_of(result: ScanResult) -> set[str]:
    return {finding.code for finding in result.findings}


def _only(root: str, **options: Any) -> ScanResult:
    (result,) = scan(root, **options)
    return result


def _check_pipeline(result: ScanResult) -> None:
    assert result.url.endswith("/model_index.json")
    assert (result.kind, len(result.objects), result.sbom.parameter_count) == ("set", 3, 8)
    assert result.sbom.architecture == "DemoPipeline"
    assert result.sources["architecture"] == "model_index.json:_class_name"
    assert result.sources["license"] == "README.md:license"
    assert (result.license_spdx, result.sbom.base_model) == ("CC-BY-NC-4.0", "acme/base")
    assert result.pin
    assert all(item.pin for item in result.objects)


def test_a_pipeline_is_judged_as_a_whole(tmp_path: Path) -> None:
    root = put_local(tmp_path, PIPELINE)
    result = _only(root)
    _check_pipeline(result)
    assert result.passed
    denied = _only(root, policy=DENIED)
    assert [reason.code for reason in denied.verdict.reasons] == ["policy/license"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pipeline_in_a_bucket(
    s3_server: S3Server, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_engine(monkeypatch, engine)
    bucket = s3_server.bucket({f"p/{name}": data for name, data in PIPELINE.items()})
    result = _only(f"s3://{bucket}", storage_options=s3_server.options)
    _check_pipeline(result)
    again = verify(result.url, result.pin, storage_options=s3_server.options)
    assert again.pin == result.pin


def test_one_bad_part_fails_the_pipeline(tmp_path: Path) -> None:
    broken = PIPELINE | {"text_encoder/model.safetensors": shard("e")[:-1]}
    result = _only(put_local(tmp_path, broken))
    assert result.verdict.status == "failed"
    assert any(
        finding.url.endswith("text_encoder/model.safetensors") for finding in result.findings
    )


def test_a_broken_index_of_a_pipeline_fails_it(tmp_path: Path) -> None:
    result = _only(put_local(tmp_path, PIPELINE | {"model_index.json": b"{"}))
    assert (result.verdict.status, codes_of(result)) == ("failed", {"sbom/neighbour-invalid"})


def test_pickles_in_the_root_of_a_pipeline_are_named(tmp_path: Path) -> None:
    result = _only(put_local(tmp_path, PIPELINE | {"pytorch_model.bin": b"\x80\x02}."}))
    assert codes_of(result) == {"set/pickle-beside"}


def test_verify_takes_a_pipeline_by_its_index_and_pin(tmp_path: Path) -> None:
    root = put_local(tmp_path, PIPELINE)
    result = _only(root)
    assert verify(result.url, result.pin).url == result.url
    assert _only(result.url).pin == result.pin
    (tmp_path / "text_encoder/config.json").write_bytes(b"{}")
    with pytest.raises(ArtifactRejected) as caught:
        verify(result.url, result.pin)
    assert caught.value.reasons[0].code == "storage/other-pin"


def test_the_pin_of_a_pipeline_is_of_what_was_read(tmp_path: Path) -> None:
    """A part that is replaced between the listing and its reading is read again."""
    root = put_local(tmp_path, PIPELINE)
    store = open_store(root)
    (artifact,) = list_artifacts(store)
    replaced = tmp_path / "text_encoder/model.safetensors"
    replaced.unlink()
    replaced.write_bytes(shard("e", "g"))
    cost = Cost()

    async def one(request: Request) -> Any:
        return await serve(store, cost, request)

    result = run(store, drive(Examiner().examine(artifact, cost), one))
    (fresh,) = list_artifacts(store)
    assert artifact.pin != fresh.pin
    assert (result.passed, result.pin) == (True, fresh.pin)


def test_an_index_without_shards_in_the_root_of_a_pipeline(tmp_path: Path) -> None:
    files = {
        "modules.json": b"[]",
        "model.safetensors.index.json": index({"a": "model-00001-of-00001.safetensors"}),
        "2_Dense/model.safetensors": shard("d"),
    }
    result = _only(put_local(tmp_path, files))
    assert result.url.endswith("/modules.json")
    assert "set/missing-shard" in codes_of(result)
    assert not result.passed


def test_a_manifest_keeps_the_parts(tmp_path: Path) -> None:
    root = put_local(tmp_path / "root", PIPELINE)
    artifacts = list(list_artifacts(open_store(root)))
    manifest = Manifest(str(tmp_path / "m.jsonl"))
    manifest.write(iter(artifacts))
    (batch,) = manifest.batches(1)
    assert list(batch.read()) == artifacts


@pytest.mark.parametrize("below", ["Q4_K_M", "original", "a/b/c"])
def test_the_licence_of_the_card_above_decides(tmp_path: Path, below: str) -> None:
    files = {"README.md": NONCOMMERCIAL, f"{below}/model.safetensors": shard("a")}
    root = put_local(tmp_path / "root", files)
    result = _only(root, policy=DENIED)
    assert [reason.code for reason in result.verdict.reasons] == ["policy/license"]
    with pytest.raises(ArtifactRejected):
        verify(result.url, policy=DENIED)


@pytest.mark.parametrize("card", ["readme.md", "Readme.md", "README.MD"])
def test_a_card_in_another_case_counts(tmp_path: Path, card: str) -> None:
    files = {card: NONCOMMERCIAL, "q/model.safetensors": shard("a")}
    result = _only(put_local(tmp_path, files), policy=DENIED)
    assert [reason.code for reason in result.verdict.reasons] == ["policy/license"]
    assert result.sources["license"] == f"{card}:license"


def test_a_snapshot_without_any_other_file_is_a_root_for_verify_too(tmp_path: Path) -> None:
    name = "models--o--n/snapshots/abc/q/model.safetensors"
    result = _only(put_local(tmp_path, {name: shard("a")}))
    assert verify(result.url, result.pin).pin == result.pin


def test_a_pin_from_below_the_root_still_fits(tmp_path: Path) -> None:
    files = {"README.md": NONCOMMERCIAL, "q/model.safetensors": shard("a")}
    root = put_local(tmp_path / "root", files)
    above, below = _only(root), _only(f"{root}/q")
    assert above.pin != below.pin
    for result in (above, below):
        assert verify(result.url, result.pin).pin == result.pin
    (tmp_path / "root/q/model.safetensors").write_bytes(shard("b"))
    for result in (above, below):
        with pytest.raises(ArtifactRejected):
            verify(result.url, result.pin)


def test_the_card_of_many_folders_is_requested_once(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_engine(monkeypatch, "fsspec")
    files = {f"m/{number}/model.safetensors": shard("a") for number in range(20)}
    bucket = s3_server.bucket({"m/README.md": NONCOMMERCIAL, **files})
    results = list(scan(f"s3://{bucket}", storage_options=s3_server.options))
    assert len(results) == 20
    assert sum(result.requests for result in results) == 21
