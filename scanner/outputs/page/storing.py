"""Keep the newest page beside the table that it is on, where people find it by one address."""

import os
from collections.abc import Mapping
from typing import Any, Final

from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.options import refuse_unprintable
from prefect_mutagen.scanner.temporary import partial_path

__all__ = ["PLACE", "store_page"]

PLACE: Final = "pages/report.html"
"""Where the page lies below the address of the table."""
_TYPED: Final = {"s3": {"ContentType": "text/html; charset=utf-8"}}
"""What to tell storage of a page, so that a browser shows it."""


def store_page(html: str, table: str | Address, options: Mapping[str, Any] | None = None) -> str:
    """Write a page beside a table, in the place of the one before.

    Args:
        html: The page.
        table: Address of the table.
        options: Options for fsspec's file system.

    Returns:
        Its address, without secrets.

    Raises:
        StorageError: It cannot be written there.
    """
    import fsspec

    address = Address.parse(table)
    place = f"{address.text.rstrip('/')}/{PLACE}"
    try:
        refuse_unprintable(options or {})
        system, folder = fsspec.core.url_to_fs(address.secret_text, **(options or {}))
        path = f"{folder.rstrip('/')}/{PLACE}"
        system.makedirs(os.path.dirname(path), exist_ok=True)
        if address.is_local:
            partial = partial_path(path)
            with open(partial, "w", encoding="utf-8") as file:
                file.write(html)
            os.replace(partial, path)
        else:
            system.pipe_file(path, html.encode(), **_TYPED.get(address.scheme, {}))
    except Exception as problem:  # noqa: BLE001 - every file system raises its own errors
        detail = getattr(problem, "strerror", None) or type(problem).__name__
        reason = f"the page cannot be written: {detail}"
        raise StorageError("storage/failed", place, reason) from None
    return place
