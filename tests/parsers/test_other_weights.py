import random

import pytest

from prefect_mutagen.parsers import other_weights, protobuf
from prefect_mutagen.parsers.byte_ranges import NeedRanges
from prefect_mutagen.parsers.other_weights import read_other_weights
from tests.parsers import (
    weights_keras_cases,
    weights_named_cases,
    weights_onnx_cases,
    weights_tensorflow_cases,
)
from tests.parsers.pickle_builders import zipped
from tests.parsers.weights_case import WeightsCase, drive, read
from tests.parsers.weights_named_cases import tar
from tests.parsers.weights_protobuf import field, initializer, node, onnx


@pytest.fixture(autouse=True)
def twin() -> None:
    """No compiled walk has a part in this: each test runs once."""


MODULES = (
    weights_onnx_cases,
    weights_keras_cases,
    weights_tensorflow_cases,
    weights_named_cases,
)
HONEST: list[WeightsCase] = [case for module in MODULES for case in module.HONEST]
HOSTILE: list[WeightsCase] = [case for module in MODULES for case in module.HOSTILE]


def test_each_case_has_its_name() -> None:
    cases = [(case.form, case.id) for case in (*HONEST, *HOSTILE)]
    assert len(set(cases)) == len(cases)


@pytest.mark.parametrize("case", HONEST, ids=lambda case: f"{case.form}-{case.id}")
def test_nothing_is_said_against_an_honest_file(case: WeightsCase) -> None:
    reader = read_other_weights(len(case.data), case.name)
    header = drive(case.data, reader)
    assert header.format == case.form
    assert {error.code for error in header.errors} == case.codes, header.errors
    assert header.complete is case.complete
    assert header.holds_pickles is case.pickles
    assert header.description == (case.description or header.description) != ""
    assert reader.budget.requests <= 3
    assert header.header_size == reader.budget.bytes_read <= len(case.data)


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: f"{case.form}-{case.id}")
def test_no_hostile_file_passes(case: WeightsCase) -> None:
    reader = read_other_weights(len(case.data), case.name)
    header = drive(case.data, reader)
    assert reader.budget.requests <= 32
    assert reader.budget.bytes_read <= 16 << 20
    assert header.format == case.form
    assert case.codes <= {error.code for error in header.errors}, header.errors
    for error in header.errors:
        assert 0 <= error.offset <= len(case.data), error
        assert str(error).isprintable()
        assert len(str(error)) < 1000
    if case.codes & {"weights/unreadable", "weights/unexamined", "weights/truncated"}:
        assert not header.complete


@pytest.mark.parametrize("case", [*HONEST, *HOSTILE], ids=lambda case: f"{case.form}-{case.id}")
def test_more_bytes_than_were_asked_for_change_nothing(case: WeightsCase) -> None:
    if len(case.data) > other_weights.READ_LIMIT:
        return
    whole = read_other_weights(len(case.data), case.name).feed([(0, case.data)])
    assert not isinstance(whole, NeedRanges)
    header = read(case.data, case.name)
    assert (whole.errors, whole.tensors, whole.description, whole.complete) == (
        *(header.errors, header.tensors, header.description, header.complete),
    )


@pytest.mark.parametrize(
    "case",
    [case for case in (*HONEST, *HOSTILE) if len(case.data) < 5000],
    ids=lambda case: f"{case.form}-{case.id}",
)
def test_how_the_bytes_arrive_changes_nothing(
    case: WeightsCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(case.data, case.name)
    monkeypatch.setattr(other_weights, "REQUEST_LIMIT", 1 << 30)
    for window in ("_WHOLE", "_FIRST_WINDOW", "_AFTER_SKIP", "_LARGEST_WINDOW"):
        monkeypatch.setattr(protobuf, window, 1)
    pieces = read(case.data, case.name)
    assert (pieces.errors, pieces.tensors, pieces.description, pieces.complete) == (
        *(whole.errors, whole.tensors, whole.description, whole.complete),
    )


@pytest.mark.parametrize("case", [*HONEST, *HOSTILE], ids=lambda case: f"{case.form}-{case.id}")
def test_a_file_that_is_cut_anywhere_is_still_read(case: WeightsCase) -> None:
    step = max(1, len(case.data) // 10)
    for size in range(0, min(len(case.data), 60_000), step):
        read(case.data[:size], case.name)


@pytest.mark.parametrize(
    "case",
    [case for case in (*HONEST, *HOSTILE) if len(case.data) < 50_000],
    ids=lambda case: f"{case.form}-{case.id}",
)
def test_damage_never_raises(case: WeightsCase) -> None:
    generator = random.Random(case.id)
    for _ in range(30):
        data = bytearray(case.data)
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(len(data))] = generator.choice((0, 1, 127, 128, 255))
        header = read(bytes(data), case.name)
        assert all(0 <= error.offset <= len(data) for error in header.errors)


@pytest.mark.parametrize("name", ["m.onnx", "m.keras", "m.h5", "m.pb", "m.tflite", "m.mlmodel"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
        b'{"error": "gone"}',
        b"not found, said the server",
        bytes(2000),
        b"\x7fELF" + bytes(2000),
        b"GGUF" + bytes(2000),
        b"\xfe\xfd\xfc" * 700,
    ],
    ids=["empty", "page", "pointer", "json", "text", "zeros", "program", "gguf", "noise"],
)
def test_a_name_alone_makes_no_model(name: str, data: bytes) -> None:
    header = read(data, name)
    assert (header.format, header.description, header.errors) == ("", "", ())
    assert not header.complete


@pytest.mark.parametrize(
    "data",
    [
        field(1, 1) + field(2, "some text") * 3,
        field(1, field(1, "key") + field(2, "value")) * 3,
        field(1, 5) + field(7, "a message"),
        field(1, 5) + field(200, 3),
        zipped({"config.json": b"{}", "x": b""}),
        zipped({"word/document.xml": b"<w/>"}),
        tar({"a.txt": b"x", "b.py": b"y"}),
        b"\x82\xa1a\x01\xa1b\x02" + bytes(50),
    ],
    ids=["message", "map", "seven", "number", "json", "document", "tar", "pack"],
)
def test_what_is_alike_is_not_taken_for_a_model(data: bytes) -> None:
    header = read(data, "x.bin")
    assert (header.format, header.errors) == ("", ())


def test_initializers_are_the_tensors_of_a_model() -> None:
    data = onnx(node("Add"), initializer(name="a"), initializer(name="b", dims=(5,), dtype=10))
    assert [tuple(tensor) for tensor in read(data, "m.onnx").tensors] == [
        ("a", (2, 3), "F32", 0, 24, 6),
        ("b", (5,), "F16", 0, 10, 5),
    ]


def test_large_tensors_are_passed_over() -> None:
    data = onnx(node("Add"), *(initializer(data=bytes(5_000_000)) for _ in range(4)))
    reader = read_other_weights(len(data), "m.onnx")
    header = drive(data, reader)
    assert header.complete
    assert len(header.tensors) == 4
    assert reader.budget.bytes_read < 2_000_000


def test_a_file_of_too_many_large_tensors_is_given_up_early() -> None:
    data = onnx(node("X", "my.ops"), *(initializer(data=bytes(1 << 20)) for _ in range(100)))
    reader = read_other_weights(len(data), "m.onnx")
    header = drive(data, reader)
    codes = {error.code for error in header.errors}
    assert codes == {"weights/unexamined", "weights/custom-operator"}
    assert (header.tensors, header.complete) == ((), False)
    assert reader.budget.requests <= 8


def test_a_few_large_tensors_are_not_too_many() -> None:
    sizes = (40 << 20, *(1 << 20,) * 20)
    data = onnx(node("Add"), *(initializer(data=bytes(size)) for size in sizes))
    header = read(data, "m.onnx")
    assert header.complete
    assert len(header.tensors) == 21


def test_a_reader_that_is_fed_nothing_asks_no_end() -> None:
    reader = read_other_weights(1 << 20, "m.onnx")
    for _ in range(40):
        answer = reader.feed(())
    assert not isinstance(answer, NeedRanges)
