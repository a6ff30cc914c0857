"""Sets of shards, good and broken: each case is a folder, and the codes that a scan finds."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ArtifactRejected, ScanResult, scan, verify
from tests.builders import STRING, U16, U32, gguf, safetensors
from tests.scanner.storing import put_local, put_memory
from tests.servers import S3Server, WebServer

Files = dict[str, bytes]


def shard(*names: str, **metadata: str) -> bytes:
    """A safetensors file of F32 tensors with two elements each."""
    content: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    for number, name in enumerate(names):
        offsets = [8 * number, 8 * number + 8]
        content[name] = {"dtype": "F32", "shape": [2], "data_offsets": offsets}
    return safetensors(content, 8 * len(names))


def index(weight_map: Mapping[str, Any], total_size: Any = None) -> bytes:
    metadata = {} if total_size is None else {"total_size": total_size}
    return json.dumps({"metadata": metadata, "weight_map": weight_map}).encode()


ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
MAP = {"a": ONE, "b": ONE, "c": TWO}
GOOD: Files = {ONE: shard("a", "b"), TWO: shard("c"), INDEX: index(MAP, 24)}


def split(number: int, total: int, names: tuple[str, ...], **stated: int | None) -> bytes:
    """A GGUF shard; ``no``, ``count`` and ``tensors`` may be lies, None leaves them out."""
    values = {"no": number - 1, "count": total, "tensors": 3} | stated
    metadata: list[tuple[str, int, Any]] = [("general.architecture", STRING, "llama")]
    if number == 1:
        metadata += [("general.file_type", U32, 0), ("general.license", STRING, "mit")]
    for key, kind in (("no", U16), ("count", U16), ("tensors", U32)):
        name = "split.tensors.count" if key == "tensors" else f"split.{key}"
        if values[key] is not None:
            metadata.append((name, kind, values[key]))
    return gguf(metadata, [(name, (4, 2), 0) for name in names]).data


G_ONE, G_TWO = "m-00001-of-00002.gguf", "m-00002-of-00002.gguf"
GOOD_GGUF: Files = {G_ONE: split(1, 2, ("a", "b")), G_TWO: split(2, 2, ("c",))}


def _only(root: str) -> ScanResult:
    (result,) = scan(root)
    return result


def _codes(result: ScanResult) -> list[str]:
    return [finding.code for finding in result.findings]


def test_an_indexed_set_is_one_artifact_with_totals(tmp_path: Path) -> None:
    beside = {"config.json": b'{"model_type":"llama","max_position_embeddings":77}'}
    root = put_local(tmp_path, GOOD | beside)
    result = _only(root)
    assert result.passed
    assert (result.kind, result.url) == ("set", f"{root}/{INDEX}")
    assert [item.url.rpartition("/")[2] for item in result.objects] == [ONE, TWO]
    assert result.sbom.parameter_count == 6
    assert result.sbom.file_size_bytes == len(GOOD[ONE]) + len(GOOD[TWO]) == result.size
    assert (result.sbom.dtype, result.sbom.architecture) == ("F32", "llama")
    assert result.sbom.metadata["tensor_count"] == 3
    assert result.sbom.metadata["shard_count"] == 2
    assert result.sources["parameter_count"] == "safetensors:tensors"
    assert result.sources["context_length"] == "config.json:max_position_embeddings"
    one, two = (item.sbom for item in result.objects)
    assert one is not None
    assert two is not None
    assert (one.parameter_count, two.parameter_count) == (4, 2)
    assert one.metadata["layer_names"] == ["a", "b"]


def test_a_gguf_set_is_one_artifact_with_totals(tmp_path: Path) -> None:
    root = put_local(tmp_path, GOOD_GGUF)
    result = _only(root)
    assert result.passed
    assert (result.kind, result.url) == ("set", f"{root}/{G_ONE}")
    assert (result.sbom.parameter_count, result.sbom.quantization) == (24, "F32")
    assert (result.sbom.license, result.license_spdx) == ("mit", "MIT")
    assert result.sbom.metadata["tensor_type_parameter_counts"] == {"F32": 24}


def test_the_quantization_of_a_set_is_that_of_all_its_tensors(tmp_path: Path) -> None:
    def quantized(number: int, kind: int, rows: int) -> bytes:
        keys: list[tuple[str, int, Any]] = [("general.architecture", STRING, "llama")]
        if number == 1:
            keys.append(("general.file_type", U32, 7))
        keys += [("split.no", U16, number - 1), ("split.count", U16, 2)]
        keys.append(("split.tensors.count", U32, 2))
        return gguf(keys, [(f"t{number}", (32, rows), kind)]).data

    # The first shard alone would look like another quantization than it says.
    files = {G_ONE: quantized(1, 0, 1), G_TWO: quantized(2, 8, 8)}
    result = _only(put_local(tmp_path, files))
    assert result.sbom.quantization == "Q8_0"
    assert result.findings == ()


BROKEN: dict[str, tuple[Files, list[str]]] = {
    "shard-of-the-index-absent": ({ONE: GOOD[ONE], INDEX: GOOD[INDEX]}, ["set/missing-shard"]),
    "all-shards-absent": ({INDEX: GOOD[INDEX]}, ["set/missing-shard"]),
    "tensor-of-the-map-absent": (
        GOOD | {TWO: shard()},
        ["set/index-mismatch", "set/total-size", "safetensors/no-weights"],
    ),
    "tensor-not-in-the-map": (
        GOOD | {TWO: shard("c", "d")},
        ["set/index-mismatch", "set/total-size"],
    ),
    "tensor-in-another-shard": (
        GOOD | {INDEX: index(MAP | {"b": TWO}, 24)},
        ["set/index-mismatch", "set/index-mismatch"],
    ),
    "tensor-in-two-shards": (
        GOOD | {TWO: shard("c", "a"), INDEX: index(MAP)},
        ["set/index-mismatch", "set/duplicate-tensor"],
    ),
    "wrong-total-size": (GOOD | {INDEX: index(MAP, 23)}, ["set/total-size"]),
    "a-leftover-shard": (
        GOOD | {"model-00003-of-00003.safetensors": shard("z")},
        ["set/unnamed-shard"],
    ),
    "index-is-no-json": (GOOD | {INDEX: b"<html>"}, ["set/index-invalid"]),
    "index-without-a-map": (GOOD | {INDEX: b"{}"}, ["set/index-invalid"]),
    "index-is-empty": (GOOD | {INDEX: b""}, ["set/index-invalid"]),
    "index-with-a-key-twice": (
        GOOD | {INDEX: b'{"weight_map":{"a":"%s","a":"%s"}}' % (ONE.encode(), TWO.encode())},
        ["set/index-invalid"],
    ),
    "index-with-a-number": (GOOD | {INDEX: index({"a": 7})}, ["set/index-invalid"]),
    "index-leads-elsewhere": (
        GOOD | {INDEX: index({"a": "../../secret.safetensors"})},
        ["set/index-invalid"],
    ),
    "index-of-brackets": (
        GOOD | {INDEX: b'{"weight_map":[' + b"[]," * 100_000 + b"[]]}"},
        ["set/index-invalid"],
    ),
    "index-missing": ({ONE: GOOD[ONE], TWO: GOOD[TWO]}, ["set/index-missing"]),
    "numbering-gap": ({TWO: GOOD[TWO]}, ["set/missing-shard", "set/index-missing"]),
    "gguf-numbering-gap": ({G_TWO: GOOD_GGUF[G_TWO]}, ["set/missing-shard", "set/split-mismatch"]),
    "gguf-number-lies": (
        GOOD_GGUF | {G_TWO: split(2, 2, ("c",), no=0)},
        ["set/split-mismatch"],
    ),
    "gguf-count-lies": (
        GOOD_GGUF | {G_TWO: split(2, 2, ("c",), count=3)},
        ["set/split-mismatch"],
    ),
    "gguf-tensors-lie": (
        {G_ONE: split(1, 2, ("a", "b"), tensors=4), G_TWO: split(2, 2, ("c",), tensors=4)},
        ["set/split-mismatch"],
    ),
    "gguf-says-nothing-of-a-split": (
        GOOD_GGUF | {G_TWO: split(2, 2, ("c",), no=None, count=None)},
        ["set/split-mismatch", "set/split-mismatch"],
    ),
    "gguf-name-twice": (
        GOOD_GGUF | {G_TWO: split(2, 2, ("a",))},
        ["set/duplicate-tensor"],
    ),
    "gguf-shard-under-another-name": (
        {"renamed.gguf": GOOD_GGUF[G_ONE]},
        ["set/missing-shard"],
    ),
    "licences-disagree": (
        GOOD | {ONE: shard("a", "b", license="mit"), TWO: shard("c", license="gemma")},
        ["sbom/license-conflict"],
    ),
    "pickle-beside": (
        GOOD | {"pytorch_model.bin": b"\x80\x02}."},
        ["set/pickle-beside"],
    ),
    "no-pickle-beside": (
        GOOD | {"pytorch_model.bin": b"x"},
        ["set/pickle-beside", "weights/named-only"],
    ),
    "shard-is-cut": (GOOD | {TWO: GOOD[TWO][:-1]}, ["safetensors/truncated-data"]),
    "shard-is-a-page": (GOOD | {TWO: b"<!DOCTYPE html>" * 9}, ["safetensors/web-page"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_set_is_found(tmp_path: Path, name: str) -> None:
    files, codes = BROKEN[name]
    result = _only(put_local(tmp_path, files))
    assert _codes(result) == codes
    severe = any(finding.severity == "error" for finding in result.findings)
    assert result.passed is not severe
    for finding in result.findings:
        assert finding.url.startswith(str(tmp_path))
        assert finding.hint


def test_a_sum_of_an_incomplete_set_is_not_stated(tmp_path: Path) -> None:
    result = _only(put_local(tmp_path, {ONE: GOOD[ONE], INDEX: GOOD[INDEX]}))
    assert result.sbom.parameter_count is None
    assert "parameter_count" not in result.sources


def test_long_lists_of_tensors_are_named_in_part(tmp_path: Path) -> None:
    names = {f"t{number}": ONE for number in range(2000)}
    result = _only(put_local(tmp_path, GOOD | {INDEX: index(MAP | names)}))
    (finding,) = result.findings
    assert finding.message.endswith("lacks: 't0', 't1', 't2', 't3', 't4' and 1995 more")


def test_names_from_an_index_forge_nothing(tmp_path: Path) -> None:
    nasty = "x\x1b[2J\n- passed\u202e.safetensors"
    result = _only(put_local(tmp_path, GOOD | {INDEX: index(MAP | {"t\n": nasty})}))
    (finding,) = result.findings
    assert finding.code == "set/missing-shard"
    assert finding.message.isprintable()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("model.fp16-0000%d-of-00002.safetensors", "model.safetensors.index.fp16.json"),
        ("model-0000%d-of-00002.fp16.safetensors", "model.safetensors.index.fp16.json"),
        ("diffusion_pytorch_model-0000%d-of-00002.safetensors", None),
        ("model-0000%d-of-00001.safetensors", "model.safetensors.index.json"),
    ],
    ids=["variant-before", "variant-behind", "diffusers", "single-with-index"],
)
def test_names_of_shards_and_indexes(tmp_path: Path, name: str, other: str | None) -> None:
    shards = [name % 1] if "00001.s" in name else [name % 1, name % 2]
    files = {one: shard(one[:1] + str(number)) for number, one in enumerate(shards)}
    weight_map = {one[:1] + str(number): one for number, one in enumerate(shards)}
    stem = name.partition("-0000")[0]
    files[other or f"{stem}.safetensors.index.json"] = index(weight_map)
    result = _only(put_local(tmp_path, files))
    assert result.findings == ()
    assert len(result.objects) == len(shards)


def test_an_index_may_name_files_that_do_not_number_themselves(tmp_path: Path) -> None:
    files = {
        "left.safetensors": shard("a"),
        "right.safetensors": shard("b"),
        "lora.safetensors": shard("z"),
        INDEX: index({"a": "left.safetensors", "b": "right.safetensors"}),
    }
    results = {result.url.rpartition("/")[2]: result for result in scan(put_local(tmp_path, files))}
    assert set(results) == {"lora.safetensors", INDEX}
    assert all(result.passed for result in results.values())
    assert len(results[INDEX].objects) == 2


def test_two_counts_under_one_name_are_two_sets(tmp_path: Path) -> None:
    third = "m-00001-of-00003.gguf"
    results = list(scan(put_local(tmp_path, GOOD_GGUF | {third: split(1, 3, ("z",), tensors=1)})))
    assert [result.verdict.status for result in results] == ["passed", "failed"]


def test_each_shard_has_a_finding_of_its_own_and_its_own_document(tmp_path: Path) -> None:
    root = put_local(tmp_path, GOOD | {TWO: GOOD[TWO][:-1]})
    result = _only(root)
    (finding,) = result.findings
    assert finding.url == f"{root}/{TWO}"
    one, two = (item.sbom for item in result.objects)
    assert one is not None
    assert two is not None
    assert one.warnings == ()
    assert two.warnings == (finding.message,)


@pytest.mark.parametrize("files", [GOOD, GOOD_GGUF], ids=["safetensors", "gguf"])
def test_the_address_of_a_set_names_the_set(tmp_path: Path, files: Files) -> None:
    beside = {"config.json": b"{}", "train.pkl": b"x", "SHA256SUMS": b"", "sub/x.gguf": b"GGUF"}
    root = put_local(tmp_path, files | beside)
    result = next(one for one in scan(root) if one.kind == "set")
    named = verify(result.url, result.pin)
    assert (named.kind, named.pin) == ("set", result.pin)
    assert len(named.objects) == 2
    last = _only(named.objects[-1].url)
    assert (last.kind, len(last.objects)) == ("file", 1)


def test_a_change_of_any_shard_changes_the_pin(tmp_path: Path) -> None:
    root = put_local(tmp_path, GOOD)
    before = _only(root)
    put_local(tmp_path, {TWO: shard("c", license="mit")})
    assert _only(root).pin != before.pin
    with pytest.raises(ArtifactRejected, match="bytes differ from the pinned ones"):
        verify(before.url, before.pin)


@pytest.fixture(params=["memory", "s3", "http"])
def put(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[Files], tuple[str, dict[str, Any]]]]:
    """Put files into one kind of storage; gives the folder's address and options."""
    with ExitStack() as stack:
        if request.param == "memory":
            yield lambda files: (put_memory(files), {})
        elif request.param == "s3":
            server: S3Server = request.getfixturevalue("s3_server")
            yield lambda files: (f"s3://{server.bucket(files)}", server.options)
        else:
            site = stack.enter_context(WebServer(tmp_path))
            yield lambda files: (put_local(tmp_path, files) and site.url, {})


@pytest.mark.parametrize("files", [GOOD, GOOD_GGUF], ids=["safetensors", "gguf"])
def test_sets_in_other_storage(
    put: Callable[[Files], tuple[str, dict[str, Any]]], files: Files
) -> None:
    root, options = put(files | {"config.json": b'{"model_type":"llama"}'})
    (result,) = scan(root, storage_options=options)
    assert (result.kind, result.passed) == ("set", True)
    named = verify(result.url, result.pin, storage_options=options)
    assert [item.url for item in named.objects] == [item.url for item in result.objects]


def test_a_set_named_where_nothing_lists_misses_its_shard(tmp_path: Path) -> None:
    put_local(tmp_path, {name: data for name, data in GOOD.items() if name != TWO})
    with WebServer(tmp_path) as site:
        result = _only(f"{site.url}/{INDEX}")
    assert _codes(result) == ["set/missing-shard"]


def test_many_shards_are_read_side_by_side(
    put: Callable[[Files], tuple[str, dict[str, Any]]],
) -> None:
    names = [f"m-{number:05d}-of-00040.safetensors" for number in range(1, 41)]
    files = {name: shard(name) for name in names}
    files["m.safetensors.index.json"] = index({name: name for name in names})
    root, options = put(files)
    (result,) = scan(root, storage_options=options, concurrency=2)
    assert result.passed
    assert [item.url.rpartition("/")[2] for item in result.objects] == names
    assert result.sbom.parameter_count == 80
