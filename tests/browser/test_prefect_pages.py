"""Prefect's pages on a scan, in a real browser, 1,280 pixels wide: what matters is seen at once."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

from prefect_mutagen.flows import AgentLaunch, scan_models
from tests.browser.servers import WIDTH, Pages, windows
from tests.builders import gguf
from tests.scanner.storing import put_local

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]

GGUF = gguf().data
CUT = GGUF[:90]
DEEP = "publisher/a-model-with-a-long-name/quantizations/model-Q4_K_M.gguf"
HOSTILE = "<img src=x onerror=alert(1)>[x](javascript:alert(2)).gguf"
PREFIXES = ("", "/v2")
"""Of the pages of both generations of Prefect's UI."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with Pages(str(tmp_path_factory.mktemp("home"))) as server:
        yield server


@pytest.fixture(scope="module")
def window() -> Iterator[Any]:
    yield from windows()


@pytest.fixture(scope="module")
def run(pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A second scan, of a root in which one model was cut since the first; its run."""
    folder = tmp_path_factory.mktemp("root")
    root = put_local(folder, {DEEP: GGUF, "b.gguf": CUT, HOSTILE: CUT})
    table = str(tmp_path_factory.mktemp("table"))
    agents = [AgentLaunch(command=["true"])]
    with temporary_settings({PREFECT_API_URL: pages.api, PREFECT_UI_URL: pages.url}):
        scan_models(root, table=table)
        put_local(folder, {DEEP: CUT, "new.gguf": GGUF})
        state: Any = scan_models(root, table=table, agents=agents, return_state=True)
    with pages.connect() as client:
        identity = state.state_details.flow_run_id
        found: dict[str, Any] = client.get(f"/flow_runs/{identity}").json()
    return found


def _artifacts(client: httpx.Client, run: dict[str, Any]) -> dict[str, str]:
    body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    return {one["type"]: one["id"] for one in client.post("/artifacts/filter", json=body).json()}


def _seen(window: Any, text: str) -> tuple[float, float]:
    """Where a text starts and ends, once the page shows it."""
    found = window.get_by_text(text, exact=False).first
    found.wait_for(state="visible")
    box = found.bounding_box()
    return box["x"], box["x"] + box["width"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_list_of_runs_shows_the_counts(
    pages: Pages, window: Any, run: dict[str, Any], prefix: str
) -> None:
    window.goto(f"{pages.url}{prefix}/runs")
    counts = "3 of 4 refused, 1 new"
    assert run["name"].endswith(counts)
    _, end = _seen(window, counts)
    assert end <= WIDTH


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_table_shows_verdict_model_and_reason(
    pages: Pages, window: Any, run: dict[str, Any], prefix: str
) -> None:
    with pages.connect() as client:
        table = _artifacts(client, run)["table"]
    window.goto(f"{pages.url}{prefix}/artifacts/artifact/{table}")
    cell = window.locator("td", has_text="gguf/truncated").first
    cell.wait_for(state="visible")
    first = window.locator("td").all_inner_texts()[:3]
    assert first[0] == "failed, was passed"
    assert first[1].endswith("model-Q4_K_M.gguf")
    assert first[2] == "gguf/truncated"
    # What surrounds the table cuts it off, or scrolls.
    visible = cell.evaluate(
        """cell => {
            let right = innerWidth
            for (let box = cell.closest("table").parentElement; box; box = box.parentElement)
                if (getComputedStyle(box).overflowX != "visible")
                    right = Math.min(right, box.getBoundingClientRect().right)
            const text = document.createRange()
            text.selectNodeContents(cell)
            return right - text.getBoundingClientRect().right
        }"""
    )
    assert visible >= 0


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_page_starts_with_what_is_new(
    pages: Pages, window: Any, run: dict[str, Any], prefix: str
) -> None:
    with pages.connect() as client:
        page = _artifacts(client, run)["markdown"]
    window.goto(f"{pages.url}{prefix}/artifacts/artifact/{page}")
    window.get_by_role("heading", name="3 of 4 refused, 1 of them new").wait_for()
    headings = window.locator("h2").all_inner_texts()
    assert headings.index("Newly refused (1)") < headings.index("Still refused (2)")
    assert "<img src=x onerror=alert(1)>" in window.inner_text("body")
    assert window.locator("img[src=x]").count() == 0
    assert window.locator("a[href^=javascript]").count() == 0
    agent = window.get_by_role("link", name="true", exact=True)
    assert agent.get_attribute("href").startswith(f"{pages.url}/runs/flow-run/")
