"""Tables and models that passed as Prefect assets, whose lineage starts at the root of the scan.

The task run that publishes a scan materialises them, so that no model costs a task run of its own.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final, ParamSpec, TypeVar

from prefect import Task
from prefect.assets import Asset, AssetProperties
from prefect.events import emit_event
from prefect.tasks import MaterializingTask

from prefect_mutagen.scanner.outputs.outcomes import path_below, shortened
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.highlights import Highlights, Kind

__all__ = ["MOST_ASSETS", "asset_key", "assets_of", "materializing", "refer_to"]

MOST_ASSETS: Final = 100
"""Models of one scan that become assets; each is an event that the server keeps."""

_LONGEST: Final = 512
"""Characters of a key that Prefect takes."""
_ODD: Final = re.compile(r"[\x00-\x20\x7f-\U0010ffff#?&%\"'<>\[\]{}|\\^`~]")
"""Characters that Prefect does not take in keys, the percent sign among them, and others that no
URI has."""
_NO_SCHEME: Final = re.compile("[^a-z0-9]")
_NAME: Final = 200
_NEW: Final[tuple[Kind, ...]] = ("newly-passed", "added", "changed")
_AT_FIRST: Final[tuple[Kind, ...]] = ("passed", "warned", "waived")

_P = ParamSpec("_P")
_R = TypeVar("_R")


def asset_key(url: str) -> str:
    """Return the key of an asset for an address: a URI, encoded with ``~`` for ``%``, and bounded.

    Args:
        url: Address of a root, a table or a model.
    """
    text = storable(url)
    if "://" not in text:
        text = f"file://{text}"
    scheme, _, rest = text.partition("://")
    scheme = _NO_SCHEME.sub("", scheme.lower()) or "storage"
    key = f"{scheme}://{_ODD.sub(_encode, rest)}"
    if len(key) <= _LONGEST:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{key[: _LONGEST - len(digest) - 1]}~{digest}"


def _encode(found: re.Match[str]) -> str:
    return "".join(f"~{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def assets_of(highlights: Highlights, source: str, table: str) -> list[Asset]:
    """Return the assets that a scan materialises: the table, and models that are new as passed.

    Args:
        highlights: What of the scan is worth showing.
        source: The root.
        table: Address of the table.
    """
    about = AssetProperties(name=f"models of {visible(source, _NAME)}")
    found = {(key := asset_key(table)): Asset(key=key, properties=about)}
    kinds = _NEW if highlights.is_compared else _AT_FIRST
    for result in islice(_passed(highlights, kinds), MOST_ASSETS):
        key = asset_key(result.url)
        name = shortened(path_below(source, result.url), _NAME)
        found.setdefault(key, Asset(key=key, properties=AssetProperties(name=name)))
    return list(found.values())


def _passed(highlights: Highlights, kinds: Iterable[Kind]) -> Iterator[ScanResult]:
    for kind in kinds:
        yield from (result for result in highlights[kind].results if result.passed)


def materializing(
    made: Task[_P, _R], assets: Iterable[Asset], source: str, **options: Any
) -> Task[_P, _R]:
    """Return a task as one whose runs materialise assets.

    Args:
        made: The task.
        assets: What its runs make.
        source: The root that they are made from.
        options: Those that the task was made with.
    """
    make = partial(MaterializingTask, made.fn, materialized_by="prefect-mutagen")
    return make(assets=list(assets), asset_deps=[asset_key(source)], **options)


def refer_to(url: str) -> None:
    """Say that the current run uses a model.

    Args:
        url: Its address.
    """
    emit_event("prefect.asset.referenced", {"prefect.resource.id": asset_key(url)})
