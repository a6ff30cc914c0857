"""The page on a table as an artifact of a flow run."""

from datetime import timedelta
from pathlib import Path

import pytest
from prefect import flow

from prefect_mutagen.scanner.outputs.page.from_table import read_table
from prefect_mutagen.tasks.report_page import page_markdown, show_report
from tests.report_tables import NOW, write_history
from tests.servers import PrefectServer

SINCE = NOW - timedelta(days=1)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("history") / "table")
    write_history(place, 12)
    return place


@pytest.mark.server
def test_a_flow_attaches_it(table: str, prefect: PrefectServer) -> None:
    @flow(name="with-a-page")
    def report() -> str:
        return show_report(table, since=SINCE, web_address="https://models.example.org/table/")

    place = report()
    assert "newly refused" in Path(place).read_text()
    with prefect.connect() as client:
        body = {"flows": {"name": {"any_": ["with-a-page"]}}}
        (artifact,) = client.post("/artifacts/filter", json=body).json()
    assert artifact["type"] == "markdown"
    assert artifact["key"].startswith("report-")
    assert "(<https://models.example.org/table/pages/report.html>)" in artifact["data"]
    assert "# 1 newly refused" in artifact["data"]


@pytest.mark.parametrize(
    ("link", "is_linked"),
    [
        ("https://models.example.org/p.html", True),
        ("s3://bucket/table/pages/report.html", False),
        ("https://x/> [y](javascript:1)", False),
    ],
)
def test_only_addresses_of_the_web_are_links(table: str, link: str, is_linked: bool) -> None:  # noqa: FBT001 - a column
    text = page_markdown(read_table(table, since=SINCE), link)
    assert (f"(<{link}>)" in text) == is_linked
    assert "[y](" not in text
