"""``table``: one line per artifact for people, followed by reasons and waivers."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import Any, Final, Self, TextIO
from unicodedata import combining, east_asian_width

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.rendering import render_each
from prefect_mutagen.scanner.outputs.visible import counted, short_count, short_size, visible
from prefect_mutagen.scanner.results import ScanResult, Summary

__all__ = ["write_table"]

_STYLES: Final = {"passed": "green", "failed": "bold red", "unknown": "yellow"}
_CODES: Final = {"green": "32", "bold red": "1;31", "yellow": "33", "bold": "1", "dim": "2"}
"""ANSI codes of the styles."""
_HEADINGS: Final = (
    "verdict",
    "artifact",
    "architecture",
    "parameters",
    "quantization",
    "licence",
    "size",
    "worst finding",
)
_NAME: Final = _HEADINGS.index("artifact")
_RIGHT: Final = {_HEADINGS.index("parameters"), _HEADINGS.index("size")}
_BETWEEN: Final = "  "
_NARROWEST: Final = 12
"""Columns that a name has on the narrowest terminal."""
_ORDER: Final = ("error", "warning", "info")
_NAME_WIDTH: Final = 48
_ALLOW: Final = "To allow one for a while: prefect-mutagen waive URL CODE; see waive --help"

_Lines = list[tuple[str, str]]
"""The explanation of an artifact's verdict: each line with its style."""


def write_table(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the table; see `scanner.outputs.Writer`."""
    root = scan.source.rstrip("/") + "/"
    lengths = [len(heading) for heading in _HEADINGS]
    waivers = 0
    with _Spool() as rows, _Spool() as refused, _Spool() as waived:
        for status, style, cells, lines in render_each(
            results, summary, lambda result, _: _part(result, root)
        ):
            rows.add([style, status, *cells])
            lengths = [*map(max, lengths, map(_width, (status, *cells)))]
            if lines:
                (waived if status == "passed" else refused).add(lines)
                waivers += status == "passed"
        screen = _Screen(out)
        census = summary.census.describe()
        if not summary.artifacts:
            screen.write("No model files found.")
            if census:
                screen.write(census)
            return
        screen.fit(lengths)
        screen.write(_row(_HEADINGS, lengths), "bold")
        for style, status, *cells in rows:
            place = len(status)
            line = _row([status, *cells], lengths)
            screen.write(screen.styled(line[:place], style) + line[place:])
        for lines in (*refused, *waived):
            screen.write("")
            for line, style in lines:
                screen.write(line, style)
    screen.write("")
    if summary.failed:
        screen.hint(_ALLOW)
    if census:
        screen.write(census)
    by_waiver = f" ({waivers} by a waiver)" if waivers else ""
    screen.write(
        f"{counted(summary.artifacts, 'artifact')}: {summary.passed} passed{by_waiver}, "
        f"{summary.failed} failed, {summary.unknown} unknown"
    )


class _Spool:
    """Values in a temporary file: how wide columns are is known after the last artifact only."""

    def __init__(self) -> None:
        self._file = TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - this is the manager

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, values: Sequence[Any]) -> None:
        self._file.write(json.dumps(values) + "\n")

    def __iter__(self) -> Iterator[list[Any]]:
        self._file.seek(0)
        return map(json.loads, self._file)


class _Screen:
    """Where lines are written: a terminal has colours and a width, a pipe has neither."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._columns = 0
        self._colours = False
        if out.isatty():
            self._columns = os.get_terminal_size(out.fileno()).columns
            self._colours = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def fit(self, lengths: list[int]) -> None:
        """Narrow the column of names so that lines fit; names then lose their start."""
        excess = sum(lengths) + len(_BETWEEN) * (len(lengths) - 1) - self._columns
        if self._columns and excess > 0:
            lengths[_NAME] = max(_NARROWEST, lengths[_NAME] - excess)

    def styled(self, text: str, style: str) -> str:
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._colours and style else text

    def hint(self, line: str) -> None:
        """Write a line for people at a terminal."""
        if self._columns:
            self.write(line, "dim")

    def write(self, line: str, style: str = "") -> None:
        self._out.write(self.styled(line, style) + "\n")


def _row(cells: Sequence[str], lengths: Sequence[int]) -> str:
    """Align the cells of a line."""
    aligned: list[str] = []
    for place, (cell, length) in enumerate(zip(cells, lengths, strict=True)):
        missing = length - _width(cell)
        if missing < 0:
            cell, missing = f"...{cell[-(length - 3) :]}", 0  # noqa: PLW2901 - cut
        space = " " * missing
        aligned.append(space + cell if place in _RIGHT else cell + space)
    return _BETWEEN.join(aligned).rstrip()


def _width(text: str) -> int:
    """Return the columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text
    )


def _part(result: ScanResult, root: str) -> tuple[str, str, list[str], _Lines]:
    """Return an artifact's verdict with its style, its other cells and its explanation."""
    sbom, status = result.sbom, result.verdict.status
    cells = [
        _name(result.url.removeprefix(root)),
        sbom.architecture or "",
        short_count(sbom.parameter_count),
        sbom.quantization or sbom.dtype or "",
        result.license_spdx or "",
        short_size(result.size),
        _worst(result),
    ]
    explained = not result.passed or result.verdict.waived
    style = "yellow" if result.verdict.waived else _STYLES[status]
    return status, style, [*map(visible, cells)], [*_explanation(result)] if explained else []


def _explanation(result: ScanResult) -> Iterator[tuple[str, str]]:
    """Yield the lines, with their styles, that explain a refusal or a pass by waiver."""
    how = ": passed by a waiver" if result.passed else ""
    yield f"{visible(result.url, 1000)}{how}", "bold"
    for reason in result.verdict.reasons:
        yield f"  {reason.code}: {visible(reason.message, 1000)}", ""
        if reason.code in CODES:
            yield f"    {CODES[reason.code].remedy}", "dim"
    for reason in result.verdict.waived:
        yield f"  {reason.code}: {visible(reason.message, 1000)}", ""
        yield f"    {visible(reason.value)}", "dim"


def _name(url: str) -> str:
    return url if len(url) <= _NAME_WIDTH else f"...{url[-(_NAME_WIDTH - 3) :]}"


def _worst(result: ScanResult) -> str:
    """Return the code of the worst finding; a policy reason ranks as an error."""
    if result.verdict.reasons:
        return result.verdict.reasons[0].code
    if result.verdict.waived:
        return f"{result.verdict.waived[0].code} (waived)"
    ordered = sorted(result.findings, key=lambda finding: _ORDER.index(finding.severity))
    return ordered[0].code if ordered and ordered[0].severity != "info" else ""
