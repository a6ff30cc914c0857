"""Output formats of a scan: one module per format, each with a `Writer`.

A format is imported when it is first used, because most commands need only one.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, Protocol, TextIO

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.results import ScanResult, Summary

__all__ = ["FORMATS", "Writer", "writer_of"]


class Writer(Protocol):
    """Writes the results of a scan, streaming where the format allows it."""

    def __call__(
        self,
        results: Iterable[ScanResult],
        scan: ScanInfo,
        summary: Summary,
        out: TextIO,
        options: OutputOptions,
    ) -> None:
        """Write all results.

        Args:
            results: The results; artifacts are examined as this is iterated.
            scan: The scan's id, source, start time and policy.
            summary: Counts, complete once the last result is taken.
            out: The stream to write to.
            options: Options of the formats.

        Raises:
            ValueError: The format cannot represent the results, such as several models in a format
                for one.
        """
        ...


FORMATS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "cyclonedx": ("cyclonedx", "write_cyclonedx"),
        "hf-readme": ("hf_readme", "write_hf_readme"),
        "html": ("html", "write_html"),
        "intoto": ("intoto", "write_intoto"),
        "json": ("documents", "write_json"),
        "jsonl": ("documents", "write_jsonl"),
        "model-card": ("model_card", "write_model_card"),
        "report": ("report", "write_report"),
        "sarif": ("sarif", "write_sarif"),
        "spdx": ("spdx", "write_spdx"),
        "spdx-json": ("spdx_json", "write_spdx_json"),
        "spdx3": ("spdx3", "write_spdx3"),
        "summary": ("summary", "write_summary"),
        "table": ("table", "write_table"),
    }
)
"""Module below ``outputs/`` and name of the writer, by format."""


def writer_of(name: str) -> Writer:
    """Return the writer for a format.

    Args:
        name: A key of `FORMATS`.

    Raises:
        KeyError: There is no such format.
    """
    module, function = FORMATS[name]
    writer: Writer = getattr(import_module(f"{__name__}.{module}"), function)
    return writer
