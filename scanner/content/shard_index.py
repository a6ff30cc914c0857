"""Read the index of a sharded safetensors model, which maps tensors to shards.

``NAME.safetensors.index.json`` as transformers and diffusers write it: ``weight_map`` from tensor
to shard, and ``metadata.total_size`` in bytes of tensor data. An index means the files that it
names, whatever their names. Loaders join a name to the folder unchecked, so a name that leads
outside the folder is refused here, however it is written.

The largest known model has half a million tensors, and an index of 56 MB. More than the limits
below is beyond this tool, and no fault of the file.
"""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.facts import whole_number
from prefect_mutagen.scanner.content.safe_load import load_json

__all__ = ["INDEX_LIMIT", "IndexReading", "ShardIndex", "read_index", "too_long"]

INDEX_LIMIT: Final = 128 << 20
"""Most bytes of an index that is read."""
_VALUE_LIMIT: Final = 1 << 20
"""Most values of an index; as many tensors as the header of one file may have."""
_FILE_LIMIT: Final = 10_000
"""Most files that an index may name."""
_FORBIDDEN: Final = frozenset("\\:\0")


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Contents of an index."""

    weight_map: Mapping[str, str]
    """File that holds each tensor: a path relative to the index, without ``.`` and ``..``."""
    total_size: int | None = None
    """Size of all tensors' data in bytes, if stated."""
    sha256: str = ""
    """SHA-256 of the index file."""

    def shards(self) -> list[str]:
        """Return the paths of all shards, sorted."""
        return sorted(set(self.weight_map.values()))


class IndexReading(NamedTuple):
    """An index, or why there is none."""

    contents: ShardIndex | None
    problem: str = ""
    """A clause; empty if there is an index."""
    is_limit: bool = False
    """Whether the problem is a limit of this tool."""


def too_long(size: int) -> str:
    """Return the clause that an index has more bytes than are read; empty if it has not."""
    if size <= INDEX_LIMIT:
        return ""
    return f"it has {size:,} bytes, and this tool reads at most {INDEX_LIMIT:,}"


def read_index(raw: bytes) -> IndexReading:
    """Parse an index.

    Args:
        raw: Its bytes, at most `INDEX_LIMIT`.

    Returns:
        The index, or its problem.
    """
    # Counting separators first bounds the memory that the JSON parser can take.
    values = raw.count(b",") + raw.count(b"[") + raw.count(b"{")
    if values > _VALUE_LIMIT:
        problem = f"it has about {values:,} values, and this tool reads at most {_VALUE_LIMIT:,}"
        return IndexReading(None, problem, is_limit=True)
    loaded = load_json(raw, bounded=False)
    if loaded.problem:
        return IndexReading(None, loaded.problem)
    if loaded.duplicate:
        return IndexReading(None, f"the key {shown(loaded.duplicate)} appears twice")
    weights = loaded.values.get("weight_map")
    if not isinstance(weights, dict):
        return IndexReading(None, "it has no weight_map")
    weight_map: dict[str, str] = {}
    paths: dict[str, str] = {}
    for tensor, shard in weights.items():
        if not isinstance(shard, str) or not shard:
            problem = f"weight_map names no file for the tensor {shown(tensor)}"
            return IndexReading(None, problem)
        path = paths.get(shard)
        if path is None:
            if len(paths) >= _FILE_LIMIT:
                problem = f"it names more than {_FILE_LIMIT:,} files, and no more are examined"
                return IndexReading(None, problem, is_limit=True)
            path = paths[shard] = _path_inside(shard)
        if not path:
            return IndexReading(None, f"weight_map names a file outside the folder: {shown(shard)}")
        weight_map[tensor] = path
    metadata = loaded.values.get("metadata")
    total = whole_number(metadata.get("total_size")) if isinstance(metadata, dict) else None
    return IndexReading(ShardIndex(weight_map, total, hashlib.sha256(raw).hexdigest()))


def _path_inside(shard: str) -> str:
    """Return a shard's path inside the folder; empty if it leads, or may lead, elsewhere.

    A backslash separates folders on Windows, a colon follows a drive or a scheme, and servers read
    ``%2e`` as a dot.
    """
    if shard.startswith("/") or shard.endswith("/") or not _FORBIDDEN.isdisjoint(shard):
        return ""
    parts = [part for part in shard.split("/") if part not in ("", ".")]
    if any(part.lower().replace("%2e", ".") in (".", "..") for part in parts):
        return ""
    return sys.intern("/".join(parts))
