"""Whatever a text beside a model says, reading it gives an answer, and every output can say it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.content.neighbours import read_neighbours
from prefect_mutagen.scanner.content.safe_load import load_front_matter, load_json
from prefect_mutagen.scanner.content.shard_index import read_index
from prefect_mutagen.scanner.listing.roles import PROBED, SIGNATURE_SUFFIXES
from prefect_mutagen.scanner.sbom.json_text import to_json
from prefect_mutagen.scanner.storage.hashing import read_checksums
from tests.builders import STRING, gguf, safetensors, tensor
from tests.property.hostile_texts import cards, encoded, json_texts, yaml_values

CHECKSUMS = ("SHA256SUMS", "SHA256SUMS.txt", "checksums.sha256", "m.sha256", "m.gguf.sha256sum")
CARD = encoded(cards())
JSON = encoded(json_texts())
INDEX = encoded(json_texts("model.safetensors.index.json"))
TEXT = {name: CARD if name == "README.md" else encoded(json_texts(name)) for name in PROBED}


@settings(max_examples=200)
@given(CARD)
def test_a_card_is_plain_text(raw: bytes) -> None:
    loaded = load_front_matter(raw)
    _assert_plain(loaded.values)
    if loaded.problem:
        assert "\n" not in loaded.problem


def _assert_plain(value: Any) -> None:
    """Texts, truth values and nothing else: no number, no date, no object."""
    if isinstance(value, dict):
        for key, inner in value.items():
            assert type(key) is str
            _assert_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            _assert_plain(inner)
    else:
        assert type(value) in (str, bool, type(None))


@settings(max_examples=60)
@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@given(CARD)
def test_each_of_the_librarys_parsers_will_do(loader: str, raw: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "CSafeLoader", getattr(yaml, loader), raising=False)
        _assert_plain(load_front_matter(raw).values)


@given(yaml_values())
def test_a_value_does_not_cost_the_values_before_it(value: str) -> None:
    loaded = load_front_matter(f"---\nlicense: mit\nx: {value}\n---\n".encode("utf-8", "replace"))
    assert loaded.problem or loaded.values["license"] == "mit"


@given(JSON)
def test_json_is_an_object_or_a_problem(raw: bytes) -> None:
    loaded = load_json(raw)
    # What is stated in an encoding that loaders refuse is read all the same.
    is_foreign = " which loaders refuse" in loaded.problem or "UTF-8 only" in loaded.problem
    assert is_foreign or not (loaded.problem and loaded.values)


@settings(max_examples=150)
@given(st.fixed_dictionaries({}, optional=TEXT))
def test_neighbours_state_what_every_output_can_say(files: dict[str, bytes]) -> None:
    found = read_neighbours({name: (f"/m/{name}", raw) for name, raw in files.items()})
    stated = {name: fact.value for name, fact in (found.before | found.behind).items()}
    for values in (stated, found.config, found.details):
        assert json.loads(to_json(dict(values)), parse_constant=_never) is not None
    for value in (*stated.values(), *_numbers(found.details)):
        if isinstance(value, int | float):
            assert -(2**63) <= value < 2**64
    for finding in found.findings:
        finding.message.encode()


def _never(name: str) -> Any:
    raise AssertionError(name)


def _numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for inner in value.values() for number in _numbers(inner)]
    return [value] if isinstance(value, int) else []


@given(INDEX)
def test_an_index_is_read_or_refused(raw: bytes) -> None:
    index, problem, _ = read_index(raw)
    assert (index is None) == bool(problem)
    if index is not None:
        assert index.total_size is None or -(2**63) <= index.total_size < 2**64


@given(st.sampled_from([*CHECKSUMS, "m.gguf.sha256"]), st.binary(max_size=300) | CARD | JSON)
def test_checksums_are_digests_or_nothing(name: str, raw: bytes) -> None:
    for digest in read_checksums(name, raw).values():
        assert len(bytes.fromhex(digest)) == 32


MODELS = {
    "m.gguf": gguf([("general.architecture", STRING, "llama")]).data,
    "s-00001-of-00001.safetensors": safetensors({"a": tensor("F32", [1], 0, 4)}, 4),
    "model-00001-of-00001.safetensors": safetensors({"a": tensor("I32", [1], 0, 4)}, 4),
}
SIGNATURES = ("model.sig", *(f"m.gguf{suffix}" for suffix in SIGNATURE_SUFFIXES))
BESIDE: dict[str, st.SearchStrategy[bytes]] = {
    **TEXT,
    "model.safetensors.index.json": INDEX,
    **dict.fromkeys((*CHECKSUMS, "m.gguf.sha256"), st.binary(max_size=100) | JSON),
    **dict.fromkeys(SIGNATURES, JSON),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("beside")
    for name in BESIDE:
        (root / name).parent.mkdir(exist_ok=True)
    for name, data in MODELS.items():
        (root / name).write_bytes(data)
    return root


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(sorted(BESIDE)), st.data() | JSON | CARD, max_size=4))
def test_a_scan_has_a_row_for_every_model(folder: Path, files: dict[str, Any]) -> None:
    for name in BESIDE:
        (folder / name).unlink(missing_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw if isinstance(raw, bytes) else raw.draw(BESIDE[name]))
    results = list(scan(str(folder)))
    assert {result.url.rpartition("/")[2] for result in results} >= {"m.gguf"}
    assert {item.url.rpartition("/")[2] for one in results for item in one.objects} == set(MODELS)
    codes = {finding.code for result in results for finding in result.findings}
    assert "scan/internal-error" not in codes
