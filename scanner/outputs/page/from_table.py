"""Read a table for the page: the newest state of every root beside that at an earlier moment."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.agents.start_table import read_starts
from prefect_mutagen.scanner.census import Census, CensusRow
from prefect_mutagen.scanner.outputs.page.collecting import Collection
from prefect_mutagen.scanner.outputs.page.contents import (
    Basis,
    Contents,
    Root,
    ScanCounts,
    contents_of,
)
from prefect_mutagen.scanner.outputs.page.entries import (
    Before,
    Entry,
    Judging,
    Use,
    compared,
    entry_of,
    removed,
)
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.address import Address

if TYPE_CHECKING:
    from prefect_mutagen.scanner.table.table import Table
    from prefect_mutagen.scanner.table.two_states import Pair

__all__ = ["read_table"]

_TREND: Final = 30
"""Scans in the trend."""
_USES: Final = 20
"""Starts that are shown of one model, the newest."""


_Uses = Mapping[str, list[dict[str, Any]]]
"""The starts of agents, the newest first, by the address of the model."""


@dataclass(frozen=True, slots=True)
class _Scan:
    """The scan of a state, and what it judged by."""

    row: Mapping[str, Any]
    judging: Judging


def read_table(
    url: str | Address,
    options: Mapping[str, Any] | None = None,
    *,
    since: datetime,
    now: datetime | None = None,
) -> Contents:
    """Read what the page shows of a table.

    Args:
        url: Address of the table.
        options: Options for fsspec's file system.
        since: Start of the period that is reported on.
        now: The time of the page; the current one by default.

    Raises:
        StorageError: There is no table, or it cannot be read.
    """
    from prefect_mutagen.scanner.table.roots import tables_of

    now = now or datetime.now(UTC)
    collection, census = Collection(), Census()
    uses = _uses(url, options)
    reader = _Reader(collection, uses, since, now)
    roots = []
    for table in tables_of(url, options):
        root, listed = reader.read(table)
        roots.append(root)
        census.add(listed)
    place = visible(Address.parse(url).text, 1000)
    basis = Basis(now, since, place, has_earlier=True, knows_uses=True)
    return contents_of(collection, roots, census, basis)


class _Reader:
    """Takes the models of one root after the other into a collection."""

    def __init__(
        self,
        collection: Collection,
        uses: _Uses,
        since: datetime,
        now: datetime,
    ) -> None:
        self._collection, self._uses = collection, uses
        self._since, self._now = since, now

    def read(self, table: "Table") -> tuple[Root, list[CensusRow]]:
        """Take the models of a root; return the root and its census."""
        from prefect_mutagen.scanner.table.two_states import pairs_of, refusals_of, scan_before

        scan_ids = table.scan_ids()
        rows = table.scan_rows(scan_ids[-_TREND:])
        newest = _scan(rows[-1])
        moment = f"{self._since:%Y%m%dT%H%M%S%f}"
        earlier_id, earlier = scan_before(table, scan_ids, moment)
        before = _scan(table.scan_rows([earlier_id])[0]) if earlier_id else None
        for pair in pairs_of(earlier, table.open_state()):
            self._collection.add(self._entry(pair, table.source, newest, before))
        here = visible(table.source, 2000)

        def finish(entries: list[Entry]) -> Iterator[Entry]:
            own = [entry.key for entry in entries if entry.root == here]
            known = refusals_of(table, scan_ids, own)
            for entry in entries:
                one = known.get(entry.key) if entry.root == here else None
                yield (
                    entry
                    if one is None
                    else replace(
                        entry,
                        since=one.since,
                        since_is_exact=one.is_exact,
                        passed_at=one.passed_at,
                    )
                )

        self._collection.complete(finish)
        listed = [CensusRow(**row) for row in newest.row["census"] or ()]
        return _root(table.source, rows, newest, self._compared(before)), listed

    def _entry(self, pair: "Pair", source: str, newest: _Scan, before: _Scan | None) -> Entry:
        entry = entry_of(pair.result, source, newest.judging, self._now)
        entry = replace(entry, uses=tuple(self._uses_of(entry)))
        if pair.is_removed:
            return removed(entry)
        status: Before = pair.before.verdict.status if pair.before is not None else "absent"
        cause = _cause(pair.before, pair.result, before, newest)
        return compared(entry, status, pair.changes, cause)

    def _uses_of(self, entry: Entry) -> Iterator[Use]:
        for row in self._uses.get(entry.key, [])[:_USES]:
            yield Use(
                agent=visible(row["agent"] or ""),
                state=visible(row["state"] or ""),
                at=row["claimed_at"],
                flow_run=visible(row["flow_run"] or ""),
                pin=visible(row["pin"] or ""),
                is_current=row["pin"] == entry.pin,
            )

    def _compared(self, before: _Scan | None) -> str:
        if before is None:
            return "nothing: it was first scanned in this period"
        started = before.row["started_at"]
        when = f"its state as of {started:%-d %b %Y, %H:%M} UTC"
        return when if started <= self._since else f"{when}, the oldest that is kept"


def _scan(row: Mapping[str, Any]) -> _Scan:
    policy = json.loads(row["policy"] or "{}")
    return _Scan(row, Judging.by(policy))


def _cause(
    known: ScanResult | None, result: ScanResult, before: _Scan | None, newest: _Scan
) -> str:
    """Say why a verdict is another one than before; empty if it is not, or that is not known."""
    if known is None or before is None:
        return ""
    if known.pin != result.pin:
        return "its files changed"
    if known.sbom.tool_version != result.sbom.tool_version:
        versions = known.sbom.tool_version, result.sbom.tool_version
        return "it was examined by another version: {} then, {} now".format(*versions)
    if any(reason.code == "policy/waiver-expired" for reason in result.verdict.reasons):
        return "a waiver expired"
    if before.judging.digest != newest.judging.digest:
        return "the policy changed; its files did not"
    return ""


def _root(source: str, rows: list[dict[str, Any]], newest: _Scan, compared_with: str) -> Root:
    row = newest.row
    return Root(
        source=visible(source, 2000),
        scan_id=row["scan_id"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        tool_version=row["tool_version"],
        policy=newest.judging.policy,
        judged_apart=bool(row["judged_apart"]),
        left_out=row["left_out"] or 0,
        bytes_read=row["bytes_read"] or 0,
        requests=row["requests"] or 0,
        compared=compared_with,
        trend=tuple(
            ScanCounts(one["started_at"], one["passed"], one["unknown"], one["failed"])
            for one in rows
        ),
    )


def _uses(url: str | Address, options: Mapping[str, Any] | None) -> _Uses:
    rows: Iterable[dict[str, Any]] = read_starts(url, options).to_pylist()
    by_url: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: str(row["claimed_at"] or "9"), reverse=True):
        by_url[row["url"] or ""].append(row)
    return by_url
