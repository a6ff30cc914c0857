"""Bugs of our own, planted in one artifact of a scan, whatever process examines it.

A process that a scan starts imports what it is handed. With `VARIABLE` set, importing this module
plants the bug there too.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from prefect_mutagen.scanner.examine.examiner import Examination, Examiner
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.outputs.documents import RenderedResult, render_jsonl
from prefect_mutagen.scanner.results import ScanResult
from tests.builders import gguf, safetensors, tensor

__all__ = [
    "ARTIFACTS",
    "FILES",
    "GGUF",
    "MARK",
    "SECRET",
    "SPOILED",
    "VARIABLE",
    "assert_one_is_unknown",
    "examine",
    "fail",
    "fail_for",
    "render",
    "spoil",
]

VARIABLE = "MUTAGEN_TEST_SPOILED"
SPOILED = "spoiled.gguf"
SECRET = "hf_0123456789"  # noqa: S105 - stands for one
GGUF = gguf().data
SHARD = safetensors({"a": tensor("F32", [1], 0, 4)}, 4)
FILES = {
    "a/1.gguf": GGUF,
    "a/cut.gguf": GGUF[:90],
    f"b/{SPOILED}": GGUF,
    "b/2.gguf": GGUF,
    "c/m-00001-of-00002.safetensors": SHARD,
    "c/m-00002-of-00002.safetensors": SHARD,
    "c/z.gguf": GGUF,
}
ARTIFACTS = 6
MARK = "the scanner itself failed while"


class Spoiled:
    """A value that whoever touches it fails over, with a secret in the exception's text."""

    def _fail(self, *_: Any) -> NoReturn:
        raise RuntimeError(SECRET)

    __bool__ = __len__ = __iter__ = __str__ = __repr__ = __format__ = __getitem__ = _fail
    __contains__ = keys = items = get = encode = _fail


def spoil(result: ScanResult) -> ScanResult:
    """Spoil what every output and the table has to touch."""
    odd: Any = Spoiled()
    sbom = replace(result.sbom, architecture=odd, metadata=odd)
    finding = replace(Finding("gguf/truncated", "info", ""), message=odd)
    return replace(result, sbom=sbom, facts=odd, findings=(finding,))


_examine = Examiner.examine


def examine(examiner: Examiner, artifact: Any, cost: Any = None) -> Examination:
    """Examine as ever, and spoil the result of one file."""
    result = yield from _examine(examiner, artifact, cost)
    return spoil(result) if result.url.endswith(SPOILED) else result


def fail(examiner: Examiner, artifact: Any, cost: Any = None) -> Examination:
    """Fail over one file."""
    if artifact.url.endswith(SPOILED):
        raise KeyError(SECRET)
    return (yield from _examine(examiner, artifact, cost))


def render(result: ScanResult) -> RenderedResult:
    """Render as the command does; a process imports this module for it."""
    return render_jsonl(result)


def fail_for(
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    about: Callable[..., str],
    bug: type[Exception] = RuntimeError,
) -> None:
    """Let a function fail over the planted file; ``about`` finds an address in its arguments."""
    original = getattr(module, name)

    def planted(*given: Any, **named: Any) -> Any:
        if about(*given, **named).endswith(SPOILED):
            raise bug(SECRET)
        return original(*given, **named)

    monkeypatch.setattr(module, name, planted)


def assert_one_is_unknown(results: list[ScanResult], expected: list[ScanResult]) -> None:
    wholes = {result.url: result for result in expected}
    assert sorted(result.url for result in results) == sorted(wholes)
    for result in results:
        whole = wholes[result.url]
        if not result.url.endswith(SPOILED):
            assert result.verdict == whole.verdict
            continue
        assert result.verdict.status == "unknown"
        assert {reason.code for reason in result.verdict.reasons} == {"scan/internal-error"}
        assert SECRET not in repr(result)


if how := os.environ.get(VARIABLE):
    setattr(Examiner, "examine", {"examine": examine, "fail": fail}[how])  # noqa: B010
