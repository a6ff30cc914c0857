"""Find the roots that a table knows."""

from collections.abc import Mapping
from typing import Any

from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.names import original_address
from prefect_mutagen.scanner.table.files import Files
from prefect_mutagen.scanner.table.runs import texts
from prefect_mutagen.scanner.table.table import Table

__all__ = ["tables_of"]

_NO_ROOT = ""


def tables_of(url: str | Address, options: Mapping[str, Any] | None = None) -> list[Table]:
    """Open a table once for each of its roots, in order of their addresses.

    Args:
        url: Address of the table.
        options: Options for fsspec's file system.

    Raises:
        StorageError: There is no table, or it cannot be read.
    """
    import pyarrow.parquet as pq

    address = Address.parse(url)
    found: list[Table] = []
    for files in Files(address, _NO_ROOT, options).other_roots("scans"):
        names = files.names("scans")
        if names:
            with files.reading(), files.open("scans", names[-1]) as file:
                (source,) = texts(pq.read_table(file, columns=["source"]), "source")
            found.append(Table(address, original_address(source), options))
    if not found:
        raise StorageError("storage/not-found", address.text, "there is no table")
    return sorted(found, key=lambda table: table.source)
