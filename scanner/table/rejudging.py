"""Judge carried-over rows by the current policy, without reading from storage."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.judge import is_time_bound, judge
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.table.drift import compare
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.policy_columns import with_policy
from prefect_mutagen.scanner.table.rows import from_row, verdict_columns
from prefect_mutagen.scanner.table.runs import KEY, write_parquet
from prefect_mutagen.scanner.table.schema import ARTIFACTS
from prefect_mutagen.scanner.table.state import State
from prefect_mutagen.scanner.table.state_file import StateFile

__all__ = ["is_stated_anew", "judge_again", "was_judged_by"]

_FROM_POLICY: Final = ("policy_digest", "owner")
_AT_ONCE: Final = 500
"""Rows that are Python objects at a time: they are some ten times as large as columns."""


def was_judged_by(state: State, policy: Policy) -> bool:
    """Whether a state was judged by the same policy."""
    known = state.policy
    return isinstance(known, dict) and policy_digest(known) == policy_digest(policy)


def is_stated_anew(state: State, marks: bytes | bytearray, scan: ScanInfo) -> bool:
    """Whether kept rows of a state name other rules or owners than a scan's policy.

    Args:
        state: The state.
        marks: A `Mark` for each of its rows.
        scan: The scan.
    """
    if _says_the_same(state.policy, scan):
        return False
    for number, start, end in state.file.groups():
        known = pa.array(marks[start:end], pa.uint8())
        facts = ["facts"] if scan.policy.owner_tag else []
        rows = state.file.read(number, [KEY, *_FROM_POLICY, *facts])
        if not with_policy(rows, known, scan, owners=True).equals(rows):
            return True
    return False


def _says_the_same(recorded: Any, scan: ScanInfo) -> bool:
    """Whether a recorded policy has the rules and the owners of a scan's."""
    if not isinstance(recorded, dict) or policy_digest(recorded) != scan.policy_digest:
        return False
    if recorded.get("owner_tag", "") != scan.policy.owner_tag:
        return False
    known = [(entry["prefix"], entry["owner"]) for entry in recorded.get("owners") or ()]
    return known == [(entry.prefix, entry.owner) for entry in scan.policy.owners]


def judge_again(
    state: State, marks: bytes | bytearray, policy: Policy, folder: str
) -> tuple[StateFile, int] | None:
    """Judge the kept rows of a state.

    Args:
        state: The previous state.
        marks: A `Mark` for each of its rows.
        policy: The current policy.
        folder: Temporary folder for the new rows.

    Returns:
        All rows, the kept ones with new verdicts, and how many verdicts changed; None if none can
        change.
    """
    same = was_judged_by(state, policy) and not is_time_bound(policy)
    if same or Mark.KEPT not in marks:
        return None
    changed = 0

    def judged(groups: Iterable[tuple[int, int, int]]) -> Iterator[pa.Table]:
        nonlocal changed
        for number, start, end in groups:
            known = state.file.read(number)
            for first in range(0, end - start, _AT_ONCE):
                rows = known.slice(first, _AT_ONCE).to_pylist()
                for place, row in enumerate(rows, start + first):
                    row["drift_details"] = []
                    if marks[place] == Mark.KEPT:
                        changed += _judge_row(row, policy)
                yield pa.Table.from_pylist(rows, schema=ARTIFACTS)

    files: list[pa.NativeFile] = []
    for number, groups in enumerate(state.file.parts()):
        path = os.path.join(folder, f"judged-{number}.parquet")
        write_parquet(path, ARTIFACTS, judged(groups))
        files.append(pa.OSFile(path, "rb"))
    return StateFile(files[0], files[1:]), changed


def _judge_row(row: dict[str, Any], policy: Policy) -> bool:
    known = from_row(row)
    result = replace(known, verdict=judge(known.subject(), policy))
    if result.verdict == known.verdict:
        return False
    row |= verdict_columns(replace(result, drift_details=compare(known, result)))
    return True
