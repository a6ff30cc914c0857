"""What a run of the flow is about: the form, the scans, the agents."""

import json
import os
import sys
from pathlib import Path

import pytest
from prefect.exceptions import ParameterTypeError

from prefect_mutagen.flows import AgentLaunch, scan_models
from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.storage.address import VERSION_MARK
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks.scan_selection import ScanSelection
from tests.builders import STRING, gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer, S3Server

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data


def test_the_form_has_fields_that_prefect_draws_well() -> None:
    schema = scan_models.parameters.model_dump()
    last = ["select", "if_busy", "fail_on_refused", "keys"]
    assert list(schema["properties"])[-4:] == last, "new ones stand at the end"
    definition = schema["definitions"]["ScanSelection"]
    assert definition["properties"].keys() == ScanSelection.model_fields.keys()
    for word in ("anyOf", "oneOf", "null", "additionalItems"):
        assert f'"{word}"' not in json.dumps(definition)
    for field in definition["properties"].values():
        assert field["description"]
        assert "default" in field
    assert schema["properties"]["select"]["default"] == ScanSelection().model_dump()


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ({"modified_since": "soon"}, "neither a date nor an age"),
        ({"modified_since": "999999w"}, "neither a date nor an age"),
        ({"versions": "some"}, "newest"),
        ({"versions": "all", "inventory": "s3://b/manifest.json"}, "leave one of the two out"),
        ({"includes": ["*"]}, "includes"),
    ],
    ids=["no-time", "too-far", "no-version", "both", "misspelt"],
)
def test_what_makes_no_sense_is_refused(select: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterTypeError, match=message):
        scan_models.validate_parameters({"source": "/m", "select": select})


def test_a_form_becomes_what_the_scanner_takes() -> None:
    assert ScanSelection().selection() == Selection()
    form = ScanSelection(include=["*.gguf"], exclude=["x/**"], modified_since=" 2026-05-01 ")
    assert form.selection() == Selection(("*.gguf",), ("x/**",), 1777593600.0)
    assert ScanSelection(versions="all").selection().all_versions


@pytest.mark.server
@pytest.mark.parametrize("address", ["https://user:hunter2@127.0.0.1/m", "https://h/m?sig=hunter2"])
@pytest.mark.usefixtures("prefect")
def test_an_inventory_with_secrets_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(ValueError, match="storage block") as caught:
        scan_models(str(tmp_path), select=ScanSelection(inventory=address))
    assert "hunter2" not in str(caught.value)


@pytest.mark.server
@pytest.mark.parametrize("most", [250, 1], ids=["single-runs", "batches"])
def test_a_part_then_everything(tmp_path: Path, prefect: PrefectServer, most: int) -> None:
    assert prefect.api
    files = {"a/x.gguf": GGUF, "a/y.gguf": GGUF[:90], "b/x.gguf": GGUF, "b/y.gguf": OTHER}
    root, table = put_local(tmp_path / "root", files), str(tmp_path / "table")
    for name in files:
        os.utime(os.path.join(root, name), (1e9, 1e9))
    part = scan_models(
        root, table=table, max_task_runs=most, select=ScanSelection(include=["a/**"])
    )
    assert (part.artifacts, part.examined, part.drift) == (2, 2, {"added": 2})
    young = ScanSelection(modified_since="7d")
    assert scan_models(root, table=table, select=young).drift == {"left-out": 2}
    whole = scan_models(root, table=table, max_task_runs=most)
    assert (whole.examined, whole.drift) == (2, {"added": 2, "unchanged": 2})
    put_local(tmp_path / "root", {"b/new.gguf": GGUF})
    for rescan in ("changed", "all"):
        late = scan_models(root, table=table, select=young, rescan=rescan, max_task_runs=most)
        assert late.passed == [f"{root}/b/new.gguf"]
        assert late.drift["left-out"] == 4
    assert len(Table(table, root).read_state()) == 5


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_agents_start_only_for_what_the_scan_is_about(tmp_path: Path) -> None:
    files = {"a/x.gguf": GGUF, "a/y.gguf": GGUF, "b/x.gguf": GGUF}
    root, table = put_local(tmp_path / "root", files), str(tmp_path / "table")
    agents = [AgentLaunch(command=[sys.executable, "-c", "pass"])]

    def started(**parameters: object) -> dict[str, str]:
        summary = scan_models(root, table=table, agents=agents, **parameters)  # type: ignore[call-overload]
        return {run.url.removeprefix(f"{root}/"): run.state for run in summary.agents}

    first = started(max_agent_runs=1)
    assert sorted(first.values()) == ["completed", "waiting", "waiting"]
    # What waits and is not selected goes on waiting; a scan about the rest starts it.
    assert started(select=ScanSelection(include=["a/**"])) == {"a/y.gguf": "completed"}
    assert started(select=ScanSelection(exclude=["*"])) == {}
    assert started() == {"b/x.gguf": "completed"}
    # A gate over a scan is about what is selected.
    put_local(tmp_path / "root", {"a/x.gguf": GGUF[:90], "b/x.gguf": OTHER})
    assert started(gate="scan") == {}
    only_b = ScanSelection(exclude=["a/**"])
    assert started(gate="scan", select=only_b) == {"b/x.gguf": "completed"}
    # Another policy for a part judges nothing else, and what becomes fit later starts later.
    strict = Policy(denied_architectures=("llama",))
    assert started(policy=strict, select=ScanSelection(include=["a/**"])) == {}
    assert Table(table, root).read_state()[f"{root}/b/x.gguf"].passed


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_versions_of_a_bucket(
    tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", json.dumps(s3_server.options))
    bucket, client = s3_server.bucket(), s3_server.client()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for data in (GGUF[:90], OTHER, GGUF):
        client.put_object(Bucket=bucket, Key="m/a.gguf", Body=data)
    source, table = f"s3://{bucket}/m", str(tmp_path / "table")
    every = ScanSelection(versions="all")
    for most in (250, 1):
        found = scan_models(source, max_task_runs=most, select=every)
        assert [VERSION_MARK in url for url in found.passed] == [False, True]
        assert len(found.failed) == 1
    assert scan_models(source, table=table, select=every).drift == {"added": 3}
    assert scan_models(source, table=table).drift == {"unchanged": 1, "left-out": 2}
    with pytest.raises(Exception, match="only be listed on S3"):
        scan_models("memory://m", select=every)
