"""Bugs of our own, planted in one artifact of a scan, whatever process examines it.

A process that a scan starts imports what it is handed. With `VARIABLE` set, importing this module
plants the bug there too.
"""

import os
from dataclasses import replace
from typing import Any, NoReturn

from prefect_mutagen.scanner.examine import Examination, Examiner
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.outputs.documents import RenderedResult, render_jsonl
from prefect_mutagen.scanner.results import ScanResult

__all__ = ["SECRET", "SPOILED", "VARIABLE", "Spoiled", "render", "spoil"]

VARIABLE = "MUTAGEN_TEST_SPOILED"
SPOILED = "spoiled.gguf"
SECRET = "hf_0123456789"  # noqa: S105 - stands for one


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


def examine(examiner: Examiner, artifact: Any) -> Examination:
    """Examine as ever, and spoil the result of one file."""
    result = yield from _examine(examiner, artifact)
    return spoil(result) if result.url.endswith(SPOILED) else result


def fail(examiner: Examiner, artifact: Any) -> Examination:
    """Fail over one file."""
    if artifact.url.endswith(SPOILED):
        raise KeyError(SECRET)
    return (yield from _examine(examiner, artifact))


def render(result: ScanResult) -> RenderedResult:
    """Render as the command does; a process imports this module for it."""
    return render_jsonl(result)


if how := os.environ.get(VARIABLE):
    setattr(Examiner, "examine", {"examine": examine, "fail": fail}[how])  # noqa: B010
