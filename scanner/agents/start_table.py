"""The starts of agents as a table: made, waiting, running, interrupted."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.agents.start_record import StartRecord
from prefect_mutagen.scanner.agents.waiting_starts import record_files, waiting_everywhere
from prefect_mutagen.scanner.storage.address import Address

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_starts"]

_TEXTS: Final = (
    *("name", "source", "url", "pin", "agent", "state", "message"),
    *("scan_id", "flow_run", "claimant", "guarantee"),
)
_TIMES: Final = ("claimed_at", "ended_at")


def read_starts(url: str | Address, options: Mapping[str, Any] | None = None) -> "pa.Table":
    """Read all starts of a table.

    Args:
        url: Address of the table.
        options: Options for fsspec's file system.

    Returns:
        A row for each attempt, and for each start that waits. ``state`` is ``waiting``; ``running``
        or ``interrupted`` for a start without an end, by whether its claimant is at work; else how
        it ended. ``scan_id`` is the scan that chose it.

    Raises:
        StorageError: The record cannot be read.
    """
    import pyarrow as pa

    kinds = {name: pa.string() for name in _TEXTS} | {"attempt": pa.int64()}
    schema = pa.schema(kinds | {name: pa.timestamp("us", tz="UTC") for name in _TIMES})
    rows = [*_made(StartRecord(url, options)), *_waiting(url, options)]
    return pa.Table.from_pylist(rows, schema=schema)


def _made(record: StartRecord) -> Iterator[dict[str, Any]]:
    for claim, made, end in record.starts():
        claimant = made.get("claimant")
        claimant = claimant if isinstance(claimant, dict) else {}
        is_open = {"state": "running" if record.is_claimed(made) else "interrupted"}
        said = is_open if end is None else end
        yield {
            **_texts(made, "source", "url", "pin", "agent", "scan_id", "guarantee"),
            **_texts(said, "state", "message"),
            **_texts(claimant, "flow_run"),
            "name": claim.name,
            "attempt": claim.attempt,
            "claimed_at": _moment(made.get("at")),
            "ended_at": _moment(said.get("at")),
            "claimant": f"process {claimant['pid']} on {claimant['host']}" if claimant else None,
        }


def _waiting(url: str | Address, options: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    for scan_id, start in waiting_everywhere(record_files(url, options)):
        yield {
            "name": start.key,
            "url": start.url,
            "pin": start.pin,
            "agent": start.agent or None,
            "state": "waiting",
            "scan_id": scan_id,
        }


def _texts(values: Mapping[str, Any], *names: str) -> dict[str, str | None]:
    return {name: str(values[name]) if values.get(name) else None for name in names}


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
