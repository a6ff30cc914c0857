"""Read the index of a sharded safetensors model, which maps tensors to shards.

``NAME.safetensors.index.json`` as transformers and diffusers write it: ``weight_map`` from tensor
to shard, and ``metadata.total_size`` in bytes of tensor data. Loaders join a shard's name to the
folder unchecked, so a name that leads outside the folder is refused here.
"""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.facts import whole_number
from prefect_mutagen.scanner.content.safe_load import load_json

__all__ = ["INDEX_LIMIT", "ShardIndex", "read_index"]

INDEX_LIMIT: Final = 32 << 20
"""Most bytes of an index; the largest known one has 13 MB."""
_TENSOR_LIMIT: Final = 1 << 19
_BRACKET_LIMIT: Final = 1 << 10
_PATH_CHARACTERS: Final = frozenset("/\\:")


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Contents of an index."""

    weight_map: Mapping[str, str]
    """File name of the shard that holds each tensor."""
    total_size: int | None = None
    """Size of all tensors' data in bytes, if stated."""
    sha256: str = ""
    """SHA-256 of the index file."""

    def shards(self) -> list[str]:
        """Return the names of all shards, sorted."""
        return sorted(set(self.weight_map.values()))


def read_index(raw: bytes) -> tuple[ShardIndex | None, str]:
    """Parse an index.

    Args:
        raw: Its bytes, at most `INDEX_LIMIT`.

    Returns:
        The index, or None; and its problem as a clause, or the empty string.
    """
    # Counting separators first bounds the memory that the JSON parser can take.
    if (
        raw.count(b",") > _TENSOR_LIMIT + _BRACKET_LIMIT
        or raw.count(b"[") + raw.count(b"{") > _BRACKET_LIMIT
    ):
        return None, "it has more values than an index has"
    loaded = load_json(raw)
    if loaded.problem:
        return None, loaded.problem
    if loaded.duplicate:
        return None, f"the key {shown(loaded.duplicate)} appears twice"
    weights = loaded.values.get("weight_map")
    if not isinstance(weights, dict):
        return None, "it has no weight_map"
    weight_map: dict[str, str] = {}
    for tensor, shard in weights.items():
        if not isinstance(shard, str) or not shard:
            return None, f"weight_map names no file for the tensor {shown(tensor)}"
        if not _PATH_CHARACTERS.isdisjoint(shard) or shard in (".", ".."):
            return None, f"weight_map names a file outside the folder: {shown(shard)}"
        weight_map[tensor] = sys.intern(shard)
    metadata = loaded.values.get("metadata")
    total = whole_number(metadata.get("total_size")) if isinstance(metadata, dict) else None
    return ShardIndex(weight_map, total, hashlib.sha256(raw).hexdigest()), ""
