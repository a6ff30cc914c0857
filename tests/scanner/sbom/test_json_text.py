import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mutagen.scanner.sbom.json_text import to_json
from tests.builders import STRING, gguf
from tests.scanner.outputs.validating import examine, write
from tests.scanner.storing import put_local

PLAIN = st.text(st.characters(max_codepoint=0x7E) | st.sampled_from("äß模\U0001f9ea"))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | FINITE | PLAIN
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(PLAIN, inner) | st.lists(inner).map(tuple),
)


@given(VALUES, st.sampled_from([None, 0, 1, 2, 4]))
def test_it_is_what_the_standard_library_writes(value: Any, indent: int | None) -> None:
    separators = (",", ":") if indent is None else None
    expected = json.dumps(value, indent=indent, ensure_ascii=False, separators=separators)
    assert to_json(value, indent=indent) == expected


@given(st.text() | st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl"])))
def test_strict_readers_take_any_text(text: str) -> None:
    shown = text.encode("utf-8", "backslashreplace").decode()
    for indent in (None, 2):
        written = to_json([text, {text: text}], indent=indent)
        assert orjson.loads(written) == [shown, {shown: shown}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_are_finite(number: float, indent: int | None) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"a": [number]}, indent=indent)
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(number)


def test_keys_are_text() -> None:
    value = {1: [1], None: {}, False: [None], 2.5: {"a": 1}}
    assert to_json(value, indent=2) == json.dumps(value, indent=2)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_documents_are_indented_as_one_list(tmp_path: Path, count: int) -> None:
    data = gguf((("general.name", STRING, "a\n\r\u2028b"),)).data
    put_local(tmp_path, {f"{number}.gguf": data for number in range(count)})
    results = examine(tmp_path)
    documents = [result.sbom.to_dict() for result in results]
    expected = to_json(documents[0] if count == 1 else documents, indent=2) + "\n"
    assert write("json", results) == expected
