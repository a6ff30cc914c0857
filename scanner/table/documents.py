"""Look up documents in ``sboms/`` for results restored from summary rows."""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.table.address_index import sort_hashes
from prefect_mutagen.scanner.table.files import Files
from prefect_mutagen.scanner.table.rows import with_documents
from prefect_mutagen.scanner.table.runs import texts
from prefect_mutagen.scanner.table.schema import SBOMS, conform

__all__ = ["Documents"]


class Documents:
    """Index of all documents of a root by id, 16 bytes in memory for each."""

    def __init__(self, files: Files) -> None:
        """Read the ids of all documents.

        Args:
            files: The table's files.

        Raises:
            StorageError: They cannot be read.
        """
        self._open: list[pq.ParquetFile] = []
        self._groups: list[tuple[int, int]] = []
        codes, groups = array("q"), array("I")
        for number, name in enumerate(files.names("sboms")):
            with files.reading():
                file = pq.ParquetFile(files.open("sboms", name))
                self._open.append(file)
                for group in range(file.num_row_groups):
                    ids = texts(file.read_row_group(group, columns=["sbom_id"]), "sbom_id")
                    codes.extend(map(hash, ids))
                    groups.extend([len(self._groups)] * len(ids))
                    self._groups.append((number, group))
        self._codes, order = sort_hashes(codes)
        self._group_numbers = array("I", map(groups.__getitem__, order))

    def attach(self, results: Sequence[tuple[str, ScanResult]]) -> Iterator[ScanResult]:
        """Yield results with their documents.

        Args:
            results: Pairs of document id and result, in the order to yield them.
        """
        wanted = {sbom_id for sbom_id, _ in results}
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for place in sorted({place for sbom_id in wanted for place in self._where(sbom_id)}):
            number, group = self._groups[place]
            rows = self._open[number].read_row_group(group)
            chosen = rows.filter(pc.is_in(rows["sbom_id"], pa.array(sorted(wanted))))
            for row in conform(chosen, SBOMS).to_pylist():
                found[row["sbom_id"]].append(row)
        for sbom_id, result in results:
            yield with_documents(result, found[sbom_id])

    def _where(self, sbom_id: str) -> Sequence[int]:
        """Return the row groups that may contain a document; hashes can collide."""
        code = hash(sbom_id)
        return self._group_numbers[bisect_left(self._codes, code) : bisect_right(self._codes, code)]
