"""Open the store for an address.

S3, Google Cloud Storage and Azure have a second, faster engine, obstore (the extra ``fast``). It is
used automatically where it is installed and supports the options; results, findings and errors are
the same.
"""

import importlib.util
import os
from collections.abc import Mapping
from typing import Any, Final

from prefect_mutagen.scanner.storage.address import BUCKETS, Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.options import refuse_unprintable
from prefect_mutagen.scanner.storage.store import Store

__all__ = ["ENGINE_VARIABLE", "open_store"]

ENGINE_VARIABLE: Final = "PREFECT_MUTAGEN_ENGINE"


def open_store(
    address: str | Address, options: Mapping[str, Any] | None = None, *, versions: bool = False
) -> Store:
    """Open the store for an address.

    Args:
        address: A path, or an address of any kind that fsspec supports; a string is parsed.
        options: Options for fsspec's file system, such as credentials and endpoint.
        versions: Whether to list older versions of objects too.

    Raises:
        StorageError: The address is blank, its kind of storage is unknown, or the options are
            not valid for it.
    """
    root = Address.parse(address)
    given = dict(options or {})
    if root.scheme in BUCKETS:
        try:
            refuse_unprintable(given)
        except ValueError as problem:
            raise StorageError("storage/credentials", root.text, str(problem)) from None
    if versions and root.scheme != "s3":
        reason = "versions can only be listed on S3"
        raise StorageError("storage/unsupported", root.text, reason)
    # Every store has its own libraries; import only those that the root needs.
    if root.is_local:
        from prefect_mutagen.scanner.storage.local import LocalStore

        return LocalStore(root.key)
    if versions or root.version:
        from prefect_mutagen.scanner.storage.s3_versions import S3VersionStore

        return S3VersionStore(root, given)
    if root.scheme in BUCKETS:
        store = _open_fast(root, given)
        if store is not None:
            return store
    if root.scheme == "s3":
        from prefect_mutagen.scanner.storage.s3 import S3Store

        return S3Store(root, given)
    if root.scheme in ("http", "https"):
        from prefect_mutagen.scanner.storage.http import HttpStore

        return HttpStore(root, given)
    from prefect_mutagen.scanner.storage.generic import GenericStore

    return GenericStore(root, given)


def _open_fast(root: Address, options: Mapping[str, Any]) -> Store | None:
    """Try obstore; PREFECT_MUTAGEN_ENGINE can disable it, or require it, for tests."""
    engine = os.environ.get(ENGINE_VARIABLE, "")
    if engine not in ("", "fsspec", "obstore"):
        reason = f"{ENGINE_VARIABLE} is neither fsspec nor obstore"
        raise StorageError("storage/unsupported", root.text, reason)
    store: Store | None = None
    if engine != "fsspec" and importlib.util.find_spec("obstore") is not None:
        from prefect_mutagen.scanner.storage.fast import open_fast_store

        store = open_fast_store(root, options)
    if store is None and engine == "obstore":
        reason = "obstore is not installed, or has no such options"
        raise StorageError("storage/unsupported", root.text, reason)
    return store
