"""Parse the names of files that are parts of one model: numbered shards, ranks, and indexes.

Numbered shards are named as by llama.cpp (``%s-%05d-of-%05d.gguf``) and transformers
(``model-00001-of-00002.safetensors``, pickles as ``.bin``), with a variant behind the numbers or in
the stem. Other writers take fewer or more digits, and underscores. Ranks are the files that
parallel processes have written, each a slice of all tensors:

* ``model-rank-0-part-0.safetensors``: vLLM's ``sharded_state``,
* ``model0-mp8.safetensors``: the converters of DeepSeek's models,
* ``consolidated.00.safetensors``: Meta's layout,
* ``rank0.safetensors``: TensorRT-LLM's checkpoints,
* ``tp0_sharded_checkpoint.safetensors``: neuronx-distributed.

An index is ``NAME.safetensors.index.json``, with a variant before or after ``index``.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = [
    "RankName",
    "ShardName",
    "index_stem",
    "is_named_for_llama",
    "numbered_set",
    "rank_name",
    "shard_name",
    "siblings",
]

# A file name may contain line breaks. Six digits number a million shards.
_SHARD: Final = re.compile(
    r"(?:(?P<stem>.+)[-_.])?(?P<number>[0-9]{1,6})(?P<of>[-_.]of[-_.])(?P<count>[0-9]{1,6})"
    r"(?P<variant>\.[\w-]+)?\.(?:gguf|safetensors|bin)",
    re.IGNORECASE | re.DOTALL,
)
_SHARD_MARK: Final = "of"
_LLAMA: Final = re.compile(r".*-[0-9]{5}-of-[0-9]{5}\.gguf", re.DOTALL)
_RANKS: Final = (
    re.compile(
        r"(?P<stem>.+)-rank-(?P<rank>[0-9]{1,6})-part-(?P<part>[0-9]{1,6})\.safetensors", re.DOTALL
    ),
    re.compile(
        r"(?P<stem>.+?)(?P<rank>[0-9]{1,6})-mp(?P<ranks>[0-9]{1,6})\.safetensors", re.DOTALL
    ),
    re.compile(r"(?P<stem>consolidated)\.(?P<rank>[0-9]{2,6})\.safetensors"),
    re.compile(r"(?P<stem>rank)_?(?P<rank>[0-9]{1,6})\.safetensors"),
    re.compile(r"(?P<stem>tp)_?(?P<rank>[0-9]{1,6})_sharded_checkpoint\.safetensors"),
)
_RANK_MARKS: Final = ("rank", "-mp", "consolidated.", "_sharded_")
_INDEX: Final = re.compile(
    r"(?P<stem>.+)\.safetensors\.index(?P<variant>\.[\w-]+)?\.json", re.DOTALL
)


class ShardName(NamedTuple):
    """Parts of a numbered shard's file name."""

    stem: str
    """Name that all shards of the set share, without numbers."""
    number: int
    """Position in the set, from 1; some writers count from 0."""
    total: int
    """Number of shards in the set."""


class RankName(NamedTuple):
    """Parts of the name of a file that one of several parallel processes has written."""

    stem: str
    """Name that all files of the set share."""
    rank: int
    """Number of the process, from 0."""
    part: int
    """Position among the files of this process, from 0."""
    ranks: int
    """Number of processes; 0 if the name does not say it."""
    has_parts: bool
    """Whether a process may have written several files, each with some of its tensors."""
    set: str
    """What the names of one set have in common, and those of no other set in the folder."""


def shard_name(name: str) -> ShardName | None:
    """Parse the name of a numbered shard; None for any other name."""
    match = _match(name)
    if match is None:
        return None
    return ShardName(_stem(match), int(match["number"]), int(match["count"]))


def numbered_set(name: str) -> str:
    """Return what the names of a numbered set have in common; empty if it is no shard's name."""
    match = _match(name)
    if match is None:
        return ""
    suffix, start = name.rpartition(".")[2].lower(), match.start("number")
    separator = name[start - 1 : start] if start else ""
    return f"{_stem(match)}/{suffix}/{separator}{match['of'].lower()}{match['count']}"


def siblings(name: str) -> Iterator[str]:
    """Yield the names of all shards of a numbered shard's set; nothing for any other name."""
    match = _match(name)
    if match is None:
        return
    number = match["number"]
    start, end = match.span("number")
    for position in range(min(1, int(number)), int(match["count"]) + 1):
        yield f"{name[:start]}{position:0{len(number)}d}{name[end:]}"


def is_named_for_llama(name: str) -> bool:
    """Whether llama.cpp, which prints five digits, would find the other shards of this file."""
    return _LLAMA.fullmatch(name) is not None


def rank_name(name: str) -> RankName | None:
    """Parse the name of a file that one of several processes has written; None for any other."""
    if not any(mark in name for mark in _RANK_MARKS):
        return None
    for number, pattern in enumerate(_RANKS):
        match = pattern.fullmatch(name)
        if match is not None:
            values = match.groupdict()
            ranks = values.get("ranks") or "0"
            return RankName(
                values["stem"],
                int(values["rank"]),
                int(values.get("part") or 0),
                int(ranks),
                "part" in values,
                f"{values['stem']}/ranks/{number}.{ranks}",
            )
    return None


def index_stem(name: str) -> str | None:
    """Return the stem of an index's name, with its variant; None if it is no index."""
    match = _INDEX.fullmatch(name)
    return None if match is None else match["stem"] + (match["variant"] or "")


def _match(name: str) -> re.Match[str] | None:
    return _SHARD.fullmatch(name) if _SHARD_MARK in name.lower() else None


def _stem(match: re.Match[str]) -> str:
    return (match["stem"] or "") + (match["variant"] or "")
