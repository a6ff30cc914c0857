"""A storage block that cannot be loaded: one sentence that says what to do, in the run's state."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_mutagen.flows import run_agent, scan_models
from prefect_mutagen.tasks.storage_blocks import storage_options
from tests.servers import HOST, PrefectServer, free_port

pytestmark = pytest.mark.server
SECRET = "hunter2"  # noqa: S105 - it must turn up nowhere
INSTALL = "install it where the flow runs (on the worker)"


@pytest.fixture
def http(prefect: PrefectServer) -> Iterator[httpx.Client]:
    with prefect.connect() as client:
        yield client


def _make_block(http: httpx.Client, slug: str, name: str, data: dict[str, Any]) -> str:
    """Make a block as the UI does: the server knows types that nobody has installed."""
    block_type = http.get(f"/block_types/slug/{slug}").raise_for_status().json()["id"]
    body = {"block_schemas": {"block_type_id": {"any_": [block_type]}}}
    schemas = http.post("/block_schemas/filter", json=body).raise_for_status().json()
    document = {
        "name": name,
        "data": data,
        "block_type_id": block_type,
        "block_schema_id": schemas[0]["id"],
    }
    http.post("/block_documents/", json=document).raise_for_status()
    return f"{slug}/{name}"


def _last_run(http: httpx.Client, flow: str) -> dict[str, dict[str, str]]:
    body = {"sort": "START_TIME_DESC", "limit": 1, "flows": {"name": {"any_": [flow]}}}
    run: dict[str, dict[str, str]] = http.post("/flow_runs/filter", json=body).json()[0]
    return run


def _needs(package: str, install: str) -> str:
    where = "where the flow runs (on the worker)"
    return f"needs {package}, which is not installed: pip install {install} {where}"


@pytest.mark.parametrize(
    ("slug", "sentence"),
    [
        ("gcp-credentials", _needs("prefect-gcp", "prefect-gcp")),
        (
            "azure-blob-storage-credentials",
            _needs("prefect-azure", "'prefect-azure[blob_storage]'"),
        ),
        ("slack-credentials", f"needs the package of its type, which is not installed: {INSTALL}"),
    ],
)
def test_a_type_whose_package_is_not_installed(
    slug: str, sentence: str, http: httpx.Client
) -> None:
    block = _make_block(http, slug, "models", {"token": SECRET})
    with pytest.raises(ValueError, match="storage block") as caught:
        scan_models("s3://models", storage=block)
    assert str(caught.value) == f"the storage block {block!r} {sentence}"
    assert _last_run(http, "scan-models")["state"]["message"].endswith(str(caught.value))


def test_a_worker_without_prefect_aws(prefect: PrefectServer, http: httpx.Client) -> None:
    data: dict[str, Any] = {"aws_access_key_id": "key", "aws_secret_access_key": SECRET}
    block = _make_block(http, "aws-credentials", "models", data)
    code = (
        "import sys; sys.modules['prefect_aws'] = None\n"
        "from prefect_mutagen.flows import scan_models\n"
        f"scan_models('s3://models', storage={block!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PREFECT_API_URL": prefect.api},
        capture_output=True,
        text=True,
        check=False,
    )
    sentence = (
        f"the storage block {block!r} needs prefect-aws, which is not installed: "
        "pip install 'prefect-mutagen[aws]' where the flow runs (on the worker)"
    )
    assert _last_run(http, "scan-models")["state"]["message"].endswith(sentence)
    # Python prints the exception once, Prefect's log once: short enough to be read.
    assert len(done.stderr.splitlines()) < 80, done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("aws-credentials/nothing", "does not exist"),
        ("no-such-type/models", "does not exist"),
        ("aws-credentials", "is not the name of a storage block: write it as type/name"),
        ("aws-credentials/", "is not the name of a storage block: write it as type/name"),
        ("/models", "is not the name of a storage block: write it as type/name"),
    ],
)
def test_a_block_that_is_not_there(block: str, reason: str, http: httpx.Client) -> None:
    with pytest.raises(ValueError, match="storage block") as caught:
        scan_models("s3://models", storage=block)
    assert reason in str(caught.value)
    assert _last_run(http, "scan-models")["state"]["message"].endswith(str(caught.value))
    with pytest.raises(ValueError, match="storage block") as caught:
        run_agent(["true"], "s3://models/a.gguf", storage=block)
    assert reason in str(caught.value)
    assert _last_run(http, "run-agent")["state"]["message"].endswith(str(caught.value))


def test_a_misspelt_name_is_told_what_there_is(http: httpx.Client) -> None:
    data = {"basepath": "s3://models"}
    for name in ("production", "research"):
        _make_block(http, "remote-file-system", name, data)
    with pytest.raises(ValueError, match="does not exist") as caught:
        storage_options("remote-file-system/prodction")
    said = str(caught.value)
    assert "'remote-file-system/prodction' does not exist: of this type there are " in said
    assert "production" in said
    assert "research" in said
    assert said.endswith("; did you mean production?")


def test_a_block_that_does_not_fit_its_class(http: httpx.Client) -> None:
    block = _make_block(http, "remote-file-system", "unfit", {"settings": {"secret": SECRET}})
    with pytest.raises(ValueError, match="does not match the installed version") as caught:
        storage_options(block)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_block_is_loaded_where_an_event_loop_runs(http: httpx.Client) -> None:
    data = {"basepath": "s3://models", "settings": {"key": "k"}}
    block = _make_block(http, "remote-file-system", "in-a-loop", data)

    async def load() -> dict[str, Any]:
        return storage_options(block)

    assert asyncio.run(load()) == {"key": "k"}


def test_a_block_without_options_for_a_file_system(http: httpx.Client) -> None:
    block = _make_block(http, "secret", "models", {"value": SECRET})
    with pytest.raises(ValueError, match="contains no options of a file system"):
        storage_options(block)


def test_a_server_that_is_away() -> None:
    with (
        temporary_settings({PREFECT_API_URL: f"http://{HOST}:{free_port()}/api"}),
        pytest.raises(ValueError, match=r"Prefect's server does not answer \(ConnectError\)$"),
    ):
        storage_options("aws-credentials/models")
