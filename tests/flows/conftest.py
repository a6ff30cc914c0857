"""Flow tests run against a real server, in this process."""

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.servers import PrefectServer


@pytest.fixture
def prefect(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The session's server, as the one this process talks to."""
    with temporary_settings({PREFECT_API_URL: prefect_server.api}):
        yield prefect_server


@pytest.fixture(scope="session", autouse=True)
def _drain(prefect_server: PrefectServer) -> Iterator[None]:
    """Send what Prefect still has to send before its server goes away."""
    yield
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    assert prefect_server.process is not None
    with temporary_settings({PREFECT_API_URL: prefect_server.api}):
        EventsWorker.drain_all(timeout=20)
        APILogWorker.instance().drain_all(timeout=20)
