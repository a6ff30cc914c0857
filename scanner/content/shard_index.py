"""The index of a sharded safetensors model: which shard holds which tensor.

``NAME.safetensors.index.json`` as transformers and diffusers write it: ``weight_map`` from tensor
to shard, and ``metadata.total_size`` in bytes of tensor data. A loader joins a shard's name to the
folder as it stands, so a name that leads elsewhere is refused here.
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
"""Bytes an index may have; the largest known ones have 13 MB."""
_TENSORS: Final = 1 << 19
_BRACKETS: Final = 1 << 10
_ELSEWHERE: Final = frozenset("/\\:")


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """What an index says."""

    weight_map: Mapping[str, str]
    """For each tensor, the file that holds it."""
    total_size: int | None = None
    """Bytes of all tensors' data, where stated."""
    sha256: str = ""
    """SHA-256 of the index itself."""

    def shards(self) -> list[str]:
        """Name all files, sorted."""
        return sorted(set(self.weight_map.values()))


def read_index(raw: bytes) -> tuple[ShardIndex | None, str]:
    """Read an index.

    Args:
        raw: Its bytes, no more than `INDEX_LIMIT`.

    Returns:
        What it says, or None; and what is wrong with it in a clause, or the empty text.
    """
    # A look at the raw bytes bounds what the generic parser can make of them.
    if raw.count(b",") > _TENSORS + _BRACKETS or raw.count(b"[") + raw.count(b"{") > _BRACKETS:
        return None, "it has more values than an index has"
    loaded = load_json(raw)
    if loaded.problem:
        return None, loaded.problem
    if loaded.twice:
        return None, f"the key {shown(loaded.twice)} stands twice"
    weights = loaded.values.get("weight_map")
    if not isinstance(weights, dict):
        return None, "it has no weight_map"
    weight_map: dict[str, str] = {}
    for tensor, shard in weights.items():
        if not isinstance(shard, str) or not shard:
            return None, f"weight_map gives no file for the tensor {shown(tensor)}"
        if not _ELSEWHERE.isdisjoint(shard) or shard in (".", ".."):
            return None, f"weight_map names a file outside the folder: {shown(shard)}"
        weight_map[tensor] = sys.intern(shard)
    metadata = loaded.values.get("metadata")
    total = whole_number(metadata.get("total_size")) if isinstance(metadata, dict) else None
    return ShardIndex(weight_map, total, hashlib.sha256(raw).hexdigest()), ""
