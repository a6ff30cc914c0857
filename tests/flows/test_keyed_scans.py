"""Runs of the flow over keys: exactly these models, and a state that names what is not there."""

import os
from pathlib import Path
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError

from prefect_mutagen.flows import ModelsRefused, scan_models
from prefect_mutagen.tasks.scan_selection import ScanSelection
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

GGUF = gguf().data
CUT = GGUF[:90]


def test_the_form_takes_keys() -> None:
    schema = scan_models.parameters.model_dump()["properties"]["keys"]
    assert (schema["type"], schema["items"]["type"], schema["default"]) == ("array", "string", [])
    with pytest.raises(ParameterTypeError):
        scan_models.validate_parameters({"source": "/m", "keys": "m.gguf"})


@pytest.fixture
def root(tmp_path: Path) -> str:
    return put_local(tmp_path / "root", {"a.gguf": GGUF, "b/b.gguf": GGUF, "c/c.gguf": CUT})


@pytest.mark.server
def test_keys_into_a_table(root: str, tmp_path: Path, prefect: PrefectServer) -> None:
    rest: dict[str, Any] = {"table": str(tmp_path / "table"), "return_state": True}
    assert scan_models(root, **rest).name == "Refused"
    first: Any = scan_models(root, keys=["b/b.gguf"], **rest)
    assert (first.name, first.message) == ("Passed", "1 passed")
    assert first.result().drift == {"unchanged": 1, "left-out": 2}
    os.unlink(f"{root}/a.gguf")
    gone: Any = scan_models(root, keys=[f"{root}/a.gguf", "b/b.gguf", "none.gguf"], **rest)
    said = "2 keys not found: a.gguf, none.gguf; 1 passed"
    assert (gone.type.value, gone.name, gone.message) == ("COMPLETED", "NotFound", said)
    assert gone.result().drift == {"unchanged": 1, "left-out": 1, "removed": 1}
    assert gone.result().not_found == [f"{root}/a.gguf", f"{root}/none.gguf"]
    with prefect.connect() as client:
        runs = client.post("/flow_runs/filter", json={"sort": "START_TIME_DESC", "limit": 1}).json()
    assert runs[0]["name"].endswith("Z: 1 passed, 2 keys not found")
    nothing: Any = scan_models(root, keys=["none.gguf"], **rest)
    assert (nothing.name, nothing.result().artifacts) == ("NotFound", 0)
    with pytest.raises(ModelsRefused, match="1 key not found: none"):
        scan_models(root, keys=["none.gguf"], fail_on_refused=True)
    both: Any = scan_models(root, keys=["c/c.gguf", "none.gguf"], return_state=True)
    assert (both.name, both.message.partition(":")[0]) == ("Refused", "1 key not found")


@pytest.mark.server
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([""], "a key is empty"),
        (["b/b.gguf", "../x.gguf"], "'..'"),
        (["/elsewhere/m.gguf"], "outside of the root"),
        (["https://u:hunter2@h/m.gguf"], "storage block"),
    ],
    ids=["empty", "climbing", "outside", "secret"],
)
@pytest.mark.usefixtures("prefect")
def test_keys_that_name_nothing_below_the_root(root: str, keys: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        scan_models(root, keys=keys)
    assert "hunter2" not in str(caught.value)


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_keys_do_not_go_with_an_inventory(root: str) -> None:
    select = ScanSelection(inventory="s3://b/manifest.json")
    with pytest.raises(ValueError, match="keys name the newest versions"):
        scan_models(root, keys=["a.gguf"], select=select)
