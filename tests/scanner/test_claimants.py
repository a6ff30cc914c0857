"""Whether the process behind a claim lives, asked of real processes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from prefect_mutagen.scanner.claimants import Claimant, this_claimant

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")

_SAY = (
    "import json, sys; from prefect_mutagen.scanner.claimants import this_claimant; "
    "print(json.dumps(this_claimant('run-1').to_plain()), flush=True); sys.stdin.read()"
)


def test_a_process_lives_until_it_ends_even_before_its_parent_asks() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _SAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        claimant = Claimant.from_plain(json.loads(child.stdout.readline()))
        assert (claimant.pid, claimant.flow_run) == (child.pid, "run-1")
        states = [claimant.is_alive]
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table
        states.append(claimant.is_alive)
    assert [*states, claimant.is_alive] == [True, False, False]


@pytest.mark.parametrize(
    ("change", "alive"),
    [
        ({}, True),
        ({"start_time": "1"}, False),
        ({"start_time": ""}, False),
        ({"pid": 2**22 + 1}, False),
        ({"boot": "another"}, None),
        ({"boot": ""}, None),
        ({"pid_namespace": "pid:[1]"}, None),
    ],
    ids=[
        "itself",
        "number used again",
        "unknown start",
        "no process",
        "boot",
        "no boot",
        "container",
    ],
)
def test_only_the_same_machine_and_container_can_tell(
    change: dict[str, Any], *, alive: bool | None
) -> None:
    assert replace(this_claimant(), **change).is_alive is alive


def test_a_claimant_survives_its_way_through_a_file() -> None:
    claimant = this_claimant("run-1")
    assert Claimant.from_plain(claimant.to_plain()) == claimant
    nobody = Claimant.from_plain({"pid": "7", "boot": 3, "more": 1})
    assert (nobody.pid, nobody.boot, nobody.is_alive) == (0, "", None)
    assert "process" in nobody.describe()
    assert "flow run run-1" in claimant.describe()
