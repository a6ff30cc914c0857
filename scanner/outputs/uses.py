"""Who used a model: the scans that let it pass, the agents that took it, and how it stands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.agents.start_table import read_starts
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.names import storable

if TYPE_CHECKING:
    from prefect_mutagen.scanner.table.handed_out import Standing

__all__ = ["ModelUse", "describe_uses", "read_uses", "uses_document"]

_LONGEST: Final = 2000
_VERDICTS: Final = {
    "passed": "passes",
    "failed": "is refused",
    "unknown": "could not be examined",
    "removed": "is there no more",
    "": "is in no state of the table that is kept",
}
_TEXTS: Final = ("agent", "state", "message", "pin", "flow_run", "scan_id", "name")


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What is known of one model."""

    url: str
    history: "tuple[Standing, ...]"
    """Each change of verdict or bytes, the oldest first; empty where no state is kept."""
    starts: tuple[Mapping[str, Any], ...]
    """Starts of agents as `read_starts` has them, the oldest first; those that wait last."""

    @property
    def today(self) -> "Standing | None":
        """Return how it stands in the newest state."""
        return self.history[-1] if self.history else None

    @property
    def passes(self) -> "Iterator[tuple[Standing, datetime | None]]":
        """Yield when it passed, and until when; None: it still does."""
        ends = [*(one.since for one in self.history[1:]), None]
        for standing, end in zip(self.history, ends, strict=True):
            if standing.status == "passed":
                yield standing, end


def read_uses(
    url: str | Address, word: str, options: Mapping[str, Any] | None = None
) -> list[ModelUse]:
    """Read who used a model.

    Args:
        url: Address of the table.
        word: Address of the model, or a pin; with a pin, starts that took other bytes are left
            out.
        options: Options for fsspec's file system.

    Returns:
        A record for each model, in order of address; none if the table knows neither.

    Raises:
        StorageError: There is no table, or it cannot be read.
    """
    from prefect_mutagen.scanner.table.handed_out import standings_of
    from prefect_mutagen.scanner.table.roots import tables_of

    history: dict[str, list[Standing]] = {}
    for table in tables_of(url, options):
        for standing in standings_of(table, word):
            history.setdefault(standing.url, []).append(standing)
    asked = {storable(word), word}
    starts: dict[str, list[dict[str, Any]]] = {}
    rows = read_starts(url, options).to_pylist()
    for row in sorted(rows, key=lambda row: str(row["claimed_at"] or "9")):
        if asked & {row["url"], row["pin"]}:
            starts.setdefault(row["url"] or "", []).append(row)
    return [
        ModelUse(one, tuple(history.get(one, ())), tuple(starts.get(one, ())))
        for one in sorted(history.keys() | starts.keys())
    ]


def uses_document(found: list[ModelUse]) -> list[dict[str, Any]]:
    """Return what is known as plain values.

    Args:
        found: From `read_uses`.
    """
    return [_plain(one) for one in found]


def _plain(use: ModelUse) -> dict[str, Any]:
    today = use.today
    return {
        "url": use.url,
        "status": today.status if today else None,
        "refused": today.status in ("failed", "unknown") if today else None,
        "since": _iso(today.since) if today else None,
        "pin": today.pin if today else None,
        "codes": list(today.codes) if today else [],
        "owner": (today.owner if today else "") or None,
        "passed": [
            {
                "scan_id": standing.scan_id,
                "pin": standing.pin,
                "from": _iso(standing.since),
                "until": _iso(end),
            }
            for standing, end in use.passes
        ],
        "starts": [
            {
                **{name: row[name] for name in _TEXTS},
                "at": _iso(row["claimed_at"]),
                "ended_at": _iso(row["ended_at"]),
                "is_current": today is not None and row["pin"] == today.pin,
            }
            for row in use.starts
        ],
    }


def describe_uses(found: list[ModelUse]) -> Iterator[str]:
    """Yield what is known as lines for people.

    Args:
        found: From `read_uses`.
    """
    for number, use in enumerate(found):
        if number:
            yield ""
        today = use.today
        said = _VERDICTS[today.status if today else ""]
        since = f" since {_moment(today.since)}" if today else ""
        codes = f" ({', '.join(today.codes)})" if today and today.codes else ""
        owner = f"; owner: {visible(today.owner)}" if today and today.owner else ""
        yield f"{visible(use.url, _LONGEST)} {said}{since}{codes}{owner}"
        for standing, end in use.passes:
            until = f"until {_moment(end)}" if end else "until now"
            yield (
                f"  passed from {_moment(standing.since)} {until}, first in scan "
                f"{standing.scan_id}, pin {visible(standing.pin)}"
            )
        for row in use.starts:
            yield f"  {_start(row, today.pin if today else '')}"
        if not use.starts:
            yield "  no agent was started for it"


def _start(row: Mapping[str, Any], pin: str) -> str:
    agent = visible(row["agent"] or "an agent")
    if row["state"] == "waiting":
        return f"{agent} waits for pin {visible(row['pin'] or '')}"
    ended = f", ended {_moment(row['ended_at'])}" if row["ended_at"] else ""
    run = f", flow run {visible(row['flow_run'])}" if row["flow_run"] else ""
    bytes_ = "the bytes of today" if row["pin"] == pin else "other bytes than today's"
    return (
        f"{agent} took it {_moment(row['claimed_at'])}: {visible(row['state'] or '')}{ended}{run}, "
        f"pin {visible(row['pin'] or '')} ({bytes_})"
    )


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment is not None else "at an unknown time"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
