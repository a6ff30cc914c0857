"""Attach the page on a table, or the digest of a period, to a flow run.

Prefect's artifacts show Markdown, tables and links, and no HTML. So the page lies beside the table,
and the artifact says what it says first, and leads to it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from prefect.artifacts import create_markdown_artifact

from prefect_mutagen.scanner.outputs.digest import digest_markdown
from prefect_mutagen.scanner.outputs.page.contents import Contents
from prefect_mutagen.scanner.outputs.page.from_table import read_table
from prefect_mutagen.scanner.outputs.page.rendering import render_page
from prefect_mutagen.scanner.outputs.page.storing import PLACE, store_page
from prefect_mutagen.tasks.markdown import artifact_key, plain

__all__ = ["page_markdown", "show_digest", "show_report"]

_SHOWN: Final = 10
_WEB: Final = ("https://", "http://")


def show_report(
    table: str,
    options: Mapping[str, Any] | None = None,
    *,
    since: datetime,
    web_address: str = "",
) -> str:
    """Write the page on a table beside it, and attach it to the current flow run.

    Args:
        table: Address of the table.
        options: Options for fsspec's file system.
        since: Start of the period that it is on.
        web_address: Where a web server shows the folder of the table, if one does.

    Returns:
        Address of the page.

    Raises:
        StorageError: The table cannot be read, or the page not written.
    """
    contents, place, link = _stored(table, options, since, web_address)
    create_markdown_artifact(
        markdown=page_markdown(contents, link),
        key=artifact_key("report", place),
        description="What is newly refused, and the page that says why and what to do.",
    )
    return place


def show_digest(
    table: str,
    options: Mapping[str, Any] | None = None,
    *,
    since: datetime,
    web_address: str = "",
) -> tuple[Contents, str]:
    """Write the page on a table beside it, and attach the digest to the current flow run.

    Args:
        table: Address of the table.
        options: Options for fsspec's file system.
        since: Start of the period that it is on.
        web_address: Where a web server shows the folder of the table, if one does.

    Returns:
        What is on the page, and its address.

    Raises:
        StorageError: The table cannot be read, or the page not written.
    """
    contents, place, link = _stored(table, options, since, web_address)
    create_markdown_artifact(
        markdown=f"{digest_markdown(contents)}\n{_linked(link)}\n",
        key=artifact_key("digest", place),
        description="What changed: newly refused, why, whose, and how to allow it.",
    )
    return contents, place


def _stored(
    table: str, options: Mapping[str, Any] | None, since: datetime, web_address: str
) -> tuple[Contents, str, str]:
    """Write the page; return what is on it, where it lies, and where people see it."""
    contents = read_table(table, options, since=since)
    place = store_page(render_page(contents), table, options)
    return contents, place, f"{web_address.rstrip('/')}/{PLACE}" if web_address else place


def _linked(link: str) -> str:
    """Return where the page is; a link only if it is one of the web."""
    web = link.startswith(_WEB) and not set(link) & set(" <>()\n")
    return f"[The page](<{link}>)" if web else f"The page: {plain(link, 1000)}"


def page_markdown(contents: Contents, link: str) -> str:
    """Return what the artifact says: the news, and where the page is.

    Args:
        contents: The page.
        link: Its address; a link only if it is one of the web.
    """
    refused = f"{contents.failed:,} refused and {contents.unknown:,} unknown"
    passing = f"{contents.exceptions:,} pass by exception or with warnings"
    lines = [
        f"# {contents.newly_refused:,} newly refused",
        "",
        f"{refused} of {contents.models:,} models; {passing}.",
        "",
        _linked(link),
        "",
    ]
    shown = contents.cards[:_SHOWN]
    for entry in shown:
        codes = ", ".join(dict.fromkeys(why.code for why in entry.whys))
        lines.append(f"* **{plain(entry.url, 1000)}**: {plain(codes)}")
    if more := contents.newly_refused - len(shown):
        lines.append(f"* and {more:,} more")
    return "\n".join(lines) + "\n"
