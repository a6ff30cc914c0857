"""Leases of claimants: who is at work on a table, renewed as long as it lives.

A claimant's file lies under ``claimants/`` of the table and says when it was renewed last. On the
same machine the kernel knows better whether it lives (`scanner.claimants`); for another machine the
lease has run out once it was not renewed for `LEASE_SECONDS`, by the clocks of both machines.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prefect_mutagen.scanner.claimants import Claimant
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.table.json_files import JsonFiles

__all__ = ["LEASE_SECONDS", "Lease", "Leases"]

LEASE_SECONDS: Final = 300.0
"""Seconds after the last renewal after which a claimant counts as gone; as Prefect's leases."""
_RENEW_SECONDS: Final = 30.0
"""Nine renewals may fail before the lease runs out."""
_MARGIN_SECONDS: Final = 60.0
"""Seconds before the lease runs out in which its holder ends what it does."""
_OLD_SECONDS: Final = 7 * 86_400.0
"""Seconds after which the file of a claimant that is gone is deleted."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What is known of a claimant."""

    name: str
    """Its name in the table."""
    claimant: Claimant
    renewed_at: datetime

    @property
    def age(self) -> float:
        """Seconds since it was renewed; never negative, for clocks differ."""
        return max(0.0, (datetime.now(UTC) - self.renewed_at).total_seconds())

    @property
    def is_alive(self) -> bool:
        """Whether the claimant lives, by the kernel if it is here, else by its lease."""
        alive = self.claimant.is_alive
        return self.age < LEASE_SECONDS if alive is None else alive


class Leases:
    """The leases of a table."""

    def __init__(self, url: str | Address, options: Mapping[str, Any] | None = None) -> None:
        """Open the leases of a table; neither has to exist yet.

        Args:
            url: Address of the table.
            options: Options for fsspec's file system.

        Raises:
            StorageError: The kind of storage is unknown.
        """
        self._files = JsonFiles(url, "claimants", "the lease", options)

    @contextmanager
    def hold(self, claimant: Claimant, on_lost: Callable[[], Any] = lambda: None) -> Iterator[str]:
        """Hold a lease, renewed by a thread of its own; released at the end.

        Args:
            claimant: Who holds it.
            on_lost: Called in the thread that renews it when it was not renewed for so long that
                others are about to count the claimant as gone.

        Yields:
            The name under which `find` knows it.

        Raises:
            StorageError: It cannot be written. A renewal that fails is tried again.
        """
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(6)}"
        self._write(name, claimant)
        ended = threading.Event()

        def renew() -> None:
            # Of the wall clock, as others see it: a machine may have been asleep.
            renewed = time.time()
            while not ended.wait(_RENEW_SECONDS):
                if time.time() - renewed > LEASE_SECONDS - _MARGIN_SECONDS:
                    on_lost()
                with suppress(StorageError):
                    self._write(name, claimant)
                    renewed = time.time()

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield name
        finally:
            ended.set()
            thread.join()
            with suppress(StorageError):  # it runs out by itself
                self._files.delete(name)

    def find(self, name: str) -> Lease | None:
        """Return a lease; None if it was released, or deleted as old.

        Raises:
            StorageError: It cannot be read.
        """
        found = self._files.read(name)
        if found is None:
            return None
        try:
            renewed = datetime.fromisoformat(found["renewed_at"]).astimezone(UTC)
        except (KeyError, TypeError, ValueError):
            renewed = datetime.fromtimestamp(0, UTC)
        return Lease(name, Claimant.from_plain(found), renewed)

    def sweep(self) -> int:
        """Delete the files of claimants that have been gone for a week.

        Returns:
            How many.

        Raises:
            StorageError: They cannot be read or deleted.
        """
        swept = 0
        for name in self._files.names():
            lease = self.find(name)
            if lease is not None and lease.age > _OLD_SECONDS and not lease.is_alive:
                self._files.delete(name)
                swept += 1
        self._files.sweep_unfinished()
        return swept

    def _write(self, name: str, claimant: Claimant) -> None:
        renewed = datetime.now(UTC).isoformat()
        self._files.replace(name, {**claimant.to_plain(), "renewed_at": renewed})
