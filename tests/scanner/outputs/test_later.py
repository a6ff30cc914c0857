import io
import json

import pytest

from prefect_mutagen.scanner.outputs.later import Later
from prefect_mutagen.scanner.sbom.json_text import to_json


@pytest.mark.parametrize(
    "entries",
    [
        [],
        ["a"],
        ["a\r\nb", "größe 模型 \U0001f9ea"],
        ["模" * 10_000] * 200,
        ["x" * 3_000_000, "\r"],
    ],
    ids=["none", "one", "lines and letters", "many on disk", "one on disk"],
)
def test_entries_come_back_in_order(entries: list[str]) -> None:
    out = io.StringIO(newline="")
    with Later() as later:
        for entry in entries:
            later.add(to_json(entry))
        later.write_list(out)
    assert json.loads(out.getvalue()) == entries


def test_it_is_gone_afterwards() -> None:
    with Later() as later:
        later.add("1")
    with pytest.raises(ValueError, match="closed"):
        later.add("2")
