"""Sets as people have them: indexes over other names, odd numbers, ranks, weights beside them."""

from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, scan, verify
from tests.scanner.examine.shard_builders import (
    INDEX,
    Files,
    codes_of,
    index,
    model,
    results_of,
    shard,
)
from tests.scanner.storing import put_local
from tests.servers import WebServer
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("consolidated-%05d-of-00002.safetensors", INDEX),
        ("pytorch_model-%05d-of-00002.safetensors", INDEX),
        ("Model-%05d-of-00002.safetensors", INDEX),
        ("model-%05d-of-00002.safetensors", "diffusion_pytorch_model.safetensors.index.json"),
        ("model-%04d-of-0002.safetensors", INDEX),
        ("model-%06d-of-000002.safetensors", INDEX),
        ("model-%05d-of-000002.safetensors", INDEX),
        ("model_%05d-of-00002.safetensors", INDEX),
        ("model-%d.safetensors", INDEX),
        ("model-%05d-of-00002.bf16-ema.safetensors", "model.safetensors.index.bf16-ema.json"),
        ("shards/%05d.safetensors", INDEX),
        ("a/b/model-%05d-of-00002.safetensors", INDEX),
    ],
)
def test_a_model_is_one_artifact_whatever_its_shards_are_called(
    tmp_path: Path, pattern: str, named: str
) -> None:
    results = results_of(tmp_path, model(pattern, named))
    assert list(results) == [named]
    assert results[named].findings == ()
    assert results[named].sbom.parameter_count == 4
    assert [item.url for item in results[named].objects] == [
        f"{tmp_path}/{pattern % number}" for number in (1, 2)
    ]
    again = verify(f"{tmp_path}/{named}", results[named].pin)
    assert len(again.objects) == 2


@pytest.mark.parametrize(
    "spelling",
    [
        "./x.safetensors",
        ".//x.safetensors",
        "sub/x.safetensors",
        "./sub/./x.safetensors",
        "a b/ä#.x",
    ],
)
def test_a_name_inside_the_folder_may_be_a_path(tmp_path: Path, spelling: str) -> None:
    path = "/".join(part for part in spelling.split("/") if part not in ("", "."))
    result = results_of(tmp_path, {path: shard("a"), INDEX: index({"a": spelling})})[INDEX]
    assert (result.findings, len(result.objects)) == ((), 1)


@pytest.mark.parametrize(
    "spelling",
    [
        "../x.safetensors",
        "sub/../../x.safetensors",
        "sub/../x.safetensors",
        "/x.safetensors",
        "//host/x.safetensors",
        "C:x.safetensors",
        "C:\\x.safetensors",
        "..\\x.safetensors",
        "s3://b/x.safetensors",
        "file:x.safetensors",
        "%2e%2E/x.safetensors",
        ".",
        "..",
        "./",
        "sub/",
        "x\0.safetensors",
        "",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, spelling: str) -> None:
    results = results_of(
        tmp_path / "m", {"x.safetensors": shard("a"), INDEX: index({"a": spelling})}
    )
    assert codes_of(results[INDEX]) == ["set/index-invalid"]
    assert not results[INDEX].passed
    assert results["x.safetensors"].passed


def test_a_shard_that_is_missing_in_a_folder_below_is_found(tmp_path: Path) -> None:
    files = model("sub/%d.safetensors")
    del files["sub/2.safetensors"]
    result = results_of(tmp_path, files)[INDEX]
    assert codes_of(result) == ["set/missing-shard"]
    assert "'sub/2.safetensors'" in result.findings[0].message


def test_folders_below_are_looked_up_where_nothing_lists(tmp_path: Path) -> None:
    put_local(tmp_path, model("sub/%d.safetensors"))
    with WebServer(tmp_path) as site:
        (result,) = scan(f"{site.url}/{INDEX}")
    assert (codes_of(result), len(result.objects)) == ([], 2)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["model-0001-of-0003", "model-0003-of-0003"], "2 of 3"),
        (["model-00001-of-000003", "model-00003-of-000003"], "2 of 3"),
        (["model_00001-of-00003", "model_00002-of-00003"], "3 of 3"),
        (["model-000002-of-000004"], "1, 3, 4 of 4"),
        (["model-0-of-3", "model-2-of-3"], "1 of 3"),
        (["m-00001-of-999999"], "2, 3, 4, 5, 6 and 999993 more of 999999"),
    ],
)
def test_a_shard_that_is_missing_is_found_by_any_numbers(
    tmp_path: Path, names: list[str], missing: str
) -> None:
    files = {f"{name}.safetensors": shard(name) for name in names}
    (result,) = results_of(tmp_path, files).values()
    assert result.findings[0].code == "set/missing-shard"
    assert result.findings[0].message == f"missing shards: {missing}"


def test_some_frameworks_count_from_zero(tmp_path: Path) -> None:
    files = {f"m-0000{number}-of-00002.safetensors": shard(str(number)) for number in (0, 1)}
    (result,) = results_of(tmp_path, files).values()
    assert codes_of(result) == ["set/index-missing"]
    (tmp_path / "m-00000-of-00002.safetensors").rename(tmp_path / "m-00003-of-00002.safetensors")
    (result,) = scan(str(tmp_path))
    assert codes_of(result) == ["set/missing-shard", "set/split-mismatch", "set/index-missing"]


def ranks(pattern: str, *present: Any, tensors: tuple[str, ...] = ("a", "b")) -> Files:
    return {f"{pattern % one}.safetensors": shard(*tensors) for one in present}


VLLM = "model-rank-%d-part-%d"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (ranks("model-rank-%d-part-0", 0, 1), ""),
        (ranks("model-rank-%d-part-0", 0, 1, 3), "missing ranks, of 4: 2"),
        (ranks("model-rank-%d-part-0", 1), "missing ranks, of 2: 0"),
        (
            ranks(VLLM, (0, 0), (1, 0)) | ranks(VLLM, (0, 1), (1, 1), tensors=("c",)),
            "",
        ),
        (
            ranks(VLLM, (0, 0), (1, 0)) | ranks(VLLM, (0, 2), (1, 2), tensors=("c",)),
            "missing parts of rank 0: 1",
        ),
        (
            ranks(VLLM, (0, 0), (1, 0)) | ranks(VLLM, (0, 1), tensors=("c",)),
            "rank 1 lacks tensors that other ranks have: 'c'",
        ),
        (ranks("model%d-mp2", 0, 1), ""),
        (ranks("model%d-mp4", 0, 1, 3), "missing ranks, of 4: 2"),
        (ranks("consolidated.%02d", 0, 1), ""),
        (ranks("consolidated.%02d", 0, 2), "missing ranks, of 3: 1"),
        (ranks("rank%d", 0, 1), ""),
        (ranks("rank%d", 1, 2), "missing ranks, of 3: 0"),
        (ranks("model-rank-%d-part-0", 999_999), "missing ranks, of 1000000: 0, 1, 2, 3, 4 and"),
    ],
)
def test_files_of_ranks_are_one_set(tmp_path: Path, files: Files, said: str) -> None:
    (result,) = results_of(tmp_path, files).values()
    assert (result.kind, len(result.objects)) == ("set", len(files))
    assert result.passed == (not said)
    if said:
        assert {finding.code for finding in result.findings} == {"set/missing-shard"}
        assert result.findings[0].message.startswith(said)
    else:
        assert result.findings == ()
    assert result.sbom.parameter_count is None, "tensors in slices and whole ones cannot be added"


def test_one_rank_is_the_whole_model(tmp_path: Path) -> None:
    (result,) = results_of(tmp_path, ranks("model-rank-%d-part-0", 0)).values()
    assert (result.findings, result.sbom.parameter_count) == ((), 4)


def test_a_tensor_twice_in_one_rank_is_found(tmp_path: Path) -> None:
    files = ranks(VLLM, (0, 0), (1, 0)) | ranks(VLLM, (0, 1), tensors=("b",))
    (result,) = results_of(tmp_path, files).values()
    assert codes_of(result) == ["set/duplicate-tensor"]


def test_a_rank_beyond_the_stated_number_is_found(tmp_path: Path) -> None:
    (result,) = results_of(tmp_path, ranks("model%d-mp2", 0, 1, 2)).values()
    assert codes_of(result) == ["set/split-mismatch"]


SHARDS = model("model-%05d-of-00002.safetensors")
AMBIGUOUS = "set/ambiguous-weights"


@pytest.mark.parametrize(
    ("beside", "name"),
    [
        ({"model.safetensors": shard("x")}, "model.safetensors"),
        ({"consolidated.safetensors": shard("x")}, "consolidated.safetensors"),
        ({"adapter_model.safetensors": shard("x")}, "adapter_model.safetensors"),
        (
            model("c-%d.safetensors", "consolidated.safetensors.index.json"),
            "consolidated.safetensors.index.json",
        ),
        (
            model("d-%d.safetensors", "diffusion_pytorch_model.safetensors.index.json"),
            "diffusion_pytorch_model.safetensors.index.json",
        ),
        (model("e-%d.safetensors", "my.safetensors.index.json"), "my.safetensors.index.json"),
        (ranks("model-rank-%d-part-0", 0), "model-rank-0-part-0.safetensors"),
        (ranks("consolidated.%02d", 0, 1), "consolidated.00.safetensors"),
    ],
    ids=["whole", "consolidated", "adapter", "mistral", "diffusers", "own", "ranks", "meta"],
)
def test_both_say_that_loaders_differ(tmp_path: Path, beside: Files, name: str) -> None:
    results = results_of(tmp_path, SHARDS | beside)
    assert set(results) == {INDEX, name}
    for one, other in ((INDEX, name), (name, INDEX)):
        (finding,) = results[one].findings
        assert (finding.code, finding.severity) == (AMBIGUOUS, "warning")
        assert finding.message.endswith(f"the folder also has '{other}'")
        assert results[one].passed
    strict = Policy(fail_on="warning")
    assert not any(result.passed for result in scan(str(tmp_path), policy=strict))


@pytest.mark.parametrize(
    "files",
    [
        {"model.safetensors": shard("x"), "model.fp16.safetensors": shard("x")},
        SHARDS | model("model.fp16-%05d-of-00002.safetensors", "model.safetensors.index.fp16.json"),
        SHARDS | {"model.fp16.safetensors": shard("x")},
    ],
    ids=["whole", "indexes", "index-and-whole"],
)
def test_variants_are_mentioned(tmp_path: Path, files: Files) -> None:
    results = results_of(tmp_path, files, policy=Policy(fail_on="warning"))
    assert len(results) == 2
    for result in results.values():
        assert (codes_of(result), result.passed) == (["set/variant-beside"], True)


@pytest.mark.parametrize(
    "files",
    [
        {"a.safetensors": shard("x"), "b.safetensors": shard("x")},
        {
            "model.safetensors": shard("x"),
            "config.json": b"{}",
            "vae/model.safetensors": shard("x"),
        },
        SHARDS | {"visual.safetensors": shard("x")},
        model("a-%05d-of-00002.safetensors", "a.safetensors.index.json")
        | model("b-%05d-of-00002.safetensors", "b.safetensors.index.json"),
    ],
    ids=["collection", "folders", "another-name", "collection-of-sets"],
)
def test_what_does_not_compete_is_not_mentioned(tmp_path: Path, files: Files) -> None:
    results = results_of(tmp_path, files)
    assert len(results) == 2
    assert all(result.findings == () for result in results.values())


def test_a_file_that_appears_is_another_pin(tmp_path: Path) -> None:
    before = results_of(tmp_path, SHARDS)[INDEX]
    after = results_of(tmp_path, {"model.safetensors": shard("x")})[INDEX]
    assert before.pin != after.pin
    assert verify(f"{tmp_path}/{INDEX}", after.pin).pin == after.pin
    one = results_of(tmp_path, {})["model.safetensors"]
    assert verify(one.url, one.pin).pin == one.pin


def test_an_index_of_files_that_another_index_has_is_named(tmp_path: Path) -> None:
    twice = SHARDS | {"my.safetensors.index.json": SHARDS[INDEX]}
    (result,) = results_of(tmp_path, twice).values()
    assert codes_of(result) == [AMBIGUOUS]
    by_name = verify(f"{tmp_path}/my.safetensors.index.json")
    assert (by_name.kind, len(by_name.objects)) == ("set", 2)


@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
def test_an_index_is_requested_once(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine == "obstore":
        pytest.importorskip("obstore")
    monkeypatch.setenv("PREFECT_MUTAGEN_ENGINE", engine)
    files = model("consolidated-%05d-of-00002.safetensors") | {"model.safetensors": shard("x")}
    with SyntheticS3() as server:
        server.content = Written({f"m/{name}": data for name, data in files.items()})
        results = list(scan("s3://b/m/", storage_options=server.options))
        assert {*server.counts.keys.values()} == {1}, "one for each file"
        assert sum(result.requests for result in results) == server.counts.keys.total() == 4
        assert sum(result.bytes_read for result in results) == server.counts.bytes
    assert [codes_of(result) for result in results] == [[AMBIGUOUS]] * 2


def test_sets_in_a_bucket(s3_server: Any) -> None:
    files = model("sub/%d.safetensors") | {
        f"other/{name}": data
        for name, data in model("consolidated-%05d-of-00002.safetensors").items()
    }
    root = f"s3://{s3_server.bucket(files)}"
    results = list(scan(root, storage_options=s3_server.options))
    assert [(result.passed, len(result.objects)) for result in results] == [(True, 2)] * 2
    for result in results:
        named = verify(result.url, storage_options=s3_server.options)
        assert [item.url for item in named.objects] == [item.url for item in result.objects]
