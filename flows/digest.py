"""The flow for a person's morning: what changed in a table, as an artifact, a page and an event."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from prefect_mutagen.flows.clear_parameters import keeps_secrets_out
from prefect_mutagen.flows.ephemeral import give_time_to_start
from prefect_mutagen.flows.named_blocks import named_table
from prefect_mutagen.scanner.listing.selection import read_moment
from prefect_mutagen.scanner.outputs.digest import digest_counts, digest_headline, is_quiet
from prefect_mutagen.scanner.outputs.outcomes import shortened
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.secret_parts import without_secrets
from prefect_mutagen.tasks.clear_address import BlockName, ClearAddress
from prefect_mutagen.tasks.events import resource_id
from prefect_mutagen.tasks.report_page import show_digest
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["EVENT", "DigestSummary", "daily_digest"]

EVENT = "mutagen.digest.finished"
"""The event of a digest; its resource is the table, its payload what `DigestSummary` has."""
_TABLE_WIDTH = 32
"""Characters of a table's address in the name of a run."""

give_time_to_start()


@dataclass(frozen=True)
class DigestSummary:
    """The result of a digest."""

    table: str
    since: str
    """Start of the period, as ISO 8601."""
    quiet: bool
    """Whether every root was scanned and nothing is different."""
    counts: dict[str, int]
    """All models by verdict, and by what happened to them."""
    page: str
    """Address of the page."""


def _run_name() -> str:
    table = without_secrets(str(flow_run.parameters.get("table", "")))
    return f"{shortened(visible(table, 300), _TABLE_WIDTH)} {datetime.now(UTC):%m-%d %H:%M}Z"


@keeps_secrets_out
@flow(name="daily-digest", flow_run_name=_run_name, persist_result=False)
def daily_digest(
    table: ClearAddress,
    since: Annotated[str, Field(min_length=1)] = "24h",
    storage: BlockName = "",
    web_address: ClearAddress = "",
) -> DigestSummary:
    """Say what changed in a table: newly refused, why, whose, and how to allow it.

    Args:
        table: Folder or address of the Parquet table, or a block such as model-table/NAME.
        since: Start of the period: a date, or an age such as 24h or 7d, relative to the start of
            each run.
        storage: Block with the credentials of the table, as type/name; empty uses those of the
            table's block, or of the environment.
        web_address: Where a web server shows the folder of the table, if one does: the digest then
            links to the page there.

    Returns:
        The counts, and where the page is. The state is named Changed or Quiet, and its message has
        the counts.

    Raises:
        ValueError: A parameter is invalid, or a block does not exist.
        StorageError: There is no table, or it cannot be read, or the page cannot be written.
    """
    named = named_table(table)
    place = Address.parse_clear(named.address)
    now = datetime.now(UTC)
    moment = datetime.fromtimestamp(read_moment(since, now), UTC)
    contents, page = show_digest(
        place.text,
        storage_options(storage or named.storage),
        since=moment,
        web_address=web_address,
    )
    headline = digest_headline(contents)
    summary = DigestSummary(
        place.text, moment.isoformat(), is_quiet(contents), digest_counts(contents), page
    )
    emit_event(
        EVENT,
        resource={
            "prefect.resource.id": resource_id(place.text),
            "prefect.resource.name": visible(place.text, 300),
        },
        payload={
            "since": summary.since,
            "quiet": summary.quiet,
            "headline": headline,
            "page": page,
            **summary.counts,
        },
    )
    state: State[Any] = Completed(
        name="Quiet" if summary.quiet else "Changed", message=headline, data=summary
    )
    return cast("DigestSummary", state)
