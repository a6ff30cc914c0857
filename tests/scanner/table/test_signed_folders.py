from typing import Any

import pytest

from prefect_mutagen.scanner.table.signed_folders import names_any


def _facts(**entry: Any) -> dict[str, Any]:
    return {"signature": {"files": [{"name": "model.sig"}, {"name": "x.intoto.json"} | entry]}}


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({}, False),
        ({"signature": {"files": []}}, False),
        (_facts(agree=["other.gguf"]), False),
        (_facts(agree=["q4/m.gguf"]), True),
        (_facts(differ=["m.gguf"]), True),
        (_facts(unknown=["a", "m.gguf"]), True),
        (_facts(agree=[f"{number}" for number in range(100)]), True),
        (_facts(problem="it is empty"), True),
        ({"signature": {"files": [{}] * 100}}, True),
        ({"signature": {"files": 3}}, True),
        ({"signature": {"files": [3]}}, True),
    ],
    ids=str,
)
def test_whether_a_signature_is_about_these_weights(facts: dict[str, Any], named: bool) -> None:  # noqa: FBT001 - a column
    assert names_any(facts, {"m.gguf"}) == named
