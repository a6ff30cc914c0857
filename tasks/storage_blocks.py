"""Load a Prefect block by its name, and convert it to options of the file system.

Secrets are kept in blocks; only a block's name is passed as a parameter, because Prefect stores and
shows parameters in clear text.

Prefect's server knows block types whose packages may be missing on a worker, so a block created in
the UI cannot always be loaded.
"""

import re
from typing import Any, Final, cast

import httpx
from prefect import get_client
from prefect.blocks.core import Block, UnknownBlockType
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import ValidationError

from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.entries import nearest
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.options import load_options
from prefect_mutagen.tasks.block_options import options_of
from prefect_mutagen.tasks.clear_address import BLOCK_NAMES

__all__ = ["UnusableBlock", "load_block", "storage_options", "table_options"]

_EXAMPLE: Final = "aws-credentials/models"
_WHERE: Final = "where the flow runs (on the worker)"
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
        f"needs prefect-gcp, which is not installed: pip install prefect-gcp {_WHERE}",
    ),
    **dict.fromkeys(
        ("azure-blob-storage-credentials", "azure-blob-storage-container"),
        "needs prefect-azure, which is not installed: pip install "
        f"'prefect-azure[blob_storage]' {_WHERE}",
    ),
}
"""Messages for block types that are known to Prefect's server but not installed here."""


_MAKE: Final = "create it in Prefect's UI, or check the spelling (type/name)"
_OWN: Final = frozenset({"model-policy", "model-root", "model-table"})
"""Types of blocks that hold no secret, so that what is wrong with them can be said."""
_LISTED: Final = 200
"""Blocks that Prefect's server returns at once."""
_SHOWN: Final = 10


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
    options = options_of(load_block(block))
    if options is None:
        raise UnusableBlock(f"the storage block {block!r} {_NO_OPTIONS}")
    return options


def load_block(block: str, what: str = "storage block") -> Block:
    """Load a block.

    Args:
        block: Its name, as type/name.
        what: What it is, for messages.

    Raises:
        UnusableBlock: It cannot be loaded. Prefect's own exceptions are not chained: they quote the
            block's contents, and are hundreds of lines long.
    """
    slug, _, name = block.partition("/")
    if not slug or not name:
        form = f"write it as type/name, such as {_EXAMPLE}"
        shown = repr(block) if re.match(BLOCK_NAMES, block) else "the parameter storage"
        raise UnusableBlock(f"{shown} is not the name of a {what}: {form}")
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
        reason = f"does not exist: {_what_there_is(slug, name)}"
    except RuntimeError as problem:
        reason = "does not match the installed version of its package: save it again"
        if isinstance(problem.__cause__, ValidationError) and slug in _OWN:
            reason = f"is invalid: {_explain(problem.__cause__)}"
    raise UnusableBlock(f"the {what} {block!r} {reason}")


def _what_there_is(slug: str, name: str) -> str:
    """Return what blocks there are of a type, and how to make one if there are none."""
    try:
        with get_client(sync_client=True) as client:
            found = client.read_block_documents(include_secrets=False, limit=_LISTED)
    except (PrefectHTTPStatusError, httpx.HTTPError):
        return "check the spelling (type/name)"
    names = sorted(
        one.name
        for one in found
        if one.name and one.block_type is not None and one.block_type.slug == slug
    )
    if not names:
        make = "prefect block register -m prefect_mutagen, then create it in Prefect's UI"
        return f"there is no {slug} block yet; {make if slug in _OWN else _MAKE}"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    shown = ", ".join(visible(one, 100) for one in names[:_SHOWN])
    return f"of this type there are {shown}{more}{nearest(name, names)}"


def _explain(problem: ValidationError) -> str:
    """Return what is wrong with the fields of a block, without their values."""
    said = []
    for error in problem.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in error["loc"])
        said.append(f"{where}: {error['msg'].removeprefix('Value error, ')}")
    return visible("; ".join(said), 500)


def table_options(table: str, source: str, block: str, own: str = "") -> dict[str, Any]:
    """Return a table's options: its own, or the root's if both are in the same kind of storage.

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
