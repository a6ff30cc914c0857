"""Counts of scans as Prometheus reads them, parsed by Prometheus' own client."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies
from prometheus_client.parser import text_string_to_metric_families

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.outputs.metrics import (
    METRICS,
    ScanCounts,
    points_of,
    prometheus_text,
)
from prefect_mutagen.scanner.results import Summary
from tests.builders import gguf
from tests.scanner.storing import put_local

GGUF = gguf().data
CUT = GGUF[:90]
Values = dict[tuple[str, ...], float]


def _parsed(lines: Iterable[str]) -> tuple[Values, dict[str, str]]:
    values: Values = {}
    helps: dict[str, str] = {}
    for family in text_string_to_metric_families("".join(lines)):
        assert family.type == "gauge"
        assert family.name not in helps, "the values of a metric stand together"
        helps[family.name] = family.documentation
        for sample in family.samples:
            labels = [sample.labels[name] for name in sample.labels if name != "source"]
            values[sample.name, *labels] = sample.value
    return values, helps


def _counts(source: str = "s3://models", **more: Any) -> ScanCounts:
    summary = Summary(artifacts=3, passed=2, failed=1, bytes_read=1000, requests=7)
    summary.finished_at = "2026-11-27T04:00:10.5+00:00"
    summary.census.count("weights", "examined", 100, 3)
    started = "2026-11-27T04:00:00+00:00"
    return ScanCounts(source=source, started_at=started, summary=summary, **more)


def test_names_units_and_values() -> None:
    counts = _counts(drift={"added": 1}, newly_refused=1, not_found=2, is_complete=False)
    values, helps = _parsed(prometheus_text(points_of(counts)))
    assert values["mutagen_models", "passed"] == 2
    assert values["mutagen_models", "failed"] == 1
    assert values["mutagen_models", "unknown"] == 0
    assert values["mutagen_models_newly_refused",] == 1
    assert values["mutagen_models_drift", "added"] == 1
    assert values["mutagen_models_drift", "left-out"] == 0
    assert values["mutagen_objects", "weights", "examined"] == 3
    assert values["mutagen_keys_not_found",] == 2
    assert values["mutagen_scan_read_bytes",] == 1000
    assert values["mutagen_scan_requests",] == 7
    assert values["mutagen_scan_duration_seconds",] == 10.5
    assert values["mutagen_scan_finished_timestamp_seconds",] == 1795752010.5
    assert [value for (name, *_), value in values.items() if name.endswith("complete")] == [0]
    assert len(helps) == len(METRICS)
    assert all(text.endswith(".") for text in helps.values())


def test_what_is_not_known_has_no_value() -> None:
    values, _ = _parsed(prometheus_text(points_of(_counts())))
    assert not [name for name, *_ in values if "drift" in name or "newly" in name]


@given(strategies.text(max_size=40))
def test_labels_are_escaped(source: str) -> None:
    lines = "".join(prometheus_text(points_of(_counts(source))))
    lines.encode()
    found = {
        sample.labels["source"]
        for family in text_string_to_metric_families(lines)
        for sample in family.samples
    }
    assert len(found) == 1
    if source.isascii():
        assert found == {source}


def test_the_command_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF, "b.gguf": CUT, "c.gguf": GGUF})
    table, file = str(tmp_path / "table"), tmp_path / "new/mutagen.prom"
    words = ["scan", root, "--format", "summary", "--table", table, "--metrics", str(file)]
    assert main(words) == 1
    values, _ = _parsed([file.read_text()])
    assert (values["mutagen_models", "passed"], values["mutagen_models", "failed"]) == (2, 1)
    assert ("mutagen_models_newly_refused",) not in values, "it is the first scan"
    put_local(tmp_path / "root", {"a.gguf": CUT})
    assert main([*words, "--keys", "a.gguf", "none.gguf"]) == 2
    values, _ = _parsed([file.read_text()])
    assert values["mutagen_models_newly_refused",] == 1
    assert values["mutagen_models_drift", "changed"] == 1
    assert values["mutagen_keys_not_found",] == 1
    assert list(file.parent.iterdir()) == [file], "nothing unfinished is left"
    capsys.readouterr()
    assert main(["scan", root, "--metrics", str(tmp_path)]) == 2
    assert "--metrics" in capsys.readouterr().err
