"""All object versions in a bucket, and one version by its address.

The latest version of an object is listed as usual. An older version of a model file has its own
address, ``s3://bucket/key?versionId=ID``, and is an artifact of its own: shards and neighbours have
no common history.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from prefect_mutagen.parsers.detect import format_of
from prefect_mutagen.scanner.storage.address import Address, split_version, versioned
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.pacing import repeat
from prefect_mutagen.scanner.storage.s3 import S3Store
from prefect_mutagen.scanner.storage.store import StoredObject, Wanted

__all__ = ["S3VersionStore"]


class S3VersionStore(S3Store):
    """A bucket, a prefix, or one version of one object."""

    def __init__(self, address: Address, options: Mapping[str, Any]) -> None:
        """Open it; see `S3Store`."""
        super().__init__(address, options)
        self._version = address.version

    def list_objects(self, wanted: Wanted, after: str = "") -> Iterator[StoredObject]:
        """See `Store.list_objects`; older versions included."""
        if self._version:
            yield asyncio.run_coroutine_threadsafe(self.find(self.root), self.loop).result()
            return
        prefix = self._key if self._key.endswith("/") or not self._key else f"{self._key}/"
        seen = False
        for entry in self._versions(prefix):
            seen = True
            name = entry["Key"].rpartition("/")[2]
            if entry.get("IsLatest"):
                if name and wanted(entry["Key"], entry["Size"]):
                    yield self._describe(entry)
            elif format_of(name) is not None:
                yield self._describe_version(entry)
        if self._key and not seen and not after:
            raise StorageError(
                "storage/not-found", self.root, "there are no versions under this prefix"
            )

    def _versions(self, prefix: str) -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix}
        while True:
            work = repeat(lambda: self._call("list_object_versions", self.root, request), self.root)
            page = asyncio.run_coroutine_threadsafe(work, self.loop).result()
            yield from page.get("Versions") or []
            if not page.get("IsTruncated"):
                return
            request["KeyMarker"] = page["NextKeyMarker"]
            request["VersionIdMarker"] = page["NextVersionIdMarker"]

    def _describe_version(self, entry: Mapping[str, Any]) -> StoredObject:
        item = self._describe(entry)
        version = str(entry["VersionId"])
        url = versioned(f"s3://{self._bucket}/{entry['Key']}", version)
        return item._replace(url=url, pin=f"version:{version}")

    async def find(self, url: str) -> StoredObject:
        """See `Store.find`."""
        _, version = split_version(url)
        if not version:
            return await super().find(url)
        key = self._key_of(url)
        request = {"Bucket": self._bucket, "Key": key, "VersionId": version}
        head = await self._call("head_object", url, request)
        entry = {**head, "Key": key, "Size": head["ContentLength"], "VersionId": version}
        return self._describe_version(entry)

    async def is_newest(self, item: StoredObject) -> bool:
        """See `VersionedStore.is_newest`; nothing is if a delete marker is the newest."""
        request = {"Bucket": self._bucket, "Key": self._key_of(item.url)}
        try:
            head = await self._call("head_object", item.url, request)
        except StorageError as problem:
            if problem.code == "storage/not-found":
                return False
            raise
        return bool(head.get("VersionId") == item.version)
