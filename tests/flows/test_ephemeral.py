"""Without a server, Prefect starts one for the process; nothing may be lost with it."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import gguf
from tests.scanner.storing import put_local

pytestmark = [pytest.mark.server, pytest.mark.slow]

SCRIPT = """
import sys
from prefect_mutagen.flows import scan_models
summary = scan_models(sys.argv[1], table=sys.argv[2], max_task_runs=40)
print("passed", len(summary.passed))
"""


def test_no_task_run_is_lost_with_a_temporary_server(tmp_path: Path) -> None:
    root = put_local(tmp_path / "root", {f"{number:02}.gguf": gguf().data for number in range(40)})
    home = tmp_path / "home"
    environment = os.environ | {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "WARNING"}
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, root, str(tmp_path / "table")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert "passed 40" in done.stdout, done.stderr
    with closing(sqlite3.connect(home / "prefect.db")) as database:
        runs = dict(database.execute("SELECT state_name, count(*) FROM task_run GROUP BY 1"))
        (flow,) = database.execute("SELECT state_name FROM flow_run").fetchall()
    assert runs == {"Completed": 42}  # listing, table, and one for each artifact
    assert flow == ("Completed",)
