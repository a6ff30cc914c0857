from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.outputs.outcomes import (
    describe_changes,
    outcome,
    path_below,
    reasons_before,
    shortened,
    verdict_before,
)
from prefect_mutagen.scanner.results import Change, ScanResult
from prefect_mutagen.scanner.verdicts import Reason, Verdict
from tests.builders import gguf
from tests.scanner.storing import put_local


@pytest.fixture
def plain(tmp_path: Path) -> ScanResult:
    (result,) = scan(put_local(tmp_path, {"a.gguf": gguf().data}))
    return result


def test_changes_in_words_what_says_most_first(plain: ScanResult) -> None:
    changes = (
        ("status", "passed", "failed"),
        ("reasons", "", "gguf/truncated"),
        ("architecture", "llama", ""),
        ("header_sha256", "a" * 64, "b" * 64),
        ("object:a\nb.gguf", "x", "y"),
        ("neighbour:config.json", "", "y"),
        ("neighbour:README.md", "x", ""),
        ("size_bytes", "10", "9"),
    )
    result = replace(plain, drift_details=tuple(Change(*change) for change in changes))
    assert describe_changes(result, most=9) == (
        "size_bytes 10 → 9, architecture llama → none, other bytes in a\\nb.gguf, "
        "config.json is new, README.md is gone, another header_sha256"
    )
    assert describe_changes(result, most=1) == "size_bytes 10 → 9, 5 more"
    assert (verdict_before(result), reasons_before(result)) == ("passed", "")
    assert describe_changes(plain) == verdict_before(plain) == ""


def test_an_artifact_and_the_codes_that_decided(plain: ScanResult) -> None:
    reasons = tuple(Reason(code, "", "", "") for code in ("b/2", "a/1", "b/2"))
    refused = replace(plain, url="s3://b/m/x y.gguf", verdict=Verdict("failed", reasons))
    assert outcome(refused, "s3://b/m/") == "x y.gguf: a/1, b/2"
    assert outcome(replace(refused, verdict=Verdict("unknown")), "s3://b") == "m/x y.gguf: unknown"
    assert path_below("s3://other", "s3://b/\x1b.gguf") == "s3://b/\\x1b.gguf"


@pytest.mark.parametrize("width", [12, 13, 14, 44])
def test_a_long_path_loses_its_middle(width: int) -> None:
    text = "a/very/long/path/to/a/model.gguf"
    short = shortened(text, width)
    assert len(short) == min(width, len(text))
    assert text.endswith(short.rpartition("…")[2])
    assert text.startswith(short.partition("…")[0])
