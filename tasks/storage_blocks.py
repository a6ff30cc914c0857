"""Convert a Prefect block to options of the file system.

Secrets are kept in blocks; only a block's name is passed as a parameter, because Prefect stores and
shows parameters in clear text. Supported blocks:

* blocks with ``settings``, such as Prefect's own ``RemoteFileSystem``: these are fsspec options;
* the credentials blocks of prefect-aws (``aws-credentials``, ``minio-credentials``);
* bucket blocks with ``credentials`` inside, such as prefect-aws's ``s3-bucket``.

Prefect's server knows block types whose packages may be missing on a worker, so a block created in
the UI cannot always be loaded.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

import httpx
from prefect.blocks.core import Block, UnknownBlockType
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import SecretStr

from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.options import load_options
from prefect_mutagen.tasks.clear_address import BLOCK_NAMES

__all__ = ["UnusableBlock", "options_of", "storage_options", "table_options"]

_EXAMPLE: Final = "aws-credentials/models"
_WHERE: Final = "where the flow runs (on the worker)"
_ALTERNATIVE: Final = (
    "put the options of {0} into the settings of a remote-file-system block, and install {0} "
    f"{_WHERE}"
)
_NO_OPTIONS: Final = (
    "contains no options of a file system: put fsspec options into the settings of a "
    "remote-file-system block"
)
_MISSING: Final = "needs the package of its type, which is not installed: install it " + _WHERE
_MISSING_BY_TYPE: Final = {
    **dict.fromkeys(
        ("aws-credentials", "minio-credentials", "s3-bucket"),
        f"needs prefect-aws, which is not installed: pip install 'prefect-mutagen[aws]' {_WHERE}",
    ),
    **dict.fromkeys(
        ("gcp-credentials", "gcs-bucket"),
        f"is of prefect-gcp, which is not supported: {_ALTERNATIVE.format('gcsfs')}",
    ),
    **dict.fromkeys(
        ("azure-blob-storage-credentials", "azure-blob-storage-container"),
        f"is of prefect-azure, which is not supported: {_ALTERNATIVE.format('adlfs')}",
    ),
}
"""Messages for block types that are known to Prefect's server but not installed here."""


class UnusableBlock(ValueError):  # noqa: N818 - named after the condition
    """A block that cannot be loaded or has no options; the message says so, and the remedy."""


def storage_options(block: str) -> dict[str, Any]:
    """Load a block and return its options.

    Args:
        block: Its name, such as ``aws-credentials/models``; if empty, the variable
            PREFECT_MUTAGEN_STORAGE_OPTIONS is read, which may be unset.

    Raises:
        UnusableBlock: The block cannot be loaded, or contains no options of a file system; the
            message includes the remedy.
    """
    if not block:
        return load_options()
    options = options_of(_load(block))
    if options is None:
        raise UnusableBlock(f"the storage block {block!r} {_NO_OPTIONS}")
    return options


def _load(block: str) -> Block:
    """Load a block.

    Raises:
        UnusableBlock: It cannot be loaded. Prefect's own exceptions are not chained: they quote the
            block's contents, and are hundreds of lines long.
    """
    slug, _, name = block.partition("/")
    if not slug or not name:
        form = f"write it as type/name, such as {_EXAMPLE}"
        shown = repr(block) if re.match(BLOCK_NAMES, block) else "the parameter storage"
        raise UnusableBlock(f"{shown} is not the name of a storage block: {form}")
    try:
        # Also with a running event loop, as in a flow called by an asynchronous one.
        loaded = Block.load(block, _sync=True)  # type: ignore[call-arg] # added by its decorator
        return cast("Block", loaded)
    except UnknownBlockType:
        reason = _MISSING_BY_TYPE.get(slug, _MISSING)
    except PrefectHTTPStatusError as problem:
        reason = f"cannot be loaded: Prefect's server answered {problem.response.status_code}"
    except httpx.HTTPError as problem:
        reason = f"cannot be loaded: Prefect's server does not answer ({type(problem).__name__})"
    except ValueError:
        reason = "does not exist: create it in Prefect's UI, or check the spelling (type/name)"
    except RuntimeError:
        reason = "does not match the installed version of its package: save it again"
    raise UnusableBlock(f"the storage block {block!r} {reason}")


def table_options(table: str, source: str, block: str, own: str = "") -> dict[str, Any]:
    """Return the options of a table: its own, or the root's if both are in the same kind of storage.

    Args:
        table: Address of the table.
        source: The root.
        block: The root's, as for `storage_options`.
        own: The block with the table's credentials; empty: it has none of its own.
    """
    if own:
        return storage_options(own)
    same = Address.parse(table).shares_storage(Address.parse(source))
    return storage_options(block) if same else {}


def options_of(block: Any) -> dict[str, Any] | None:
    """Return the fsspec options of a block; None if it is not supported."""
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
