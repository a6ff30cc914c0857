"""Events about a scan for Prefect's automations: what is newly refused, passed, changed, removed.

The resource of an event is the model, named by its address, so that automations can match a
prefix. The events of a scan are bounded; what is left out is counted in one more.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect.events import emit_event

from prefect_mutagen.scanner.outputs.metrics import ScanCounts
from prefect_mutagen.scanner.outputs.outcomes import (
    describe_changes,
    path_below,
    shortened,
    verdict_before,
)
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.highlights import Highlights, Kind
from prefect_mutagen.tasks.metrics import record_metrics

__all__ = ["MOST_EVENTS", "ScanEvents", "resource_id", "tell_others"]

MOST_EVENTS: Final = 200
"""Events about models of one scan; Prefect's server takes some ten a second into its database."""

FINISHED: Final = "mutagen.scan.finished"
LEFT_OUT: Final = "mutagen.scan.events-left-out"

_BY_WEIGHT: Final[tuple[tuple[Kind, str], ...]] = (
    ("newly-refused", "newly-refused"),
    ("newly-passed", "passed"),
    ("changed", "changed"),
    ("removed", "removed"),
    ("added", "passed"),
    ("still-refused", "refused"),
)
"""Kinds of models and the events about them, what needs a person most first."""
_AT_FIRST: Final[tuple[tuple[Kind, str], ...]] = (
    ("still-refused", "refused"),
    ("waived", "passed"),
    ("warned", "passed"),
    ("passed", "passed"),
)
"""The same where there is no scan before to compare with."""
_LONGEST_ID: Final = 1_500
"""Characters of the id of a resource; keys of S3 have up to 1,024."""
_CODES: Final = 10
_CHANGES: Final = 4
_FIRST: Final = 5
"""Newly refused models in the event about the scan, for a message to people."""


Logger = logging.Logger | logging.LoggerAdapter[Any]


def tell_others(
    counts: ScanCounts, highlights: Highlights, scan_id: str, table: str, logger: Logger
) -> None:
    """Tell automations and telemetry what came out of a scan that is published.

    What goes wrong there costs a warning, and never the scan.

    Args:
        counts: What of the scan is measured.
        highlights: What of it is worth showing.
        scan_id: Its id.
        table: Address of its table; empty: there is none.
        logger: The logger of the run.
    """
    events = ScanEvents(scan_id=scan_id, counts=counts, highlights=highlights, table=table)
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("events are emitted", events.emit),
        ("metrics are recorded", partial(record_metrics, counts)),
    )
    for what, step in steps:
        try:
            step()
        except Exception as problem:  # noqa: BLE001 - of Prefect's client, or another's provider
            logger.warning("not all %s: %s", what, type(problem).__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanEvents:
    """The events about one scan."""

    scan_id: str
    counts: ScanCounts
    highlights: Highlights
    table: str = ""
    """Address of the table; empty: there is none."""

    def emit(self) -> int:
        """Emit the events.

        Returns:
            The number of events that were handed to Prefect, which sends them in the background.
        """
        return sum(self._emit(*event) for event in self._events())

    def _events(self) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
        """Yield name, resource and payload of each event."""
        kinds = _BY_WEIGHT if self.highlights.is_compared else _AT_FIRST
        emitted: dict[str, int] = {}
        for name, result in islice(self._models(kinds), MOST_EVENTS):
            emitted[name] = emitted.get(name, 0) + 1
            yield f"mutagen.model.{name}", self._resource(result), self._payload(result)
        total: dict[str, int] = {}
        for kind, name in kinds:
            total[name] = total.get(name, 0) + self._count(kind)
        left = {name: count - emitted.get(name, 0) for name, count in total.items()}
        left = {name: count for name, count in left.items() if count > 0}
        root = {
            "prefect.resource.id": resource_id(self.counts.source),
            "prefect.resource.name": visible(self.counts.source, 300),
        }
        if left:
            yield LEFT_OUT, root, {"left_out": left, "emitted": emitted, **self._scan}
        # Triggers match labels of the resource, and nothing of the payload.
        is_refused = {
            "mutagen.newly-refused": "yes" if self._count("newly-refused") else "no",
            "mutagen.refused": "no" if self.counts.summary.all_passed else "yes",
        }
        yield FINISHED, root | is_refused, self._outcome(sum(left.values()))

    def _models(self, kinds: tuple[tuple[Kind, str], ...]) -> Iterator[tuple[str, ScanResult]]:
        """Yield the models with the name of their event, each once, the heaviest first."""
        seen: set[str] = set()
        for kind, name in kinds:
            for result in self.highlights[kind].results:
                if result.url not in seen:
                    seen.add(result.url)
                    yield name, result

    def _count(self, kind: Kind) -> int:
        return self.highlights[kind].count

    @property
    def _scan(self) -> dict[str, str]:
        return {"scan_id": self.scan_id, "source": self.counts.source, "table": self.table}

    def _resource(self, result: ScanResult) -> dict[str, str]:
        path = shortened(path_below(self.counts.source, result.url), 300)
        return {
            "prefect.resource.id": resource_id(result.url),
            "prefect.resource.name": path,
            "mutagen.verdict": result.verdict.status,
            "mutagen.source": visible(self.counts.source, _LONGEST_ID),
        }

    def _payload(self, result: ScanResult) -> dict[str, Any]:
        """Return what an automation may hand on: codes, and no value from a file."""
        payload: dict[str, Any] = {
            "url": storable(result.url),
            "pin": result.pin,
            "verdict": result.verdict.status,
            "codes": _codes(result),
            **self._scan,
        }
        if before := verdict_before(result):
            payload["verdict_before"] = before
        if changes := describe_changes(result, _CHANGES):
            payload["changes"] = changes
        return payload

    def _outcome(self, left_out: int) -> dict[str, Any]:
        summary, counts = self.counts.summary, self.counts
        return {
            **self._scan,
            "models": summary.artifacts,
            "passed": summary.passed,
            "failed": summary.failed,
            "unknown": summary.unknown,
            "newly_refused": self._count("newly-refused"),
            "first_newly_refused": [
                {"path": shortened(path_below(counts.source, one.url), 300), "codes": _codes(one)}
                for one in self.highlights["newly-refused"].results[:_FIRST]
            ],
            "drift": dict(counts.drift),
            "keys_not_found": counts.not_found,
            "bytes_read": summary.bytes_read,
            "requests": summary.requests,
            "events_left_out": left_out,
        }

    def _emit(self, name: str, resource: dict[str, str], payload: dict[str, Any]) -> bool:
        event = emit_event(name, resource, payload=payload, id=self._identity(name, resource))
        return event is not None

    def _identity(self, name: str, resource: Mapping[str, str]) -> UUID:
        """Return the id of an event: the same if it is emitted again."""
        return uuid5(NAMESPACE_URL, f"{self.scan_id} {name} {resource['prefect.resource.id']}")


def _codes(result: ScanResult) -> list[str]:
    return sorted({reason.code for reason in result.verdict.reasons})[:_CODES]


def resource_id(url: str) -> str:
    """Return the address of a model or a root as the id of a resource: escaped, and bounded.

    Args:
        url: The address.
    """
    text = visible(storable(url), 10 * _LONGEST_ID)
    if len(text) <= _LONGEST_ID:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[: _LONGEST_ID - len(digest) - 1]}…{digest}"
