"""Turn a Prefect block into options for the file system.

Secrets live in blocks; only a block's name travels as a parameter, because Prefect stores and shows
parameters in clear text. Any block of these forms will do:

* one with ``settings``, such as Prefect's own ``RemoteFileSystem``: they are fsspec options;
* the credentials blocks of prefect-aws (``aws-credentials``, ``minio-credentials``);
* a bucket block with ``credentials`` inside, such as prefect-aws's ``s3-bucket``.

Prefect's server knows block types whose packages a worker may lack: a block that was made in the UI
is no proof that it can be loaded.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import httpx
from prefect.blocks.core import Block, UnknownBlockType
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import SecretStr

from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.options import load_options

__all__ = ["options_of", "storage_options", "table_options"]

_SUCH: Final = "aws-credentials/models"
_HERE: Final = "where the flow runs (on the worker)"
_INSTEAD: Final = (
    "put the options of {0} into the settings of a remote-file-system block, and install {0} "
    f"{_HERE}"
)
_UNREADABLE: Final = (
    "holds nothing that a file system takes: put fsspec options into the settings of a "
    "remote-file-system block"
)
_MISSING: Final = "needs the package of its type, which is not installed: install it " + _HERE
_MISSING_OF: Final = {
    **dict.fromkeys(
        ("aws-credentials", "minio-credentials", "s3-bucket"),
        f"needs prefect-aws, which is not installed: pip install 'prefect-mutagen[aws]' {_HERE}",
    ),
    **dict.fromkeys(
        ("gcp-credentials", "gcs-bucket"),
        f"is of prefect-gcp, whose blocks are not read: {_INSTEAD.format('gcsfs')}",
    ),
    **dict.fromkeys(
        ("azure-blob-storage-credentials", "azure-blob-storage-container"),
        f"is of prefect-azure, whose blocks are not read: {_INSTEAD.format('adlfs')}",
    ),
}
"""What to say of a block whose type is known to Prefect's server and not here."""


def storage_options(block: str) -> dict[str, Any]:
    """Load the block of this name and read the options off it.

    Args:
        block: For example ``aws-credentials/models``; the empty text reads the environment's
            PREFECT_MUTAGEN_STORAGE_OPTIONS, which is empty itself most of the time.

    Raises:
        ValueError: The block cannot be loaded, or holds nothing that a file system takes; the
            message says what to do.
    """
    if not block:
        return load_options()
    options = options_of(_load(block))
    if options is None:
        raise ValueError(f"the storage block {block!r} {_UNREADABLE}")
    return options


def _load(block: str) -> Block:
    """Load a block.

    Raises:
        ValueError: It cannot be loaded; one sentence says why. Prefect's own exceptions are not
            chained to it: they quote what the block holds, and go on for hundreds of lines.
    """
    slug, _, name = block.partition("/")
    if not slug or not name:
        raise ValueError(f"{block!r} names no storage block: it takes type/name, such as {_SUCH}")
    try:
        # Also where an event loop runs, as in a flow that an asynchronous one calls.
        loaded = Block.load(block, _sync=True)  # type: ignore[call-arg] # of its decorator
        return cast("Block", loaded)
    except UnknownBlockType:
        reason = _MISSING_OF.get(slug, _MISSING)
    except PrefectHTTPStatusError as problem:
        reason = f"cannot be loaded: Prefect's server answered {problem.response.status_code}"
    except httpx.HTTPError as problem:
        reason = f"cannot be loaded: Prefect's server does not answer ({type(problem).__name__})"
    except ValueError:
        reason = "does not exist: create it in Prefect's UI, or check the spelling (type/name)"
    except RuntimeError:
        reason = "does not fit the installed package that defines its type: save it anew"
    raise ValueError(f"the storage block {block!r} {reason}")


def table_options(table: str, source: str, block: str) -> dict[str, Any]:
    """Give the options for a table: the root's, when both lie in the same kind of storage.

    Args:
        table: Address of the table.
        source: The root.
        block: As for `storage_options`.
    """
    same = Address.parse(table).shares_storage(Address.parse(source))
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
