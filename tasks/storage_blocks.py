"""Turn a Prefect block into options for the file system.

Secrets live in blocks; only a block's name travels as a parameter, because Prefect stores and shows
parameters in clear text. Any block of these forms will do:

* one with ``settings``, such as Prefect's own ``RemoteFileSystem``: they are fsspec options;
* the credentials blocks of prefect-aws (``aws-credentials``, ``minio-credentials``);
* a bucket block with ``credentials`` inside, such as prefect-aws's ``s3-bucket``.
"""

from collections.abc import Mapping
from typing import Any

from prefect.blocks.core import Block
from pydantic import SecretStr

from prefect_mutagen.scanner.storage_options import load_options

__all__ = ["options_of", "storage_options", "table_options"]


def storage_options(block: str) -> dict[str, Any]:
    """Load the block of this name and read the options off it.

    Args:
        block: For example ``aws-credentials/models``; the empty text reads the environment's
            PREFECT_MUTAGEN_STORAGE_OPTIONS, which is empty itself most of the time.

    Raises:
        ValueError: There is no such block, or it holds nothing that a file system takes.
    """
    if not block:
        return load_options()
    try:
        loaded = Block.load(block)
    except ValueError as problem:
        hint = "create it in the UI, or check the spelling (type/name)"
        raise ValueError(f"there is no storage block {block!r}: {hint}") from problem
    options = options_of(loaded)
    if options is None:
        raise ValueError(f"the block {block!r} holds nothing that a file system takes")
    return options


def table_options(table: str, source: str, block: str) -> dict[str, Any]:
    """Give the options for a table: the root's, when both lie in the same kind of storage.

    Args:
        table: Address of the table.
        source: The root.
        block: As for `storage_options`.
    """
    same = table.partition("://")[0] == source.partition("://")[0]
    return storage_options(block) if same else {}


def options_of(block: Any) -> dict[str, Any] | None:
    """Read options for fsspec off a block; None when it is of no known form."""
    settings = getattr(block, "settings", None)
    if isinstance(settings, Mapping):
        return {key: _reveal(value) for key, value in settings.items()}
    for inner in ("credentials", "aws_credentials", "minio_credentials"):
        if getattr(block, inner, None) is not None:
            return options_of(getattr(block, inner))
    slug = type(block).get_block_type_slug() if isinstance(block, Block) else ""
    if slug == "local-file-system":
        return {}
    if hasattr(block, "aws_access_key_id") or hasattr(block, "minio_root_user"):
        return _s3_options(block)
    return None


def _s3_options(block: Any) -> dict[str, Any]:
    pairs = {
        "key": ("aws_access_key_id", "minio_root_user"),
        "secret": ("aws_secret_access_key", "minio_root_password"),
        "token": ("aws_session_token",),
        "profile": ("profile_name",),
    }
    options: dict[str, Any] = {}
    for option, names in pairs.items():
        for name in names:
            value = _reveal(getattr(block, name, None))
            if value:
                options[option] = value
    client: dict[str, Any] = {}
    if getattr(block, "region_name", None):
        client["region_name"] = block.region_name
    parameters = getattr(block, "aws_client_parameters", None)
    for name in ("endpoint_url", "use_ssl", "verify"):
        value = getattr(parameters, name, None)
        if value is not None:
            client[name] = value
    if client:
        options["client_kwargs"] = client
    return options


def _reveal(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
