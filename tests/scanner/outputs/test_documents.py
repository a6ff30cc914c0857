"""Lists of documents: the same text, in order, whatever they wait in and in whatever order."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

import pytest

from prefect_mutagen.scanner.outputs.documents import RenderedResult, join_json
from prefect_mutagen.scanner.results import Tally

ORDERS = {
    "none": [],
    "one": ["/m/a.gguf"],
    "sorted": ["/m/a.gguf", "/m/b.gguf", "/m/c.gguf"],
    "backwards": ["/m/c.gguf", "/m/b.gguf", "/m/a.gguf"],
    "capitals": ["/m/B.gguf", "/m/a.gguf", "/m/C.gguf"],
    "equal but for case": ["/m/b", "/m/B", "/m/a"],
    "no letters": ["/m/\u2028", "/m/ä", "/m/zwölf\\\n"],
    "many": [f"/m/{number * 7919 % 1000}" for number in range(1000)],
}


def _render(paths: Sequence[str]) -> list[RenderedResult]:
    """Give two documents an artifact, as sets have them."""
    rendered = []
    for number in range(0, len(paths), 2):
        texts = tuple(
            (path, json.dumps([{"model_path": path, "n": [1]}], indent=2)[4:-2].encode())
            for path in paths[number : number + 2]
        )
        rendered.append(RenderedResult(Tally("passed", len(texts), 0, 0), texts))
    return rendered


def _expected(paths: Sequence[str]) -> str:
    documents = [{"model_path": path, "n": [1]} for path in sorted(paths, key=str.lower)]
    whole = documents[0] if len(documents) == 1 else documents
    return json.dumps(whole, indent=2) + "\n"


@pytest.mark.parametrize("paths", ORDERS.values(), ids=ORDERS)
def test_a_stream_gets_a_sorted_list(paths: list[str]) -> None:
    out = io.StringIO()
    join_json(_render(paths), out)
    assert out.getvalue() == _expected(paths)


@pytest.mark.parametrize("paths", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("mode", ["w", "w+"])
def test_a_file_gets_the_same_bytes(tmp_path: Path, paths: list[str], mode: str) -> None:
    path = tmp_path / "out.json"
    with cast("TextIO", path.open(mode, encoding="utf-8", newline="")) as out:
        join_json(_render(paths), out, new=mode == "w+")
    assert path.read_bytes() == _expected(paths).encode()


def test_what_breaks_off_says_so() -> None:
    def broken() -> list[RenderedResult]:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        join_json((one for _ in range(2) for one in broken()), io.StringIO())
