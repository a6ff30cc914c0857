"""Laws that hold for every file: any cut of the stream, any prefix, any flipped byte."""

import tracemalloc

import pytest
import safetensors as reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prefect_mutagen.parsers import Format, GgufHeader, NeedBytes, SafetensorsHeader, read_header
from tests.parsers.reading import read
from tests.property.strategies import gguf_files, safetensors_files

FILES: dict[Format, st.SearchStrategy[bytes]] = {
    "gguf": gguf_files(),
    "safetensors": safetensors_files(),
}
FORMATS = pytest.mark.parametrize("form", FILES)


@FORMATS
@given(st.data())
def test_well_formed_files_have_no_errors(form: Format, data: st.DataObject) -> None:
    header = read(data.draw(FILES[form]), form)
    assert header.complete
    assert not [error for error in header.errors if error.severity == "error"]


@FORMATS
@given(st.data())
def test_any_pieces_give_the_same_header(form: Format, data: st.DataObject) -> None:
    file = data.draw(FILES[form])
    pieces = data.draw(st.lists(st.integers(1, 200)))
    assert read(file, form, pieces) == read(file, form)


@FORMATS
@given(st.data())
def test_a_prefix_is_not_enough_and_says_how_much_is(form: Format, data: st.DataObject) -> None:
    file = data.draw(FILES[form])
    end = read(file, form).header_size
    cut = data.draw(st.integers(0, end - 1))
    reader = read_header(len(file), form)
    answer = reader.feed(file[:cut])
    assert isinstance(answer, NeedBytes)
    # What it asks for is needed: for the name of the content, or for the header itself.
    assert cut < answer.upto <= max(end, min(len(file), 1024))


@FORMATS
@given(st.data())
def test_a_cut_file_is_truncated_and_nothing_else(form: Format, data: st.DataObject) -> None:
    file = data.draw(FILES[form])
    header = read(file, form)
    assert isinstance(header, GgufHeader | SafetensorsHeader)
    end = header.header_size + header.data_size
    assume(end)
    cut = data.draw(st.integers(1, end - 1))
    torn = read(file[:cut], form)
    codes = {error.code for error in torn.errors if error.severity == "error"}
    inside = cut < header.header_size
    if form == "gguf":
        # A file without tensors has no padding, so its header ends with its last value.
        assert codes in ({"gguf/truncated"}, {"gguf/truncated-data"})
        assert ("gguf/truncated" in codes) <= inside
    elif not any(file[:cut]):
        assert codes == {"safetensors/zeros"}, "of a length of 256 bytes, the first byte is 0"
    else:
        assert codes == {f"safetensors/truncated{'' if inside else '-data'}"}
    for error in torn.errors:
        if error.code == f"{form}/truncated-data":
            assert error.offset == cut


@FORMATS
@given(st.data())
def test_a_flipped_byte_never_breaks_the_reader(form: Format, data: st.DataObject) -> None:
    file = bytearray(data.draw(FILES[form]))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] = data.draw(st.integers(0, 255))
    header = read(bytes(file), form, data.draw(st.lists(st.integers(1, 99), max_size=5)))
    assert all(0 <= error.offset <= len(file) for error in header.errors)


@settings(max_examples=300)
@given(safetensors_files(), st.data())
def test_verdicts_on_damaged_safetensors_follow_the_rust_reader(
    file: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(file)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    header = read(bytes(damaged), "safetensors")
    codes = {error.code for error in header.errors if error.severity == "error"}
    assume("safetensors/duplicate-key" not in codes)
    try:
        reference.deserialize(bytes(damaged))
    except reference.SafetensorError:
        assert codes
    else:
        assert not codes


@FORMATS
@settings(max_examples=25)
@given(st.data())
def test_memory_stays_in_proportion_to_the_header(form: Format, data: st.DataObject) -> None:
    file = bytearray(data.draw(FILES[form]))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] = data.draw(st.integers(0, 255))
    whole = bytes(file)
    read(whole, form)  # what is made at the first use belongs to no header
    tracemalloc.start()
    read(whole, form)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * len(whole) + 200_000
