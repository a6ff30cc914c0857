"""Check that shards form one model: none missing, no duplicate tensors, none outside the index.

A loader that misses a shard often continues with uninitialised weights. Each check yields findings;
`scanner.examine.set_totals` computes the totals of a set.

Sources: llama.cpp's loader for ``split.*``; transformers' loader and the hub's library for the
index, which states that a listing "must be checked downstream".
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prefect_mutagen.parsers import GgufHeader, Header, SafetensorsHeader, UnknownHeader
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.facts import whole_number
from prefect_mutagen.scanner.content.shard_index import ShardIndex
from prefect_mutagen.scanner.examine.naming import listed, some_of
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.listing.shards import (
    ShardName,
    is_named_for_llama,
    rank_name,
    shard_name,
)

__all__ = [
    "Shard",
    "are_ranks",
    "check_set",
    "check_split_name",
]


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a set and its header."""

    name: str
    """Path relative to the folder of the set."""
    url: str
    header: Header | None

    @property
    def sound(self) -> bool:
        """Whether its tensor list is complete and valid."""
        header = self.header
        if header is None or isinstance(header, UnknownHeader) or not header.complete:
            return False
        return all(error.severity != "error" for error in header.errors)

    @property
    def has_tensors(self) -> bool:
        """Whether its header lists any tensor."""
        header = self.header
        return isinstance(header, (GgufHeader, SafetensorsHeader)) and len(header.tensors) > 0

    def tensors(self) -> list[str]:
        """Return the names of its tensors."""
        if isinstance(self.header, SafetensorsHeader):
            return self.header.tensors.names()
        if isinstance(self.header, GgufHeader):
            return [tensor.name for tensor in self.header.tensors]
        return []


def are_ranks(shards: Sequence[Shard], index: ShardIndex | None) -> bool:
    """Whether each shard is one process's slice of all tensors, rather than some of the tensors."""
    return index is None and bool(shards) and rank_name(shards[0].name) is not None


def check_set(
    shards: Sequence[Shard], index: ShardIndex | None, url: str, *, all_found: bool = True
) -> Iterator[Finding]:
    """Run all checks that need no further reads.

    Args:
        shards: The files found.
        index: Their index, if there is one; otherwise file names decide.
        url: Address of the set.
        all_found: Whether all shards were looked for; otherwise none is reported as missing.
    """
    if index is not None:
        checks = _check_index(index, shards, url)
    elif are_ranks(shards, index):
        checks = _check_ranks(shards, url)
    else:
        checks = _check_numbering(shards, url)
    for finding in checks:
        if all_found or finding.code != "set/missing-shard":
            yield finding
    yield from _check_splits(shards, url)
    if not are_ranks(shards, index):
        yield from _check_names(shards)


def _check_numbering(shards: Sequence[Shard], url: str) -> Iterator[Finding]:
    named = [(shard, name) for shard in shards if (name := _numbered(shard)) is not None]
    if not named:
        return
    count = max(name.total for _, name in named)
    numbers = {name.number for _, name in named}
    first = _first_number(shards, numbers, count)
    last = first + count - 1
    absent = count - sum(first <= number <= last for number in numbers)
    if absent:
        missing = (str(number) for number in range(first, last + 1) if number not in numbers)
        message = f"missing shards: {some_of(missing, absent)} of {count}"
        yield make_finding("set/missing-shard", message, url=url, field="file name")
    for shard, name in named:
        if not first <= name.number < first + name.total:
            message = f"{shown(shard.name)} has a shard number outside {first} to {last}"
            yield make_finding("set/split-mismatch", message, url=shard.url, field="file name")
    for shard, name in named:
        if shard.name.lower().endswith(".gguf") and not is_named_for_llama(shard.name):
            expected = f"{name.stem}-{name.number:05d}-of-{name.total:05d}.gguf"
            message = f"llama.cpp looks for {shown(expected)}, not {shown(shard.name)}"
            yield make_finding("set/split-name", message, url=url, field="file name")
            return  # the names of one set are of one kind


def _first_number(shards: Sequence[Shard], numbers: set[int], count: int) -> int:
    """Return the number of the first shard: 0 as some frameworks count, 1 otherwise."""
    is_gguf = any(isinstance(shard.header, GgufHeader) for shard in shards)
    return 0 if 0 in numbers and count not in numbers and not is_gguf else 1


def _numbered(shard: Shard) -> ShardName | None:
    return shard_name(shard.name.rpartition("/")[2])


def _check_ranks(shards: Sequence[Shard], url: str) -> Iterator[Finding]:
    """Check the files of parallel processes: neither a process nor a part of one may be missing.

    The names do not say how many parts a process has written, and most do not say how many
    processes there were.
    """
    parts: dict[int, dict[int, Shard]] = {}
    names = [name for name in (rank_name(shard.name) for shard in shards) if name is not None]
    for name, shard in zip(names, shards, strict=True):
        parts.setdefault(name.rank, {})[name.part] = shard
    stated = names[0].ranks
    count = stated or max(parts) + 1
    yield from _check_gaps(parts, count, f"missing ranks, of {count}", url)
    for rank, files in sorted(parts.items()):
        if rank >= count:
            message = f"rank {rank} is outside 0 to {count - 1}"
            yield make_finding("set/split-mismatch", message, url=url, field="file name")
        yield from _check_gaps(files, max(files) + 1, f"missing parts of rank {rank}", url)
        yield from _check_names(files.values())
    if names[0].has_parts and all(shard.sound for shard in shards):
        yield from _compare_ranks(parts, url)


def _check_gaps(found: Collection[int], count: int, what: str, url: str) -> Iterator[Finding]:
    absent = count - sum(number < count for number in found)
    if absent:
        missing = (str(number) for number in range(count) if number not in found)
        message = f"{what}: {some_of(missing, absent)}"
        yield make_finding("set/missing-shard", message, url=url, field="file name")


def _compare_ranks(parts: dict[int, dict[int, Shard]], url: str) -> Iterator[Finding]:
    """Check that all ranks of a sharded state hold the same tensors: the last part may be lost."""
    held = {
        rank: {name for shard in files.values() for name in shard.tensors()}
        for rank, files in sorted(parts.items())
    }
    every = set[str]().union(*held.values())
    for rank, names in held.items():
        if absent := sorted(every - names):
            message = f"rank {rank} lacks tensors that other ranks have: {listed(absent)}"
            yield make_finding("set/missing-shard", message, url=url, field="tensors")


def _check_splits(shards: Sequence[Shard], url: str) -> Iterator[Finding]:
    """Check the ``split.*`` metadata of GGUF shards."""
    stated_totals: dict[int, str] = {}
    found = 0
    for shard in shards:
        if not isinstance(shard.header, GgufHeader) or not shard.header.complete:
            return  # its own findings tell why; sums would be wrong
        named = _numbered(shard)
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
        message = f"missing shards named by the index: {listed(missing)}"
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
        message = f"the index places tensors here that this file lacks: {listed(absent)}"
        yield make_finding("set/index-mismatch", message, url=shard.url, field="weight_map")
    extra = [tensor for tensor in shard.tensors() if tensor not in expected]
    if extra:
        message = f"this file has tensors that the index does not place here: {listed(extra)}"
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


def _tensors(names: Sequence[str]) -> str:
    noun = "the tensor" if len(names) == 1 else f"{len(names)} tensors:"
    return f"{noun} {listed(names)}"
