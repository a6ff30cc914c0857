import base64
import io
import pickle
import pickletools
import re
import struct
from typing import Any

import numpy as np
import pytest

from prefect_mutagen.parsers import byte_ranges, pickle_walk
from prefect_mutagen.parsers import pickle as pickle_module
from prefect_mutagen.parsers.byte_ranges import NeedRanges
from prefect_mutagen.parsers.pickle import read_pickle
from prefect_mutagen.parsers.pickle_globals import ALLOWED, is_allowed, mapped
from prefect_mutagen.parsers.pickle_opcodes import FIXED, LINES, NAMES, PREFIXES
from tests.parsers import pickle_honest, pickle_hostile_archives, pickle_hostile_streams
from tests.parsers.pickle_builders import (
    PAYLOAD,
    PROTO2,
    binary,
    drive,
    miniz,
    read,
    state_dict,
    text,
    torch_legacy,
    torch_tar,
    torch_zip,
)
from tests.parsers.pickle_case import Case


@pytest.fixture(autouse=True)
def twin() -> None:
    """No compiled walk has a part in this: each test runs once."""


HOSTILE = [*pickle_hostile_streams.CASES, *pickle_hostile_archives.CASES]
HONEST = pickle_honest.CASES


def test_there_are_many_cases_and_each_has_its_name() -> None:
    assert len({case.id for case in HOSTILE}) == len(HOSTILE) >= 140
    assert len({case.id for case in HONEST}) == len(HONEST) >= 80


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.id)
def test_no_hostile_file_passes(case: Case) -> None:
    header = read(case.data)
    assert case.codes <= {error.code for error in header.errors}, header.errors
    found = {f"{use.module}.{use.name}" for use in header.globals if not use.allowed}
    assert case.names <= found
    assert any(error.severity == "error" for error in header.errors)
    for error in header.errors:
        assert 0 <= error.offset <= len(case.data), error
        assert str(error).isprintable()


@pytest.mark.parametrize("case", HONEST, ids=lambda case: case.id)
def test_nothing_is_said_against_an_honest_file(case: Case) -> None:
    header = read(case.data)
    assert header.errors == ()
    assert header.complete
    assert header.format == case.form
    assert all(use.allowed for use in header.globals)


@pytest.mark.parametrize("case", [*HOSTILE, *HONEST], ids=lambda case: case.id)
def test_a_file_that_is_cut_anywhere_is_still_read(case: Case) -> None:
    step = max(1, len(case.data) // 12)
    for size in range(0, min(len(case.data), 60_000), step):
        read(case.data[:size])


@pytest.mark.parametrize("case", HONEST, ids=lambda case: case.id)
def test_more_bytes_than_were_asked_for_change_nothing(case: Case) -> None:
    reader = read_pickle(len(case.data))
    assert reader.feed([(0, case.data)]) == read_with_request(case.data)


def read_with_request(data: bytes) -> Any:
    return read_pickle(len(data)).feed([(0, data)])


def test_the_opcodes_are_those_of_the_standard_library() -> None:
    assert {ord(op.code): op.name for op in pickletools.opcodes} == NAMES
    for op in pickletools.opcodes:
        byte = ord(op.code)
        if op.arg is None:
            assert FIXED[byte] == 0
        elif op.arg.n >= 0:
            assert FIXED[byte] == op.arg.n
        elif op.arg.n == pickletools.UP_TO_NEWLINE:
            assert LINES[byte] == (2 if op.arg.name.endswith("pair") else 1)
        else:
            width = int(re.sub(r"\D", "", op.arg.name))
            signed = op.name in ("LONG4", "BINSTRING")
            assert PREFIXES[byte] == (width, signed)


def test_the_offset_is_that_of_the_opcode() -> None:
    data = PROTO2 + binary(bytes(200_000)) + b"0" + PAYLOAD + b"."
    (error,) = read(data).errors
    assert error.offset == data.index(b"cos\n")
    stored = torch_zip(data)
    (error,) = read(stored).errors
    assert error.offset == stored.index(b"cos\n")
    assert "archive/data.pkl" in error.field


@pytest.mark.parametrize("name", ["a" * 64, "gA" * 40, "80" * 40, "gASVPwAA", "8004", "\\x80\\x04"])
def test_a_text_that_encodes_no_hostile_pickle_is_a_text(name: str) -> None:
    assert read(PROTO2 + text(name) + b".").errors == ()


def test_a_harmless_pickle_in_other_digits_is_a_text() -> None:
    inner = base64.b64encode(pickle.dumps({"a": [1, 2]}, 4)).decode()
    assert read(PROTO2 + text(inner) + b".").errors == ()


def test_too_many_opcodes_are_told_as_a_limit_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_walk, "_OPCODE_LIMIT", 1000)
    header = read(PROTO2 + b"N0" * 200_000 + PAYLOAD + b".")
    assert [error.code for error in header.errors] == ["pickle/unexamined"]
    assert not header.complete


def test_a_large_checkpoint_has_far_fewer_opcodes_than_are_walked() -> None:
    shapes = {f"layers.{number}.weight": (64, 2) for number in range(2000)}
    stream = state_dict(shapes)
    count = sum(1 for _ in pickletools.genops(stream))
    assert 50 * count < pickle_walk._OPCODE_LIMIT


def test_numpy_s_own_dtypes_are_harmless() -> None:
    names = [name for name in dir(np.dtypes) if name.endswith("DType")]
    assert len(names) > 20
    assert all(is_allowed("numpy.dtypes", name) for name in names)


def test_a_name_that_a_policy_adds_is_allowed() -> None:
    header = read(PROTO2 + PAYLOAD + b".", ["os.system"])
    assert header.errors == ()
    assert [(use.module, use.allowed) for use in header.globals] == [("os", True)]


@pytest.mark.parametrize(
    ("module", "name", "protocol", "expected"),
    [
        ("__builtin__", "set", 2, True),
        ("__builtin__", "set", 3, False),
        ("__builtin__", "eval", 0, False),
        ("copy_reg", "_reconstructor", 2, False),
        ("torch.nn.parameter", "Parameter", 2, True),
        ("torch.nn", "parameter.Parameter", 4, False),
        ("torch", "load", 2, False),
        ("torch.storage", "_load_from_bytes", 2, False),
        ("numpy.core.multiarray", "_reconstruct", 2, True),
        ("numpy.testing._private.utils", "runstring", 2, False),
        ("builtins", "getattr", 4, False),
        ("Collections", "OrderedDict", 4, False),
        ("collections ", "OrderedDict", 4, False),
        ("functools", "partial", 4, False),
        ("operator", "attrgetter", 4, False),
        ("", "", 4, False),
    ],
)
def test_what_is_allowed_is_listed(module: str, name: str, protocol: int, expected: bool) -> None:  # noqa: FBT001 - a row of the table
    assert is_allowed(*mapped(module, name, protocol)) is expected


def test_nothing_on_the_list_is_known_to_run_code() -> None:
    known = {"os", "posix", "nt", "sys", "subprocess", "runpy", "importlib", "ctypes", "pickle"}
    assert not known & {module.partition(".")[0] for module, _ in ALLOWED}
    words = ("load", "eval", "exec", "open", "compile", "import", "getattr", "attrgetter", "system")
    assert not [pair for pair in ALLOWED if any(word in pair[1].lower() for word in words)]


SHAPES = {"embed.weight": (8, 4), "layers.0.bias": (4,)}
RAW = {"0": bytes(128), "1": bytes(16)}


@pytest.mark.parametrize(
    "data",
    [torch_zip(state_dict(SHAPES), RAW), torch_legacy(state_dict(SHAPES), RAW)],
    ids=["zip", "legacy"],
)
def test_tensors_are_those_of_the_state_dict(data: bytes) -> None:
    header = read(data)
    assert [(t.name, t.shape, t.dtype, t.size) for t in header.tensors] == [
        ("embed.weight", (8, 4), "F32", 128),
        ("layers.0.bias", (4,), "F32", 16),
    ]
    assert (header.parameters, header.data_size) == (36, 144)
    assert (header.framework, header.protocol) == ("pytorch", 2)


def test_a_legacy_file_that_is_cut_in_its_data_says_so() -> None:
    data = torch_legacy(state_dict(SHAPES), RAW)[:-5]
    (error,) = read(data).errors
    assert (error.code, error.offset) == ("pickle/truncated-data", len(data))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "pickle/empty-file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
            "pickle/lfs-pointer",
        ),
        (b"<!DOCTYPE html><html>", "pickle/web-page"),
        (b'{"error": "gone"}', "pickle/json-document"),
        (b"not found, said the server", "pickle/text"),
        (bytes(2000), "pickle/zeros"),
        (b"\x7fELF" + bytes(2000), "pickle/executable"),
        (b"GGUF" + bytes(2000), "pickle/wrong-format"),
        (b"\xfe\xfd\xfc" * 700, "pickle/bad-magic"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_pickle_is_named(data: bytes, code: str) -> None:
    header = read(data)
    assert [error.code for error in header.errors] == [code]
    assert not header.complete


@pytest.mark.parametrize("count", [1, 300, 2000])
def test_a_torch_archive_costs_three_reads_and_a_megabyte(count: int) -> None:
    shapes = {f"model.layers.{n}.self_attn.q_proj.weight": (64, 2) for n in range(count)}
    storages = {str(number): bytes(512) for number in range(count)}
    data = torch_zip(state_dict(shapes), storages)
    reader = read_pickle(len(data))
    header, asked = drive(data, reader)
    assert header.errors == ()
    assert len(header.tensors) == count
    assert sum(len(need.ranges) for need in asked) == reader.budget.requests <= 3
    assert reader.budget.bytes_read <= 1_000_000


def test_torchs_own_layout_costs_no_more() -> None:
    shapes = {f"model.layers.{n}.self_attn.q_proj.weight": (64, 2) for n in range(2000)}
    entries = {"checkpoint/data.pkl": state_dict(shapes), "checkpoint/byteorder": b"little"}
    entries |= {f"checkpoint/data/{n}": bytes(512) for n in range(2000)}
    data = miniz(entries | {"checkpoint/version": b"3\n"})
    reader = read_pickle(len(data))
    header, _ = drive(data, reader)
    assert header.errors == ()
    assert reader.budget.requests <= 3
    assert reader.budget.bytes_read <= 1_000_000


def test_raw_data_is_not_read() -> None:
    data = PROTO2 + b"".join(binary(bytes(3_000_000)) for _ in range(5)) + b"."
    reader = read_pickle(len(data))
    header, _ = drive(data, reader)
    assert header.errors == ()
    assert reader.budget.bytes_read < 1_000_000


def test_of_the_arrays_of_an_archive_the_headers_are_read() -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {f"layer{number}": np.zeros(1 << 20, "f4") for number in range(10)}
    np.savez(buffer, **arrays)
    data = buffer.getvalue()
    reader = read_pickle(len(data))
    header, _ = drive(data, reader)
    assert header.errors == ()
    assert header.parameters == 10 << 20
    assert reader.budget.bytes_read < 1_000_000


def test_what_is_beyond_the_limits_is_told_as_such() -> None:
    data = PROTO2 + b"".join(binary(bytes(300_000)) + b"0" for _ in range(60)) + PAYLOAD + b"."
    reader = read_pickle(len(data))
    header, _ = drive(data, reader)
    assert [error.code for error in header.errors] == ["pickle/unexamined"]
    assert reader.budget.requests <= 32
    assert not header.complete


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [b"}", b"(", b"]\x94", b"K\x01", b"N\x85\x940", b")\x81", b"\x8c\x01x", b"2", b"}}s", b"N\x85"],
    ids=["dicts", "marks", "memo", "numbers", "tuples", "objects", "texts", "copies", "in", "deep"],
)
def test_memory_is_bounded_whatever_a_stream_repeats(unit: bytes) -> None:
    import tracemalloc

    data = PROTO2 + b"ccollections\nOrderedDict\nN" + unit * (12_000_000 // len(unit))
    tracemalloc.start()
    header = read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not header.complete
    assert peak < 400 << 20, peak


def test_a_tar_file_of_2016_is_walked_whole() -> None:
    header = read(torch_tar(PROTO2 + b"}."))
    assert header.format == "torch-tar"
    assert {(use.module, use.name) for use in header.globals} == {
        ("torch", "FloatStorage"),
        ("torch", "FloatTensor"),
    }


@pytest.mark.parametrize(
    "case",
    [case for case in (*HOSTILE, *HONEST) if len(case.data) < 5000],
    ids=lambda case: case.id,
)
def test_how_the_bytes_arrive_changes_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(case.data)
    for limit in ("REQUEST_LIMIT", "READ_LIMIT"):
        monkeypatch.setattr(pickle_module, limit, 1 << 30)
    monkeypatch.setattr(pickle_module, "_HEAD", 1)
    monkeypatch.setattr(pickle_module, "TAIL_SIZE", 1)
    monkeypatch.setattr(pickle_walk, "_FIRST_WINDOW", 1)
    monkeypatch.setattr(pickle_walk, "_LARGEST_WINDOW", 1)
    monkeypatch.setattr(byte_ranges, "GAP", 0)
    pieces = read(case.data)
    assert (pieces.errors, pieces.globals) == (whole.errors, whole.globals)
    assert (pieces.tensors, pieces.format) == (whole.tensors, whole.format)


def test_a_zip64_directory_is_read() -> None:
    data = torch_zip(state_dict(SHAPES), RAW)
    end = data.rfind(b"PK\x05\x06")
    (count, size, start) = struct.unpack_from("<HLL", data, end + 10)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    last = b"PK\5\6" + b"\0\0\0\0" + b"\xff" * 12 + b"\0\0"
    header = read(data[:end] + wide + locator + last)
    assert header.errors == ()
    assert len(header.tensors) == 2


def test_a_reader_that_is_fed_nothing_asks_no_end() -> None:
    reader = read_pickle(1 << 20)
    for _ in range(40):
        answer = reader.feed(())
    assert not isinstance(answer, NeedRanges)
    assert not answer.complete
