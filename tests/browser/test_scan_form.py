"""A person fills the form in Prefect's UI, starts the run, and sees the verdicts on its page."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_mutagen.flows.blocks import ModelPolicy
from prefect_mutagen.scanner import Policy
from tests.browser.servers import Pages, windows
from tests.builders import gguf
from tests.deployments.deployed import Client, Worker, deploy
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]

GGUF = gguf().data
ENTRYPOINT = "prefect_mutagen.flows.scan.scan_models"
FIRST_SCREEN = ["Models", "More models (Optional)", "Policy block (Optional)", "Table (Optional)"]
LONGEST = 4500
"""Pixels of the page: the button that starts the run is at its end."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """A server with a deployment, and a worker."""
    folder = tmp_path_factory.mktemp("home")
    nothing = tmp_path_factory.mktemp("nothing")
    with Pages(str(folder)) as server:
        with temporary_settings({PREFECT_API_URL: server.api}):
            deploy(server, ENTRYPOINT, "form", nothing)
            policy = Policy(max_size_bytes=1 << 30)
            ModelPolicy(policy=policy).save("people", overwrite=True)
        with Worker(server, nothing, "--install-policy", "never"):
            yield server


@pytest.fixture(scope="module")
def window() -> Iterator[Any]:
    yield from windows()


@pytest.fixture
def root(tmp_path: Path) -> str:
    return put_local(tmp_path / "models", {"good.gguf": GGUF, "cut.gguf": GGUF[:90]})


def _open(pages: PrefectServer, window: Any) -> None:
    with pages.connect() as http:
        identity = Client(http).deployment("scan-models/form")["id"]
    window.goto(f"{pages.url}/v2/deployments/deployment/{identity}/run")
    window.get_by_label("Models", exact=True).wait_for()


def _submit(pages: PrefectServer, window: Any) -> dict[str, Any]:
    """Start the run; once it has ended, return it."""
    with pages.connect() as http:
        client = Client(http)
        known = {run["id"] for run in client.runs_of_deployment("scan-models/form")}
        window.get_by_role("button", name="Submit").click()
        window.wait_for_url(lambda url: not url.endswith("/run"))
        (run,) = (
            run for run in client.runs_of_deployment("scan-models/form") if run["id"] not in known
        )
        return client.finish(run["id"])


def test_the_form_asks_in_the_order_of_questions(pages: Pages, window: Any) -> None:
    _open(pages, window)
    labels = [text for text in window.locator("label").all_inner_texts() if text in FIRST_SCREEN]
    assert labels == FIRST_SCREEN
    for label in FIRST_SCREEN:
        box = window.locator("label", has_text=label).first.bounding_box()
        assert box["y"] < window.viewport_size["height"]
    height = window.evaluate(
        "Math.max(...[...document.querySelectorAll('*')].map(box => box.scrollHeight))"
    )
    assert height < LONGEST
    body = window.inner_text("body")
    for name in ("max_task_runs", "fail_on_refused", "if_busy", "keep_states"):
        assert name not in body


def test_a_run_from_the_form_shows_its_verdicts(
    pages: Pages, window: Any, root: str, tmp_path: Path
) -> None:
    _open(pages, window)
    window.get_by_label("Models", exact=True).fill(root)
    window.get_by_label("Policy block (Optional)").fill("people")
    window.get_by_label("Table (Optional)", exact=True).fill(str(tmp_path / "table"))
    run = _submit(pages, window)
    assert run["state"]["name"] == "Refused", run["state"]["message"]
    assert run["parameters"]["policy_block"] == "people"
    assert os.path.isdir(tmp_path / "table")
    window.goto(f"{pages.url}/v2/runs/flow-run/{run['id']}")
    window.get_by_text("1 of 2 refused").first.wait_for()
    window.get_by_role("tab", name="Artifacts").click()
    window.get_by_text("1 of 2 refused. Verdicts on").first.wait_for()


def test_an_emptied_text_is_the_deployments_again(
    pages: Pages, window: Any, root: str, tmp_path: Path
) -> None:
    table = str(tmp_path / "kept")
    with pages.connect() as http:
        found = Client(http).deployment("scan-models/form")["id"]
        http.patch(
            f"/deployments/{found}", json={"parameters": {"table": table}}
        ).raise_for_status()
    try:
        _open(pages, window)
        window.get_by_label("Models", exact=True).fill(root)
        field = window.get_by_label("Table (Optional)", exact=True)
        assert field.input_value() == table
        field.fill("")
        run = _submit(pages, window)
        assert run["parameters"]["table"] == table, "as the documentation says"
        assert run["state"]["name"] == "Refused"
    finally:
        with pages.connect() as http:
            http.patch(f"/deployments/{found}", json={"parameters": {}}).raise_for_status()
    # Where the deployment sets none, an emptied text is empty.
    _open(pages, window)
    window.get_by_label("Models", exact=True).fill(root)
    field = window.get_by_label("Table (Optional)", exact=True)
    field.fill("somewhere")
    field.fill("")
    run = _submit(pages, window)
    assert not run["parameters"].get("table")
    assert run["state"]["name"] == "Refused"


def test_the_form_says_what_is_wrong_before_anything_runs(pages: Pages, window: Any) -> None:
    _open(pages, window)
    models = window.get_by_label("Models", exact=True)
    models.fill("https://someone:hunter2@host/models")
    requests = window.get_by_label("Requests at a time (Optional)")
    requests.fill("0")
    window.get_by_role("button", name="Submit").click()
    assert "greater than or equal to 1" in requests.evaluate("field => field.validationMessage")
    requests.fill("8")
    window.get_by_role("button", name="Submit").click()
    said = window.get_by_text("'an address without secrets, which belong into a block'").first
    said.wait_for()
    assert len(said.inner_text()) < 100
    assert window.url.endswith("/run"), "nothing was started"
