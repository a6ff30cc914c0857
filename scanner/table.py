"""The table of all scans: plain Parquet in three parts, each file immutable, whole or not there.

``artifacts/``  a file per scan that changed anything: a row for every artifact, so the newest file
                is the state and all of them are the history; what is gone is there once more, as
                ``removed``.
``sboms/``      the documents of what was new or changed, once each.
``scans/``      a row per scan, also for one that found nothing new.

Each part has a folder per root, named by a digest of the root's address. Files are named by the
scan, whose name sorts by time. ``scans/`` is written last: what it names is there.
"""

import contextlib
import hashlib
import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from prefect_mutagen.scanner.results import ScanInfo, ScanResult, Summary
from prefect_mutagen.scanner.storage import StorageError, clean_url, split_url, storable

__all__ = ["Table"]

_BATCH: Final = 1000


class Table:
    """The table at one address, for one root."""

    def __init__(self, url: str, source: str, options: Mapping[str, Any] | None = None) -> None:
        """Open it; it need not exist yet.

        Args:
            url: A folder, local or in any storage that fsspec can write to.
            source: The root that is scanned.
            options: Options for fsspec's file system.

        Raises:
            StorageError: There is no such kind of storage.
        """
        import fsspec

        self.url = clean_url(url)
        self.source = clean_url(source)
        address = self.source.encode("utf-8", "surrogateescape")
        self._folder = hashlib.sha256(address).hexdigest()[:16]
        try:
            self._fs, self._path = fsspec.core.url_to_fs(
                url, use_listings_cache=False, **(options or {})
            )
        except (ImportError, TypeError, ValueError):
            raise StorageError(
                "storage/unsupported", self.url, "no table can be kept there"
            ) from None
        self._local = split_url(url).scheme in ("file", "local")

    def read_state(self) -> dict[str, ScanResult]:
        """Read the newest state of the root.

        Returns:
            Results by `storable` address, the documents' metadata left out; empty without a scan
            before.

        Raises:
            StorageError: The table is there but cannot be read.
        """
        import pyarrow.parquet as pq

        from prefect_mutagen.scanner.table_rows import from_row

        newest = self._newest("artifacts")
        if newest is None:
            return {}
        with self._storage_errors("read"):
            rows = pq.read_table(newest, filesystem=self._fs).to_pylist()
        results = (from_row(row) for row in rows)
        return {result.url: result for result in results if result.drift != "removed"}

    def newest_scan(self) -> str:
        """Give the id of the scan that wrote the newest state; empty without one."""
        newest = self._newest("artifacts")
        return os.path.basename(newest).removesuffix(".parquet") if newest else ""

    def _newest(self, part: str) -> str | None:
        folder = f"{self._path}/{part}/{self._folder}"
        try:
            with self._storage_errors("read"):
                names = self._fs.ls(folder, detail=False)
        except StorageError as problem:
            if problem.code == "storage/not-found":
                return None
            raise
        return max((name for name in names if name.endswith(".parquet")), default=None)

    def write(
        self,
        scan: ScanInfo,
        results: Iterable[ScanResult],
        before: Mapping[str, ScanResult],
        summary: Summary,
    ) -> dict[str, int]:
        """Publish a scan.

        Args:
            scan: What was asked.
            results: One result for every artifact, its drift set.
            before: The state that `read_state` gave before the scan.
            summary: The scan's counts.

        Returns:
            How many artifacts were added, changed, removed and unchanged.

        Raises:
            StorageError: The table cannot be written; nothing of this scan is in it then.
        """
        from prefect_mutagen.scanner.table_rows import (
            ARTIFACTS,
            SBOMS,
            SCANS,
            sbom_row,
            scan_row,
            to_row,
        )

        drift: Counter[str] = Counter()
        with tempfile.TemporaryDirectory(prefix="mutagen-") as folder:
            artifacts = _Spool(os.path.join(folder, "artifacts"), ARTIFACTS)
            documents = _Spool(os.path.join(folder, "sboms"), SBOMS)
            seen: set[str] = set()
            differs = False
            for result in results:
                key = storable(result.url)
                seen.add(key)
                drift[result.drift or "added"] += 1
                known = before.get(key)
                artifacts.add(to_row(result, scan))
                if known is None or _document_differs(known, result):
                    documents.add(sbom_row(result, scan))
                differs = differs or known is None or _row_differs(known, result)
            for url, gone in before.items():
                if url not in seen:
                    drift["removed"] += 1
                    artifacts.add(to_row(replace(gone, drift="removed"), scan))
            artifacts.close()
            documents.close()
            state = scan.id
            if documents.rows:
                self._publish(documents.path, "sboms", scan.id)
            if differs or drift["removed"]:
                self._publish(artifacts.path, "artifacts", scan.id)
            else:
                state = self.newest_scan()
            scans = _Spool(os.path.join(folder, "scans"), SCANS)
            scans.add(scan_row(scan, summary, drift, state))
            scans.close()
            self._publish(scans.path, "scans", scan.id)
        return dict(drift)

    def _publish(self, path: str, part: str, name: str) -> None:
        folder = f"{self._path}/{part}/{self._folder}"
        target = f"{folder}/{name}.parquet"
        with self._storage_errors("written"):
            if not self._local:
                self._fs.put_file(path, target)
                return
            os.makedirs(folder, exist_ok=True)
            hidden = f"{folder}/.{name}.{secrets.token_hex(4)}.tmp"
            try:
                with open(path, "rb") as source, open(hidden, "wb") as copy:
                    while piece := source.read(1 << 20):
                        copy.write(piece)
                    copy.flush()
                    os.fsync(copy.fileno())
                os.rename(hidden, target)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(hidden)
                raise

    @contextlib.contextmanager
    def _storage_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            reason = f"the table cannot be {what}: there is no such place"
            raise StorageError("storage/not-found", self.url, reason) from None
        except PermissionError:
            reason = f"the table cannot be {what}: permission denied"
            raise StorageError("storage/denied", self.url, reason) from None
        except Exception as problem:  # noqa: BLE001 - each storage has errors of its own
            detail = getattr(problem, "strerror", None) or type(problem).__name__
            reason = f"the table cannot be {what}: {detail}"
            raise StorageError("storage/failed", self.url, reason) from None


def _row_differs(known: ScanResult, result: ScanResult) -> bool:
    return (known.pin, known.verdict, known.sbom.sha256, known.sbom.tool_version) != (
        result.pin,
        result.verdict,
        result.sbom.sha256,
        result.sbom.tool_version,
    )


def _document_differs(known: ScanResult, result: ScanResult) -> bool:
    return (known.pin, known.sbom.sha256, known.sbom.tool_version) != (
        result.pin,
        result.sbom.sha256,
        result.sbom.tool_version,
    )


class _Spool:
    """A Parquet file that grows in a temporary folder, a thousand rows at a time."""

    def __init__(self, path: str, schema: Any) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        self.rows = 0
        self._schema = schema
        self._pending: list[dict[str, Any]] = []
        self._to_table = pa.Table.from_pylist
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def add(self, row: dict[str, Any]) -> None:
        self.rows += 1
        self._pending.append(row)
        if len(self._pending) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_table(self._to_table(self._pending, schema=self._schema))
            self._pending = []

    def close(self) -> None:
        self._flush()
        self._writer.close()
