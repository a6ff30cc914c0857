"""Who scans a root into a table holds its lease, so that two do not read everything twice.

The holder is named in a numbered file under ``roots/`` of the table. A number is created once, and
the highest one counts: whoever takes over from a holder that has released the lease, or is gone,
creates the next number and never replaces a file. Only lower numbers are deleted, so numbers never
begin again.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

from prefect_mutagen.scanner.claimants import Claimant, this_claimant
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.table.json_files import JsonFiles
from prefect_mutagen.scanner.table.leases import Leases

__all__ = ["Holder", "IfBusy", "RootLease", "hold_root"]

IfBusy = Literal["wait", "skip", "scan"]
"""What to do while another scan holds the root: wait for its end, do nothing, scan all the same."""

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
"""Seconds between two looks at a lease that is held: what a wait may cost beyond its reason."""
_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who scans a root."""

    source: str
    claimant: Claimant
    since: datetime

    def describe(self) -> str:
        """Return one sentence for people."""
        seconds = max(0.0, (datetime.now(UTC) - self.since).total_seconds())
        lasting = f"{seconds:.0f} s" if seconds < 2 * _MINUTE else f"{seconds / _MINUTE:.0f} min"
        return (
            f"{self.source} has been scanned by {self.claimant.describe()} for {lasting}, "
            f"since {self.since:%Y-%m-%d %H:%M:%S} UTC"
        )


class RootLease:
    """The lease on one root, for this process; a context manager that releases it."""

    def __init__(
        self,
        table: Address,
        folder: str,
        source: str,
        options: Mapping[str, Any] | None = None,
        flow_run: str = "",
    ) -> None:
        """Prepare to hold the lease; neither it nor the table has to exist.

        Args:
            table: Address of the table.
            folder: Name of the root's folder in the table.
            source: The root, without secrets.
            options: Options for fsspec's file system.
            flow_run: Id of the flow run that scans; empty outside of flows.

        Raises:
            StorageError: The kind of storage is unknown.
        """
        self._files = JsonFiles(table, f"roots/{folder}", "the lease on the root", options)
        self._leases = Leases(table, options)
        self._source, self._claimant = source, this_claimant(flow_run)
        self._held = ExitStack()
        self._name = ""

    def __enter__(self) -> Self:
        """Return the lease, held or not."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lease."""
        self.release()

    def acquire(self) -> Holder | None:
        """Try to get the lease.

        Returns:
            Who holds it; None if this process does now.

        Raises:
            StorageError: The lease cannot be read or written.
        """
        while True:
            newest = max(self._numbers(), default=0)
            record = self._files.read(_name(newest)) if newest else {}
            if record is None:
                continue  # deleted meanwhile: there is a higher one
            if self._name and record.get("lease") == self._name:
                return None  # created in an attempt that was cut short
            holder = self._find_holder(record)
            if holder is not None:
                return holder
            if record:
                self._sweep()
            if not self._name:
                self._name = self._held.enter_context(self._leases.hold(self._claimant))
            own = {"lease": self._name, "since": datetime.now(UTC).isoformat()}
            # Who was slow may create a number that was used and deleted: the highest counts.
            if self._files.create(_name(newest + 1), own) and self._is_newest(newest + 1):
                return None

    def release(self) -> None:
        """Let others have the lease; does nothing if it is not held."""
        self._name = ""
        self._held.close()

    def _numbers(self) -> list[int]:
        return [int(name) for name in self._files.names() if name.isdecimal()]

    def _is_newest(self, number: int) -> bool:
        """Whether there is no higher number; lower ones are deleted."""
        numbers = self._numbers()
        highest = max(numbers, default=0)
        with suppress(StorageError):  # they are of no use, and do no harm
            for lower in numbers:
                if lower < highest:
                    self._files.delete(_name(lower))
        return number == highest

    def _sweep(self) -> None:
        """Delete what holders that are gone left."""
        with suppress(StorageError):
            self._leases.sweep()
            self._files.sweep_unfinished()

    def _find_holder(self, record: Mapping[str, Any]) -> Holder | None:
        """Return the holder that a record names, if it has not released the lease and lives."""
        name = record.get("lease")
        if not isinstance(name, str) or not name or "/" in name:
            return None
        lease = self._leases.find(name)
        if lease is None or not lease.is_alive:
            return None
        try:
            since = datetime.fromisoformat(record["since"]).astimezone(UTC)
        except (KeyError, TypeError, ValueError):
            since = lease.renewed_at
        return Holder(self._source, lease.claimant, since)


def _name(number: int) -> str:
    return f"{number:08}"


def hold_root(lease: RootLease, if_busy: IfBusy, tell: Callable[[str], None]) -> Holder | None:
    """Get the lease on a root, as far as that is wanted.

    A lease that cannot be read or written is told, and no reason not to scan: then two scans at
    once do the work twice, and both are right.

    Args:
        lease: The lease.
        if_busy: What to do while somebody else holds it.
        tell: Called with a sentence for people: who holds it, and what is done.

    Returns:
        The holder, if there is nothing to be done; None if the root is to be scanned now.
    """
    pause, told = _FIRST_PAUSE, None
    try:
        while (holder := lease.acquire()) is not None:
            if if_busy == "skip":
                lease.release()
                return holder
            if if_busy == "scan":
                lease.release()
                tell(f"{holder.describe()}; it is scanned twice at the same time")
                return None
            if told != holder.claimant:
                tell(f"{holder.describe()}; waiting for that scan to end")
                told = holder.claimant
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    except StorageError as problem:
        lease.release()
        tell(f"other scans of the same root are not kept from starting meanwhile: {problem}")
    except BaseException:
        lease.release()
        raise
    return None
