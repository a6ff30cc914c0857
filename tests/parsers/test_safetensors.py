import json
from itertools import repeat

import pytest
import safetensors as reference

from prefect_mutagen.parsers import SafetensorsHeader
from tests.builders import safetensors, tensor
from tests.parsers.reading import read
from tests.parsers.safetensors_cases import CASES, GOOD, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_rule_gives_its_code_at_its_offset(case: Case) -> None:
    found = read(case.data, "safetensors").errors
    errors = [error for error in found if error.severity == "error"]
    first = [(error.code, error.offset) for error in (found if case.loads else errors)[:1]]
    assert first == ([(f"safetensors/{case.code}", case.offset)] if case.code else [])
    assert case.loads == (not errors)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_verdicts_follow_the_rust_reader(case: Case) -> None:
    try:
        reference.deserialize(case.data)
        loads = True
    except reference.SafetensorError:
        loads = False
    # The reader keeps the last of two equal keys; two readers would load two models.
    silent = {"name-twice", "metadata-key-twice", "key-in-extra-field-twice"}
    if any(case.id.startswith(name) for name in silent):
        assert loads
        assert not case.loads
    else:
        assert case.loads == loads


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize(
    "case", [case for case in CASES if len(case.data) < 5000], ids=lambda case: case.id
)
def test_pieces_of_any_size_give_the_same_header(case: Case, size: int) -> None:
    assert read(case.data, "safetensors", repeat(size)) == read(case.data, "safetensors")


def test_facts_of_a_header() -> None:
    header = {
        "__metadata__": {"format": "pt", "note": "two"},
        "b": tensor("F16", [2, 3], 0, 12),
        "a": tensor("F32", [5], 12, 32),
    }
    data = safetensors(header, 32)
    found = read(data, "safetensors")
    assert isinstance(found, SafetensorsHeader)
    assert found.complete
    assert found.metadata == (("format", "pt"), ("note", "two"))
    assert found.tensors == (("b", (2, 3), "F16", 0, 12, 6), ("a", (5,), "F32", 12, 20, 5))
    assert found.header_size == len(data) - 32
    assert found.data_size == 32


@pytest.mark.parametrize("indent", [None, 2])
def test_the_usual_and_the_unusual_way_read_the_same(indent: int | None) -> None:
    tensors = {f"t{n}": tensor("BF16", [n, 2], 2 * n * (n - 1), 2 * n * (n + 1)) for n in range(30)}
    usual = read(safetensors(json.dumps(tensors, indent=indent), 1740), "safetensors")
    turned = {name: dict(reversed(fields.items())) for name, fields in tensors.items()}
    unusual = read(safetensors(json.dumps(turned, indent=indent), 1740), "safetensors")
    assert isinstance(usual, SafetensorsHeader)
    assert isinstance(unusual, SafetensorsHeader)
    assert usual.errors == unusual.errors == ()
    assert usual.tensors == unusual.tensors
    assert len(usual.tensors) == 30


def test_what_a_torn_header_still_says_is_kept() -> None:
    whole = safetensors('{"__metadata__":{"format":"pt"},"a":%s,"b":%s}' % (GOOD, GOOD), 8)
    header = read(whole[:110], "safetensors")
    assert isinstance(header, SafetensorsHeader)
    assert not header.complete
    assert header.metadata == (("format", "pt"),)
    assert [row.name for row in header.tensors] == ["a"]
    assert [error.code for error in header.errors] == ["safetensors/truncated"]


@pytest.mark.slow
def test_hostile_headers_stay_cheap() -> None:
    escapes = '{"' + "\\u0061" * 800_000 + '":%s}' % GOOD
    assert not read(safetensors(escapes, 4), "safetensors").errors
    scalars = '{"a":' + GOOD[:-1] + ',"x":[' + "{}," * 1_000_000 + '{"y":1},' * 300_000 + "0]}}"
    codes = [error.code for error in read(safetensors(scalars, 4), "safetensors").errors]
    assert codes == ["safetensors/unknown-field", "safetensors/too-complex"]
    dims = '{"a":{"dtype":"F32","shape":[' + "1," * 3_000_000 + '1],"data_offsets":[0,4]}}'
    codes = [error.code for error in read(safetensors(dims, 4), "safetensors").errors]
    assert codes == ["safetensors/too-complex"]
