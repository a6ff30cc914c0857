"""A real browser: Debian's ``chromium``, driven by Playwright, without a network."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.servers import open_browser
from tests.builders import gguf
from tests.scanner.storing import put_local

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """The browser, for one module: tests of others have event loops of their own."""
    with open_browser() as opened:
        yield opened


class Visit:
    """A page in the browser, and everything that happened on it."""

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.requests: list[str] = []
        self.said: list[str] = []
        self.blocked: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.blocked.append(str(request.failure)))
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda problem: self.said.append(str(problem)))
        page.on("dialog", lambda dialog: self.said.append(dialog.message))


@pytest.fixture
def visit(browser: "Browser", tmp_path: Path) -> Iterator[Callable[..., Visit]]:
    """Opens HTML in the browser, with the options of a browser context."""
    contexts: list[BrowserContext] = []

    def opened(html: str, *, waits: bool = True, **options: Any) -> Visit:
        path = tmp_path / f"page-{len(contexts)}.html"
        path.write_text(html)
        context = browser.new_context(**options)
        contexts.append(context)
        found = Visit(context.new_page())
        found.page.goto(path.as_uri())
        if waits:
            found.page.wait_for_selector("[data-ready]", state="attached", timeout=60_000)
        return found

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def one_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with one small model."""
    return put_local(tmp_path_factory.mktemp("one"), {"model.gguf": gguf().data})
