"""Tables that version 0.1.0 wrote: another form of pin is no change, and nothing starts again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage import local
from prefect_mutagen.scanner.table.table import Table
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.scanner.table.changes import became_passed, earlier_pin
from tests.scanner.table.earlier import SOURCE, bucket
from tests.synthetic_s3 import SyntheticS3

GOLDEN = Path(__file__).parents[2] / "golden/table-s3-0.1"
URLS = [
    f"{SOURCE}/{name}"
    for name in (
        "gguf/a.gguf",
        "gguf/b.gguf",
        "hub/model.safetensors",
        "set/model-00001-of-00002.safetensors",
    )
]


def _scan(server: SyntheticS3, table: Path) -> dict[str, ScanResult]:
    server.counts.requests.clear()
    options = json.dumps(server.options)
    words = ["scan", SOURCE, "--storage-options", options, "--table", str(table)]
    main([*words, "--format", "table"])
    return Table(str(table), SOURCE).read_state()


def test_a_table_of_0_1_goes_on_without_a_change(tmp_path: Path) -> None:
    table = tmp_path / "table"
    shutil.copytree(GOLDEN, table)
    before = Table(str(table), SOURCE).read_state()
    with SyntheticS3(content=bucket()) as server:
        after = _scan(server, table)
        assert server.counts.requests["GET"] > 0, "another version examines everything once"
        again = _scan(server, table)
        assert server.counts.requests["GET"] == 0, "and nothing twice"
    assert [*before] == [*after] == [*again] == URLS
    for url, result in after.items():
        assert result.pin != before[url].pin
        assert result.drift == "unchanged", result.drift_details
        assert earlier_pin(result) == before[url].pin
        assert not became_passed(result)
        assert result.verdict.status == before[url].verdict.status


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("all/gguf/a.gguf", URLS[0]),
        ("all/hub/config.json", URLS[2]),
        ("all/hub/README.md", URLS[2]),
        ("all/set/model-00002-of-00002.safetensors", URLS[3]),
    ],
)
def test_what_changed_since_0_1_is_a_change(key: str, url: str, tmp_path: Path) -> None:
    table = tmp_path / "table"
    shutil.copytree(GOLDEN, table)
    content = bucket()
    body = content.find(key)
    assert body is not None
    content.put(key, body.data)  # the same bytes, uploaded again under another tag
    with SyntheticS3(content=content) as server:
        after = _scan(server, table)
    assert {one for one, result in after.items() if result.drift == "changed"} == {url}
    details = [change.field.rpartition(":")[2] for change in after[url].drift_details]
    assert key.rpartition("/")[2] in details


def test_local_pins_of_0_1_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = put_local(
        tmp_path / "models",
        {"a.gguf": gguf().data, "b/m.gguf": gguf().data, "b/config.json": b"{}"},
    )

    def scan() -> dict[str, ScanResult]:
        main(["scan", root, "--table", str(tmp_path / "table"), "--format", "table"])
        return Table(str(tmp_path / "table"), root).read_state()

    def old_form(status: Any) -> str:
        return f"stat:{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"

    with monkeypatch.context() as earlier:
        earlier.setattr(local, "file_pin", old_form)
        before = scan()
    assert {result.objects[0].pin.count("-") for result in before.values()} == {2}
    after = scan()
    assert {result.objects[0].pin.count("-") for result in after.values()} == {3}
    assert {result.drift for result in after.values()} == {"unchanged"}
    assert all(earlier_pin(result) == before[url].pin for url, result in after.items())
    put_local(tmp_path / "models", {"b/config.json": b"[]"})
    changed = {url for url, result in scan().items() if result.drift == "changed"}
    assert changed == {f"{root}/b/m.gguf"}
