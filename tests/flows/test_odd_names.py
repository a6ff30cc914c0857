"""A file whose name is not UTF-8 goes through the flow like any other: table, agents, pages."""

import json
import os
import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit
from uuid import UUID

import pytest
from prefect import get_client

from prefect_mutagen.flows import AgentLaunch, run_agent, scan_models
from tests.builders import gguf
from tests.servers import PrefectServer

pytestmark = pytest.mark.server

GGUF = gguf().data
AGENT = """
import os, shutil, sys
shutil.copy(os.environ["MUTAGEN_HANDOFF"], sys.argv[1])
shutil.copy(os.environ["MUTAGEN_URL"], sys.argv[2])
"""


def test_an_agent_starts_for_it_and_opens_it(tmp_path: Path, prefect: PrefectServer) -> None:
    assert prefect.process is not None
    folder = os.fsencode(tmp_path) + b"/mod\xe9ls"
    try:
        Path(os.fsdecode(folder)).mkdir()
    except OSError as problem:
        pytest.skip(f"the file system takes no such name: {problem}")
    path = folder + b"/caf\xe9.gguf"
    Path(os.fsdecode(path)).write_bytes(GGUF)
    handoff, copy, program = (tmp_path / name for name in ("handoff", "copy", "agent.py"))
    program.write_text(AGENT)
    agents = [AgentLaunch(command=[sys.executable, str(program), str(handoff), str(copy)])]
    table = str(tmp_path / "table")
    for root in (f"file://{tmp_path}/mod%E9ls", str(tmp_path)):
        summary = scan_models(root, table=f"{table}-{len(root)}", agents=agents)
        assert [run.state for run in summary.agents] == ["completed"]
        (run,) = summary.agents
        assert run.url == f"file://{tmp_path}/mod%E9ls/caf%E9.gguf"
        given = json.loads(handoff.read_bytes().decode("utf-8", "strict"))
        assert given["url"] == run.url
        assert unquote_to_bytes(urlsplit(given["url"]).path) == path
        assert copy.read_bytes() == GGUF
        again = scan_models(root, table=f"{table}-{len(root)}", agents=agents)
        assert again.agents == []
        with get_client(sync_client=True) as client:
            stored = client.read_flow_run(UUID(run.flow_run_id))
        assert stored.parameters["url"] == run.url
        stored.name.encode("utf-8", "strict")
    done = run_agent(["true"], run.url, given["pin"])
    assert done["status"] == 0
