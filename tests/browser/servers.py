"""Prefect's server with its pages, and a window to look at them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers import PrefectServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["WIDTH", "Pages", "open_browser", "windows"]

WIDTH = 1280


class Pages(PrefectServer):
    """A server with its pages."""

    def __init__(self, home: str) -> None:
        super().__init__(home)
        self.command.remove("--no-ui")
        self.environment["PREFECT_SERVER_UI_API_URL"] = self.api


@contextmanager
def open_browser() -> "Iterator[Browser]":
    """Open the browser; tests are skipped where there is none, unless one is asked for.

    Playwright runs an event loop in this thread as long as it is there.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        reason = "there is no browser: apt-get install chromium"
        if os.environ.get("MUTAGEN_NEEDS_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=arguments)
        with closing(browser):
            yield browser


def windows() -> Iterator[Any]:
    """Open a window of the browser, and close it; nothing in it may open a dialog."""
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.set_default_timeout(60_000)
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        yield page
