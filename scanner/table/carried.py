"""Carry the results of a batch as bytes, to a machine that sees none of this one's folders."""

from dataclasses import dataclass
from typing import Self

from prefect_mutagen.scanner.table.spool import Spooled

__all__ = ["CarriedRows"]


@dataclass(frozen=True, slots=True)
class CarriedRows:
    """Spooled results by value: for artifacts with headers of ordinary size, kilobytes each."""

    rows: bytes
    """The file of the rows for ``artifacts/``."""
    documents: bytes
    """The file of the rows for ``sboms/``."""
    artifacts: int
    bytes_read: int
    requests: int

    @classmethod
    def take(cls, spooled: Spooled) -> Self:
        """Read the files of spooled results, and delete them."""
        with (
            open(f"{spooled.path}.artifacts", "rb") as rows,
            open(f"{spooled.path}.sboms", "rb") as documents,
        ):
            counts = spooled.artifacts, spooled.bytes_read, spooled.requests
            taken = cls(rows.read(), documents.read(), *counts)
        spooled.delete()
        return taken

    def put(self, path: str) -> Spooled:
        """Write the files again.

        Args:
            path: Prefix of their paths, in an existing folder.
        """
        for name, data in (("artifacts", self.rows), ("sboms", self.documents)):
            with open(f"{path}.{name}", "wb") as file:
                file.write(data)
        return Spooled(path, self.artifacts, self.bytes_read, self.requests)
