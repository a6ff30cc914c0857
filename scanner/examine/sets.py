"""Check that shards form one model: none missing, no duplicate tensors, none outside the index.

A loader that misses a shard often continues with uninitialised weights. Each check yields findings;
`scanner.examine.set_totals` computes the totals of a set.

Sources: llama.cpp's loader for ``split.*``; transformers' loader and the hub's library for the
index, which states that a listing "must be checked downstream".
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prefect_mutagen.parsers import GgufHeader, Header, SafetensorsHeader, UnknownHeader
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.facts import whole_number
from prefect_mutagen.scanner.content.shard_index import ShardIndex
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.listing.artifacts import Pickles
from prefect_mutagen.scanner.listing.roles import shard_name

__all__ = ["Shard", "check_pickles", "check_set", "check_split_name"]

_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a set and its header."""

    name: str
    url: str
    header: Header | None

    @property
    def sound(self) -> bool:
        """Whether its tensor list is complete and valid."""
        header = self.header
        if header is None or isinstance(header, UnknownHeader) or not header.complete:
            return False
        return all(error.severity != "error" for error in header.errors)

    def tensors(self) -> list[str]:
        """Return the names of its tensors."""
        if isinstance(self.header, SafetensorsHeader):
            return self.header.tensors.names()
        if isinstance(self.header, GgufHeader):
            return [tensor.name for tensor in self.header.tensors]
        return []


def check_set(shards: Sequence[Shard], index: ShardIndex | None, url: str) -> Iterator[Finding]:
    """Run all checks that need no further reads.

    Args:
        shards: The files found.
        index: Their index, if there is one; otherwise file names decide.
        url: Address of the set.
    """
    if index is not None:
        yield from _check_index(index, shards, url)
    else:
        yield from _check_numbering(shards, url)
    yield from _check_splits(shards, url)
    yield from _check_names(shards)


def _check_numbering(shards: Sequence[Shard], url: str) -> Iterator[Finding]:
    names = [named for named in (shard_name(shard.name) for shard in shards) if named is not None]
    if not names:
        return
    count = max(named.total for named in names)
    missing = sorted(set(range(1, count + 1)) - {named.number for named in names})
    if missing:
        message = f"missing shards: {_some(map(str, missing), len(missing))} of {count}"
        yield make_finding("set/missing-shard", message, url=url, field="file name")
    for shard in shards:
        named = shard_name(shard.name)
        if named is not None and not 1 <= named.number <= named.total:
            message = f"{shown(shard.name)} has a shard number outside 1 to {named.total}"
            yield make_finding("set/split-mismatch", message, url=shard.url, field="file name")


def _check_splits(shards: Sequence[Shard], url: str) -> Iterator[Finding]:
    """Check the ``split.*`` metadata of GGUF shards."""
    stated_totals: dict[int, str] = {}
    found = 0
    for shard in shards:
        if not isinstance(shard.header, GgufHeader) or not shard.header.complete:
            return  # its own findings tell why; sums would be wrong
        named = shard_name(shard.name)
        values = _split_values(shard.header)
        found += len(shard.header.tensors)
        if named is None:
            continue
        for key, expected in (("split.no", named.number - 1), ("split.count", named.total)):
            if values[key] != expected:
                stated = "is not stated" if values[key] is None else f"is {values[key]}"
                message = f"{key} {stated}; the file name implies {expected}"
                yield make_finding("set/split-mismatch", message, url=shard.url, field=key)
        total = values["split.tensors.count"]
        if total is not None:
            stated_totals.setdefault(total, shard.url)
    for total, where in stated_totals.items():
        if total != found:
            message = f"split.tensors.count is {total}; the shards have {found} tensors"
            yield make_finding(
                "set/split-mismatch", message, url=where, field="split.tensors.count"
            )
    if found and not stated_totals:
        message = "no shard states split.tensors.count, without which loaders refuse the set"
        yield make_finding("set/split-mismatch", message, url=url, field="split.tensors.count")


def _split_values(header: GgufHeader) -> dict[str, int | None]:
    values: dict[str, int | None] = dict.fromkeys(
        ("split.no", "split.count", "split.tensors.count")
    )
    for entry in reversed(header.metadata):  # of two equal keys, loaders take the first
        if entry.key in values:
            values[entry.key] = whole_number(entry.value)
    return values


def check_split_name(header: Header, name: str, url: str) -> Iterator[Finding]:
    """Check that a single file does not state that it is one of several shards.

    Args:
        header: Its header.
        name: Its name; shard names are checked with their set.
        url: Its address.
    """
    if not isinstance(header, GgufHeader) or shard_name(name) is not None:
        return
    count = _split_values(header)["split.count"]
    if count is not None and count > 1:
        message = f"split.count is {count}, but the file name is not that of a shard"
        yield make_finding("set/missing-shard", message, url=url, field="split.count")


def _check_names(shards: Iterable[Shard]) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for shard in shards:
        names = dict.fromkeys(shard.tensors())
        duplicates = [name for name in names if owners.setdefault(name, shard.name) != shard.name]
        if duplicates:
            message = (
                f"{_tensors(duplicates)} also in {shown(owners[duplicates[0]])}; "
                "which one is loaded depends on the loader"
            )
            yield make_finding("set/duplicate-tensor", message, url=shard.url, field="tensors")


def _check_index(index: ShardIndex, shards: Sequence[Shard], url: str) -> Iterator[Finding]:
    """Check an index and the shards against each other."""
    found = {shard.name: shard for shard in shards}
    named = index.shards()
    missing = [name for name in named if name not in found]
    if missing:
        message = f"missing shards named by the index: {_listed(missing)}"
        yield make_finding("set/missing-shard", message, url=url, field="weight_map")
    placed: dict[str, list[str]] = {name: [] for name in named}
    for tensor, name in index.weight_map.items():
        placed[name].append(tensor)
    for shard in shards:
        if shard.name not in placed:
            message = f"the index does not name {shown(shard.name)}"
            yield make_finding("set/unnamed-shard", message, url=shard.url, field="weight_map")
        elif shard.sound:
            yield from _compare(placed[shard.name], shard)
    yield from _check_size(index, found, missing, url)


def _compare(placed: list[str], shard: Shard) -> Iterator[Finding]:
    held, expected = set(shard.tensors()), set(placed)
    absent = [tensor for tensor in placed if tensor not in held]
    if absent:
        message = f"the index places tensors here that this file lacks: {_listed(absent)}"
        yield make_finding("set/index-mismatch", message, url=shard.url, field="weight_map")
    extra = [tensor for tensor in shard.tensors() if tensor not in expected]
    if extra:
        message = f"this file has tensors that the index does not place here: {_listed(extra)}"
        yield make_finding("set/index-mismatch", message, url=shard.url, field="weight_map")


def _check_size(
    index: ShardIndex, found: dict[str, Shard], missing: list[str], url: str
) -> Iterator[Finding]:
    shards = [found[name] for name in index.shards() if name in found]
    if index.total_size is None or missing or not all(shard.sound for shard in shards):
        return
    size = sum(
        shard.header.data_size for shard in shards if isinstance(shard.header, SafetensorsHeader)
    )
    if size != index.total_size:
        message = f"metadata.total_size is {index.total_size}; the tensors have {size} bytes"
        yield make_finding("set/total-size", message, url=url, field="metadata.total_size")


def check_pickles(pickles: Pickles, url: str) -> Iterator[Finding]:
    """Report pickles that a loader of the folder may load instead."""
    if pickles.total:
        listed = _some(map(shown, pickles.names), pickles.total)
        message = f"other weights in the same folder, which may be pickles: {listed}"
        yield make_finding("set/pickle-beside", message, url=url, field="folder")


def _tensors(names: Sequence[str]) -> str:
    noun = "the tensor" if len(names) == 1 else f"{len(names)} tensors:"
    return f"{noun} {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    return _some(map(shown, names), len(names))


def _some(texts: Iterable[str], count: int) -> str:
    """Join the first few of many."""
    shown_texts = [text for text, _ in zip(texts, range(_NAMED), strict=False)]
    more = count - len(shown_texts)
    return ", ".join(shown_texts) + (f" and {more} more" if more > 0 else "")
