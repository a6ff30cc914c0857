"""What a scan is written as: one file per format, all with the contract of `Writer`.

* ``documents``: ``json`` and ``jsonl``, the documents as l-bom prints them.
* ``report``: the whole truth as one JSON object, the contract for tools.
* ``table``: what a person reads in a terminal.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Protocol, TextIO

from prefect_mutagen.scanner.outputs.documents import write_json, write_jsonl
from prefect_mutagen.scanner.outputs.report import write_report
from prefect_mutagen.scanner.outputs.table import write_table
from prefect_mutagen.scanner.results import ScanInfo, ScanResult, Summary

__all__ = ["WRITERS", "Writer"]


class Writer(Protocol):
    """Writes the results of a scan, as they come where the format allows it."""

    def __call__(
        self, results: Iterable[ScanResult], scan: ScanInfo, summary: Summary, out: TextIO
    ) -> None:
        """Write all results.

        Args:
            results: They are examined as they are taken from here.
            scan: What was asked.
            summary: Counts, complete once the last result is taken.
            out: Where to write.
        """
        ...


WRITERS: Final[Mapping[str, Writer]] = MappingProxyType(
    {
        "json": write_json,
        "jsonl": write_jsonl,
        "report": write_report,
        "table": write_table,
    }
)
"""Writers by the name of their format."""
