"""Parameters that name blocks: what they stand for.

``policy_block`` names a `ModelPolicy`. A source may be ``model-root/NAME``, a table
``model-table/NAME``, and both may be a block of Prefect's or of an integration that holds an
address: ``s3-bucket/NAME``, ``gcs-bucket/NAME``, ``azure-blob-storage-container/NAME``,
``remote-file-system/NAME`` or ``local-file-system/NAME``. Any other text is an address; a folder of
such a name is written ``./model-root/NAME``.
"""

from dataclasses import dataclass
from typing import Final

from prefect_mutagen.flows.blocks import ModelPolicy, ModelRoot, ModelTable
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.tasks.block_options import PLACES, address_of
from prefect_mutagen.tasks.scan_selection import ScanSelection
from prefect_mutagen.tasks.storage_blocks import UnusableBlock, load_block

__all__ = ["NamedRoot", "NamedTable", "named_policy", "named_root", "named_table"]

_POLICY: Final = "model-policy"
_ROOT: Final = "model-root"
_TABLE: Final = "model-table"


@dataclass(frozen=True, slots=True)
class NamedTable:
    """Where a table lies."""

    address: str
    storage: str = ""
    """Block with its own credentials; empty: it has none."""


@dataclass(frozen=True, slots=True)
class NamedRoot:
    """What is scanned, and with which credentials."""

    address: str
    storage: str
    select: ScanSelection


def named_policy(policy: Policy, block: str) -> Policy:
    """Return the policy that a run is to judge by.

    Args:
        policy: The parameter.
        block: Name of a `ModelPolicy`, with its type in front of it or without; empty: none.

    Raises:
        UnusableBlock: There is no such block, or it is invalid.
        ValueError: Both parameters state a policy.
    """
    if not block:
        return policy
    if policy != Policy():
        raise ValueError(
            f"both policy and policy_block ({block!r}) state a policy: leave one of them empty"
        )
    name = block if "/" in block else f"{_POLICY}/{block}"
    found = load_block(name, "policy block")
    if not isinstance(found, ModelPolicy):
        raise UnusableBlock(f"{block!r} is no policy block: write {_POLICY}/name")
    return found.to_policy()


def named_table(table: str) -> NamedTable:
    """Return where a table lies.

    Args:
        table: Its address, or the name of a block; empty: there is none.

    Raises:
        UnusableBlock: There is no such block, or it is invalid or holds no address.
    """
    slug = _slug(table, _TABLE)
    if not slug:
        return NamedTable(table)
    found = load_block(table, "table block")
    if isinstance(found, ModelTable):
        return NamedTable(found.address, found.storage)
    return NamedTable(_address(table, address_of(found)), table)


def named_root(source: str, storage: str, select: ScanSelection) -> NamedRoot:
    """Return what is to be scanned; what the run states itself takes the place of a block's.

    Args:
        source: Address of the root, or the name of a block.
        storage: Block with the credentials; empty: those of the source's block, if it is one.
        select: Which models to scan; the default: those of the source's block, if it says so.

    Raises:
        UnusableBlock: There is no such block, or it is invalid or holds no address.
    """
    slug = _slug(source, _ROOT)
    if not slug:
        return NamedRoot(source, storage, select)
    found = load_block(source, "root block")
    if isinstance(found, ModelRoot):
        chosen = found.select if select == ScanSelection() else select
        return NamedRoot(found.address, storage or found.storage, chosen)
    return NamedRoot(_address(source, address_of(found)), storage or source, select)


def _slug(text: str, own: str) -> str:
    """Return the type of the block that a text names; empty if it is an address."""
    slug, slash, name = text.partition("/")
    is_name = bool(slash and name) and "/" not in name
    return slug if is_name and (slug == own or slug in PLACES) else ""


def _address(block: str, address: str) -> str:
    if not address:
        raise UnusableBlock(f"the block {block!r} holds no address")
    return address
