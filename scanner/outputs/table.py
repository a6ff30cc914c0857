"""``table``: one line per artifact for people, followed by reasons and waivers."""

import json
from collections.abc import Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import Any, Final, Self, TextIO

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.rendering import render_each
from prefect_mutagen.scanner.outputs.screen import Screen, Style, text_width
from prefect_mutagen.scanner.outputs.visible import counted, short_count, short_size, visible
from prefect_mutagen.scanner.results import ScanResult, Summary

__all__ = ["write_table"]

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
_FIRST_TO_GO: Final = tuple(
    map(
        _HEADINGS.index,
        ("architecture", "quantization", "parameters", "size", "licence", "worst finding"),
    )
)
"""Columns that a narrow terminal does without, in this order. What is wrong is below, too."""
_BETWEEN: Final = "  "
_ORDER: Final = ("error", "warning", "info")
_ALLOW: Final = "To allow one for a while: prefect-mutagen waive URL CODE; see waive --help"

_Lines = list[tuple[str, str]]
"""The explanation of an artifact's verdict: each line with what stands before it."""


def write_table(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the table; see `scanner.outputs.Writer`."""
    root = scan.source.rstrip("/") + "/"
    screen = _Rows(out)
    waivers = 0
    with _Spool() as rows, _Spool() as refused, _Spool() as waived:
        for style, cells, lines in render_each(
            results, summary, lambda result, _: _part(result, root)
        ):
            rows.add([style, *cells])
            screen.measure(cells)
            if lines:
                by_waiver = cells[0] == "passed"
                (waived if by_waiver else refused).add(lines)
                waivers += by_waiver
        census = summary.census.describe()
        if not summary.artifacts:
            screen.write("No model files found.")
            if census:
                screen.write_words(census)
            return
        screen.fit()
        screen.write_row(_HEADINGS, "heading")
        for style, *cells in rows:
            screen.write_row(cells, style)
        for (url, said), *lines in (*refused, *waived):
            screen.write("")
            screen.write(screen.styled(url, "heading") + said)
            for line, indent in lines:
                screen.write_words(line, indent, indent)
    screen.write("")
    if summary.failed and screen.columns:  # for people at a terminal
        screen.write_words(_ALLOW)
    if census:
        screen.write_words(census)
    by_waivers = f" ({waivers} by a waiver)" if waivers else ""
    screen.write_words(
        f"{counted(summary.artifacts, 'artifact')}: {summary.passed} passed{by_waivers}, "
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


class _Rows(Screen):
    """The screen, and how its width is shared by the columns: names of artifacts stay whole."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._lengths = [text_width(heading) for heading in _HEADINGS]
        self._shown = list(range(len(_HEADINGS)))

    def measure(self, cells: Sequence[str]) -> None:
        """Widen columns for the cells of a row, but for a name that fills more than a row."""
        lengths = [text_width(cell) for cell in cells]
        if self.columns and self._start_of_names + lengths[_NAME] > self.columns:
            lengths[_NAME] = 0
        self._lengths = [*map(max, self._lengths, lengths)]

    @property
    def _start_of_names(self) -> int:
        return self._lengths[0] + len(_BETWEEN)

    def fit(self) -> None:
        """Leave out columns until the others fit."""
        for place in _FIRST_TO_GO:
            taken = sum(self._lengths[shown] + len(_BETWEEN) for shown in self._shown)
            if not self.columns or taken - len(_BETWEEN) <= self.columns:
                return
            self._shown.remove(place)

    def write_row(self, cells: Sequence[str], style: Style) -> None:
        """Write a row; after a name that is wider than its column, the rest is in the next one."""
        name = cells[_NAME]
        if text_width(name) > self._lengths[_NAME]:
            self._write([cells[0], name], style)
            cells = ["", "", *cells[_NAME + 1 :]]
            if not any(cells[place] for place in self._shown):
                return
        self._write(cells, style)

    def _write(self, cells: Sequence[str], style: Style) -> None:
        aligned: list[str] = []
        for place in self._shown[: len(cells)]:
            space = " " * (self._lengths[place] - text_width(cells[place]))
            aligned.append(space + cells[place] if place in _RIGHT else cells[place] + space)
        line = _BETWEEN.join(aligned).rstrip()
        if style == "heading":
            self.write(line, style)
        else:
            first = len(cells[0])
            self.write(self.styled(line[:first], style if first else "") + line[first:])


def _part(result: ScanResult, root: str) -> tuple[Style, list[str], _Lines]:
    """Return the style of an artifact's verdict, its cells and its explanation."""
    sbom, status = result.sbom, result.verdict.status
    cells = [
        status,
        _whole(result.url.removeprefix(root)),
        *map(
            visible,
            (
                sbom.architecture or "",
                short_count(sbom.parameter_count),
                sbom.quantization or sbom.dtype or "",
                result.license_spdx or "",
                short_size(result.size),
                _worst(result),
            ),
        ),
    ]
    explained = not result.passed or result.verdict.waived
    style: Style = "unknown" if result.verdict.waived else status
    return style, cells, [*_explanation(result)] if explained else []


def _explanation(result: ScanResult) -> Iterator[tuple[str, str]]:
    """Yield the address and what follows it, then lines and what stands before them."""
    yield _whole(result.url), ": passed by a waiver" if result.passed else ""
    for reason in result.verdict.reasons:
        yield f"{reason.code}: {visible(reason.message, 1000)}", "  "
        if reason.code in CODES:
            yield CODES[reason.code].remedy, "    "
    for reason in result.verdict.waived:
        yield f"{reason.code}: {visible(reason.message, 1000)}", "  "
        yield visible(reason.value), "    "


def _whole(url: str) -> str:
    """Return a path or an address for a terminal, however long it is: it is there to be copied."""
    return visible(url, len(url))


def _worst(result: ScanResult) -> str:
    """Return the code of the worst finding; a policy reason ranks as an error."""
    if result.verdict.reasons:
        return result.verdict.reasons[0].code
    if result.verdict.waived:
        return f"{result.verdict.waived[0].code} (waived)"
    ordered = sorted(result.findings, key=lambda finding: _ORDER.index(finding.severity))
    return ordered[0].code if ordered and ordered[0].severity != "info" else ""
