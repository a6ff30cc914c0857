"""What events a scan emits, in what order and how many; keys of assets. Without a server."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies
from prefect.assets import Asset

from prefect_mutagen.scanner.outputs.metrics import METRICS, ScanCounts
from prefect_mutagen.tasks import events, metrics
from prefect_mutagen.tasks.assets import asset_key, assets_of
from prefect_mutagen.tasks.events import MOST_EVENTS, ScanEvents, resource_id, tell_others
from tests.builders import STRING, gguf
from tests.scan_views import scan_view
from tests.scanner.storing import put_local

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
CUT = GGUF[:90]
LOGGER = logging.getLogger("prefect_mutagen.tests")

Emitted = list[tuple[str, dict[str, str], dict[str, Any]]]


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> Emitted:
    """What was emitted; each id once."""
    found: Emitted = []
    seen = set()

    def emit(name: str, resource: dict[str, str], payload: dict[str, Any], id: Any) -> object:  # noqa: A002 - Prefect's name
        assert id not in seen
        seen.add(id)
        found.append((name.removeprefix("mutagen."), resource, payload))
        return object()

    monkeypatch.setattr(events, "emit_event", emit)
    return found


def _counts(view: Any) -> ScanCounts:
    scan = view.scan
    return ScanCounts(source=scan.source, started_at=scan.started_at, summary=view.summary)


def _scan(root: str, table: str) -> ScanEvents:
    view = scan_view(root, table)
    counts = _counts(view)
    return ScanEvents(scan_id=view.scan.id, counts=counts, highlights=view.highlights, table=table)


def _names(emitted: Emitted) -> list[tuple[str, str]]:
    return [(name, resource["prefect.resource.name"]) for name, resource, _ in emitted]


def test_what_is_different_in_order_of_weight(tmp_path: Path, emitted: Emitted) -> None:
    files = {f"{name}.gguf": GGUF for name in "abcd"} | {"old.gguf": CUT, "worse.gguf": CUT}
    root, table = put_local(tmp_path / "root", files), str(tmp_path / "table")
    _scan(root, table).emit()
    first = [("model.refused", name) for name in ("old.gguf", "worse.gguf")]
    first += [("model.passed", f"{name}.gguf") for name in "abcd"]
    assert _names(emitted) == [*first, ("scan.finished", root)]
    emitted.clear()
    changed = {"b.gguf": CUT, "c.gguf": OTHER, "new.gguf": GGUF, "worse.gguf": GGUF}
    put_local(tmp_path / "root", {**changed, "bad.gguf": CUT})
    (tmp_path / "root/d.gguf").unlink()
    _scan(root, table).emit()
    assert _names(emitted) == [
        ("model.newly-refused", "b.gguf"),
        ("model.newly-refused", "bad.gguf"),
        ("model.passed", "worse.gguf"),
        ("model.changed", "c.gguf"),
        ("model.removed", "d.gguf"),
        ("model.passed", "new.gguf"),
        ("model.refused", "old.gguf"),
        ("scan.finished", root),
    ]
    _, resource, payload = emitted[0]
    assert resource == {
        "prefect.resource.id": f"{root}/b.gguf",
        "prefect.resource.name": "b.gguf",
        "mutagen.verdict": "failed",
        "mutagen.source": root,
    }
    assert payload.pop("pin").startswith("sha256:")
    assert payload.pop("scan_id")
    assert "size_bytes" in payload.pop("changes")
    assert payload == {
        "url": f"{root}/b.gguf",
        "verdict": "failed",
        "codes": ["gguf/truncated"],
        "source": root,
        "table": table,
        "verdict_before": "passed",
    }
    finished = emitted[-1][2]
    assert (finished["models"], finished["failed"], finished["newly_refused"]) == (7, 3, 2)
    assert finished["events_left_out"] == 0


def test_what_is_left_out_is_counted(tmp_path: Path, emitted: Emitted) -> None:
    root = put_local(tmp_path / "root", {f"{n:03}.gguf": GGUF for n in range(300)})
    table = str(tmp_path / "table")
    _scan(root, table).emit()
    assert len(emitted) == 202
    name, _, payload = emitted[-2]
    assert (name, payload["left_out"]) == ("scan.events-left-out", {"passed": 300 - 200})
    assert emitted[-1][2]["events_left_out"] == 100
    emitted.clear()
    put_local(tmp_path / "root", {f"{n:03}.gguf": CUT for n in range(250)})
    put_local(tmp_path / "root", {"299.gguf": OTHER})
    assert _scan(root, table).emit() == 202
    assert {name for name, *_ in emitted[:MOST_EVENTS]} == {"model.newly-refused"}
    assert emitted[-2][2]["left_out"] == {"newly-refused": 50, "changed": 1}
    emitted.clear()
    assert _scan(root, table).emit() == 202
    assert {name for name, *_ in emitted[:MOST_EVENTS]} == {"model.refused"}


def test_what_is_emitted_again_has_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: list[Any] = []
    monkeypatch.setattr(events, "emit_event", lambda *_, id, **__: ids.append(id))  # noqa: A006
    scan = _scan(put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": CUT}), "")
    scan.emit()
    scan.emit()
    assert len(set(ids)) == 3
    assert ids[:3] == ids[3:]


def test_events_are_small_and_names_harmless(tmp_path: Path, emitted: Emitted) -> None:
    odd = ["\x1b[31mred.gguf", "a\nb.gguf", "{{ 7 * 7 }}.gguf", f"{'x' * 240}.gguf", "ü.gguf"]
    root = put_local(tmp_path / "root", dict.fromkeys(odd, CUT))
    _scan(root, "").emit()
    assert len(emitted) == 6
    for _, resource, payload in emitted:
        for value in resource.values():
            assert value.isprintable()
        assert len(json.dumps([resource, payload])) < 8000
    assert {payload["url"] for *_, payload in emitted[:-1]} == {f"{root}/{name}" for name in odd}


def test_an_event_that_cannot_be_emitted_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    view = scan_view(put_local(tmp_path, {"a.gguf": GGUF}))
    recorded: list[ScanCounts] = []
    monkeypatch.setattr(events, "emit_event", fail)
    monkeypatch.setattr(events, "record_metrics", recorded.append)
    tell_others(_counts(view), view.highlights, "id", "", LOGGER)
    assert caplog.messages == ["not all events are emitted: RuntimeError"]
    assert len(recorded) == 1, "the rest is told all the same"


class _Gauge:
    def __init__(self, told: dict[Any, Any], name: str) -> None:
        self.told, self.name = told, name

    def set(self, value: float, labels: dict[str, str]) -> None:
        rest = {name: text for name, text in labels.items() if name != "source"}
        self.told[self.name, *rest.values()] = value


def test_metrics_where_there_is_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry import metrics as api

    view = scan_view(put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": CUT}))
    metrics.record_metrics(_counts(view))  # nobody listens
    told: dict[Any, Any] = {}
    made: dict[str, str] = {}

    class Meter:
        def create_gauge(self, name: str, unit: str, description: str) -> _Gauge:
            assert description == METRICS[name].help
            made[name] = unit
            return _Gauge(told, name)

    metrics._gauge.cache_clear()
    monkeypatch.setattr(api, "get_meter", lambda *_: Meter())
    try:
        metrics.record_metrics(_counts(view))
        metrics.record_metrics(_counts(view))
    finally:
        metrics._gauge.cache_clear()
    assert told["mutagen.models", "passed"] == told["mutagen.models", "failed"] == 1
    assert made["mutagen.scan.duration"] == "s"
    assert made["mutagen.scan.read"] == "By"


def test_ids_of_resources_are_bounded_and_distinct() -> None:
    name = "ü\x07" * 1000
    long = [f"s3://b/{name}{number}" for number in range(2)]
    ids = [resource_id(url) for url in long]
    assert len(set(ids)) == 2
    assert all(len(text) <= 1500 and text.isprintable() for text in ids)
    assert resource_id("s3://b/a b.gguf") == "s3://b/a b.gguf"


@given(strategies.text(min_size=1, max_size=600), strategies.sampled_from(["/", "s3://", "a+b://"]))
def test_keys_of_assets_are_what_prefect_takes(rest: str, start: str) -> None:
    key = asset_key(start + rest)
    assert Asset(key=key).key == key


def test_keys_of_assets_are_distinct() -> None:
    urls = ["s3://b/a b", "s3://b/a%20b", "s3://b/a+b", "/b/a b", f"s3://b/{'x' * 600}", "s3://b/ü"]
    urls.append(f"s3://b/{'x' * 601}")
    assert len({asset_key(url) for url in urls}) == len(urls)
    assert asset_key("/models/m.gguf") == "file:///models/m.gguf"


def test_assets_are_the_table_and_what_is_new_as_passed(tmp_path: Path) -> None:
    files = {"a.gguf": GGUF, "b.gguf": CUT, "c.gguf": GGUF}
    root, table = put_local(tmp_path / "root", files), str(tmp_path / "table")

    def keys() -> list[str]:
        found = assets_of(scan_view(root, table).highlights, root, table)
        assert found[0].key == f"file://{table}"
        return [asset.key.removeprefix(f"file://{root}/") for asset in found[1:]]

    assert keys() == ["a.gguf", "c.gguf"]
    put_local(tmp_path / "root", {"a.gguf": OTHER, "b.gguf": GGUF, "c.gguf": CUT, "d.gguf": GGUF})
    assert keys() == ["b.gguf", "d.gguf", "a.gguf"]
    assert keys() == []
