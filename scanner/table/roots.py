"""Find the roots that a table knows."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.names import original_address
from prefect_mutagen.scanner.table.files import Files
from prefect_mutagen.scanner.table.runs import texts
from prefect_mutagen.scanner.table.table import Table

__all__ = ["tables_above", "tables_of"]

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


def tables_above(
    url: str | Address, place: Address, options: Mapping[str, Any] | None = None
) -> list[Table]:
    """Open a table for each of its roots that an address is, or lies below; the nearest first.

    Args:
        url: Address of the table.
        place: The address.
        options: Options for fsspec's file system.

    Raises:
        StorageError: There is no table, or it cannot be read.
    """
    address = Address.parse(url)
    scanned = Files(address, _NO_ROOT, options).other_roots("scans")
    if not scanned:
        raise StorageError("storage/not-found", address.text, "there is no table")
    folders = {files.root_folder for files in scanned}
    tables = (Table(address, root, options) for root in _roots_above(place))
    return [table for table in tables if table.files.root_folder in folders]


def _roots_above(place: Address) -> Iterator[Address]:
    """Yield an address and all folders above it, without a trailing slash and with one."""
    here = replace(place, key=place.key.rstrip("/") or place.key)
    while True:
        yield here
        if here.key and not here.is_local:
            yield replace(here, key=f"{here.key}/")
        above = here.folder
        if above == here:
            return
        here = above
