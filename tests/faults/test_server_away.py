"""Prefect's server goes away while a flow runs, and comes back."""

import time
from pathlib import Path

import pytest

from tests.agent_starts import Place, wait_until
from tests.servers import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.slow]
AWAY_SECONDS = 24


def test_agents_that_start_meanwhile_are_not_lost(tmp_path: Path) -> None:
    place = Place(tmp_path, 12)
    command = place.careful_command()
    with PrefectServer(str(tmp_path / "home")) as server:
        scan = place.begin(server, command)
        wait_until(lambda: place.log.exists() and place.log.stat().st_size > 0)
        server.stop()
        time.sleep(AWAY_SECONDS)
        with server:
            scan.wait(240)
            # The run may have failed to say how it ended; what it started is in the table.
            assert place.begin(server, command).wait(120) == 0
    ended = sorted(name for what, name, _ in place.lines() if what == "end")
    assert ended == sorted(f"{n}.gguf" for n in range(12))
