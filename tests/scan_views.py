"""What is shown of a scan, as a flow would have it, without any Prefect."""

from typing import Any

from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.highlights import highlights_of
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.table_scan import TableScan, list_changed, publish
from prefect_mutagen.tasks.scan_page import ScanView

__all__ = ["scan_view"]

ACCEPT_ALL = Policy()


def scan_view(root: str, table: str = "", policy: Policy = ACCEPT_ALL, **shown: Any) -> ScanView:
    """Scan what is new or changed in a root, into a table if there is one.

    Args:
        root: A folder.
        table: Folder of the table.
        policy: The policy.
        shown: Further fields of the view.
    """
    info, summary = new_scan(root, policy), Summary()
    opened, store = Table(table, root) if table else None, open_store(root)
    with TableScan(info, opened) as scan:
        rest: dict[str, Any] = {"hash_level": "stored", "policy": policy}
        listed = list_changed(scan.known, store, Selection(), {}, **rest)
        examiner = Examiner(policy, "stored", info.started_at)
        for result in examine_artifacts(store, listed, examiner, 4):
            summary.add(scan.recording.add(result))
        scan.finish(summary)
        highlights = highlights_of(scan.recording)
        if opened is not None:
            publish(opened, scan.prepare(summary), Retention())
    return ScanView(scan=info, summary=summary, highlights=highlights, table=table, **shown)
