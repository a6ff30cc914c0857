"""What a synthetic bucket holds: objects written down one by one, or drawn from their number.

Keys are a sorted sequence that can be searched by halving; of a million of them none is kept.
"""

import bisect
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, overload

from tests.builders import safetensors

__all__ = ["Body", "Content", "ManyModels", "Written"]

MODIFIED = 1_700_000_000.0


@dataclass(frozen=True, slots=True)
class Body:
    """An object: what it begins with, and how long it is; the rest of it is zeros."""

    data: bytes
    size: int
    etag: str
    storage_class: str = "STANDARD"
    version: str = ""
    modified: float = MODIFIED

    def piece(self, start: int, end: int) -> bytes:
        known = self.data[start:end]
        return known + bytes(end - start - len(known))


class Content(Protocol):
    """Keys in order, and what is behind one."""

    def keys(self) -> Sequence[str]: ...

    def find(self, key: str) -> Body | None: ...


class Written:
    """Objects that a test puts there, replaces and deletes."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self._bodies: dict[str, Body] = {}
        self._versions: dict[tuple[str, str], Body] = {}
        for key, data in (files or {}).items():
            self.put(key, data)

    def put(
        self,
        key: str,
        data: bytes,
        *,
        size: int | None = None,
        storage_class: str = "STANDARD",
        etag: str = "",
        modified: float = MODIFIED,
    ) -> None:
        version = f"v{len(self._versions) + 1}"
        etag = etag or f"{zlib.crc32(data):08x}-{version}"
        length = len(data) if size is None else size
        body = Body(data, length, etag, storage_class, version, modified)
        self._bodies[key] = body
        self._versions[key, version] = body

    def delete(self, key: str) -> None:
        del self._bodies[key]

    def keys(self) -> Sequence[str]:
        return sorted(self._bodies, key=lambda key: key.encode())

    def find(self, key: str, version: str = "") -> Body | None:
        return self._versions.get((key, version)) if version else self._bodies.get(key)


class _Numbered(Sequence[str]):
    """``folder/config.json`` and the models of that folder, folder after folder."""

    def __init__(self, models: int, folder: int, suffix: str) -> None:
        self._models, self._folder, self._suffix = models, folder, suffix

    def __len__(self) -> int:
        return self._models + -(-self._models // self._folder)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        folder, place = divmod(index, self._folder + 1)
        if not place:
            return f"models/{folder:06}/config.json"
        return f"models/{folder:06}/model-{place:06}{self._suffix}"


class ManyModels:
    """As many models as wanted, of a few headers in turn."""

    def __init__(
        self,
        models: int,
        headers: Sequence[bytes],
        *,
        suffix: str = ".safetensors",
        size: int = 1 << 30,
        folder: int = 1000,
        replaced: int = 0,
    ) -> None:
        """Draw a bucket.

        Args:
            models: How many.
            headers: What they begin with, in turn.
            suffix: How their names end.
            size: Bytes of each.
            folder: Models of a folder; each has a config.json besides.
            replaced: One of so many was uploaded again; 0 for none.
        """
        self._keys = _Numbered(models, folder, suffix)
        self._headers = [
            Body(data, max(size, len(data)), f"{zlib.crc32(data):08x}") for data in headers
        ]
        self._replaced = replaced
        self._config = Body(b'{"model_type": "llama"}', 23, "c0")

    def keys(self) -> Sequence[str]:
        return self._keys

    def find(self, key: str) -> Body | None:
        place = bisect.bisect_left(self._keys, key)
        if place == len(self._keys) or self._keys[place] != key:
            return None
        if key.endswith("config.json"):
            return self._config
        body = self._headers[place % len(self._headers)]
        if self._replaced and place % self._replaced == 1:
            return replace(body, etag=f"{body.etag}-again")
        return body


def small_safetensors(tensors: int) -> tuple[bytes, int]:
    """Give a safetensors header of so many tensors, and the size of its whole file."""
    entries = [
        f'"model.layers.{number}.weight":{{"dtype":"F16","shape":[64,64],'
        f'"data_offsets":[{number * 8192},{(number + 1) * 8192}]}}'
        for number in range(tensors)
    ]
    return safetensors("{%s}" % ",".join(entries), 0), tensors * 8192
