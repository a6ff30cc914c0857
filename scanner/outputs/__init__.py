"""What a scan is written as: one file per format, all with the contract of `Writer`.

Formats are imported when they are asked for: most commands need one.
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
    """Writes the results of a scan, as they come where the format allows it."""

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
            results: They are examined as they are taken from here.
            scan: What was asked.
            summary: Counts, complete once the last result is taken.
            out: Where to write.
            options: What was asked of the format.

        Raises:
            ValueError: The format cannot hold this: several models, where it describes one.
        """
        ...


FORMATS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "cyclonedx": ("cyclonedx", "write_cyclonedx"),
        "hf-readme": ("hf_readme", "write_hf_readme"),
        "intoto": ("intoto", "write_intoto"),
        "json": ("documents", "write_json"),
        "jsonl": ("documents", "write_jsonl"),
        "model-card": ("model_card", "write_model_card"),
        "report": ("report", "write_report"),
        "sarif": ("sarif", "write_sarif"),
        "spdx": ("spdx", "write_spdx"),
        "spdx-json": ("spdx_json", "write_spdx_json"),
        "spdx3": ("spdx3", "write_spdx3"),
        "table": ("table", "write_table"),
    }
)
"""For each format, the module under ``outputs/`` and its writer."""


def writer_of(name: str) -> Writer:
    """Give the writer of a format.

    Args:
        name: A key of `FORMATS`.

    Raises:
        KeyError: There is no such format.
    """
    module, function = FORMATS[name]
    writer: Writer = getattr(import_module(f"{__name__}.{module}"), function)
    return writer
