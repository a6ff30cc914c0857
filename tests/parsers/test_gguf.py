import hashlib
from itertools import repeat

import pytest

from prefect_mutagen.parsers import GgufHeader, LongText, NeedBytes, read_header
from prefect_mutagen.parsers.gguf_values import ArrayValue
from tests.builders import ARRAY, F32, STRING, U8, U32, gguf
from tests.parsers.gguf_case import Case
from tests.parsers.gguf_cases import CASES
from tests.parsers.reading import read


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_rule_gives_its_code_at_its_offset(case: Case) -> None:
    found = [(error.code, error.offset, error.severity) for error in read(case.data, "gguf").errors]
    errors = [(code, offset) for code, offset, severity in found if severity == "error"]
    notes = [(code, offset) for code, offset, severity in found if severity != "error"]
    assert errors == [(f"gguf/{code}", offset) for code, offset in case.errors]
    assert notes == [(f"gguf/{code}", offset) for code, offset in case.notes]


def test_there_are_enough_cases_and_no_two_alike() -> None:
    assert len(CASES) >= 120
    assert len({case.id for case in CASES}) == len(CASES)


def test_verdicts_follow_the_reference_loader() -> None:
    # What ggml refuses is an error, but for another host's byte order; see the cases.
    different = {case.id for case in CASES if case.loads != (not case.errors)}
    assert different == {"big-endian", "big-endian-version-2", "third-dimension-overflows"}


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize(
    "case", [case for case in CASES if len(case.data) < 5000], ids=lambda case: case.id
)
def test_pieces_of_any_size_give_the_same_header(case: Case, size: int) -> None:
    # As texts, because a NaN in the metadata does not equal itself.
    assert repr(read(case.data, "gguf", repeat(size))) == repr(read(case.data, "gguf"))


def test_facts_of_a_header() -> None:
    data = gguf(
        (
            ("general.architecture", STRING, "llama"),
            ("llama.context_length", U32, 4096),
            ("rate", F32, 0.5),
            ("few", ARRAY, (U8, [1, 2, 3])),
            ("many", ARRAY, (STRING, [f"token {n}" for n in range(100)])),
        ),
        (("a.weight", (32, 2), 0), ("b.weight", (64, 3), 8)),
    )
    header = read(data.data, "gguf")
    assert isinstance(header, GgufHeader)
    assert (header.version, header.byte_order, header.alignment) == (3, "little", 32)
    assert header.complete
    assert header.header_size == data.at("data")
    assert [entry.key for entry in header.metadata] == [
        "general.architecture",
        "llama.context_length",
        "rate",
        "few",
        "many",
    ]
    values = [entry.value for entry in header.metadata]
    assert values[:3] == ["llama", 4096, 0.5]
    assert values[3] == ArrayValue("UINT8", 3, (1, 2, 3))
    assert values[4] == ArrayValue("STRING", 100, tuple(f"token {n}" for n in range(16)))
    assert header.metadata[1].offset == data.at("k1.value")
    first, second = header.tensors
    assert first == ("a.weight", (32, 2), "F32", 0, 256, 64)
    assert second == ("b.weight", (64, 3), "Q8_0", 256, 204, 192)
    assert header.data_size == 460


def test_a_text_beyond_a_megabyte_is_kept_as_head_length_and_digest() -> None:
    text = "ä" * 600_000
    header = read(gguf((("x", STRING, text),)).data, "gguf", repeat(100_000))
    assert isinstance(header, GgufHeader)
    value = header.metadata[0].value
    assert isinstance(value, LongText)
    assert value.length == 1_200_000
    assert text.startswith(value.head)
    assert len(value.head) == 32768
    assert value.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_facts_before_a_cut_are_kept() -> None:
    data = gguf((("general.architecture", STRING, "llama"), ("x", U32, 1)))
    header = read(data.data[: data.at("k1.value") + 2], "gguf")
    assert isinstance(header, GgufHeader)
    assert not header.complete
    assert [(entry.key, entry.value) for entry in header.metadata] == [
        ("general.architecture", "llama")
    ]


def test_facts_of_version_1_are_read() -> None:
    header = read(gguf(version=1, tensors=(("a", (2, 3), 0),)).data, "gguf")
    assert isinstance(header, GgufHeader)
    assert header.version == 1
    assert header.metadata[0].value == "llama"
    assert header.tensors[0].shape == (2, 3)


def test_a_reader_asks_for_no_more_than_is_certain_to_be_needed() -> None:
    tokens = ["token"] * 1000
    data = gguf((("tokens", ARRAY, (STRING, tokens)),))
    reader = read_header(10**9, "gguf")
    first = reader.feed(data.data[:1024])
    assert isinstance(first, NeedBytes)
    # 13 bytes for each string that is here, 8 for each that is not: never more than the array has.
    assert 1024 + 8 * 900 < first.upto <= data.at("padding")


def test_a_hostile_count_takes_neither_time_nor_memory() -> None:
    # One element at a time would be hopeless; here they are skipped.
    data = gguf((("x", ARRAY, (U8, b"\1" * 3_000_000)),)).data
    header = read(data, "gguf", repeat(65536))
    assert isinstance(header, GgufHeader)
    assert header.metadata[0].value == ArrayValue("UINT8", 3_000_000, (1,) * 16)


def test_only_some_of_many_equal_errors_are_kept() -> None:
    entries = [("same", U8, 1)] * 1000
    errors = read(gguf(entries).data, "gguf").errors
    duplicates = [error for error in errors if error.code == "gguf/duplicate-key"]
    assert len(duplicates) == 16
    assert "983 more" in str(duplicates[-1])
