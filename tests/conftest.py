"""Servers and folders that several tests use. Everything is started and stopped here."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before anything imports Prefect: tests keep their own home, and tell nobody that they ran.
_HOME = tempfile.mkdtemp(prefix="mutagen-prefect-")
os.environ["PREFECT_HOME"] = _HOME
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["DO_NOT_TRACK"] = "1"
for _name in (
    *("PREFECT_API_URL", "PREFECT_API_KEY"),
    *("PREFECT_MUTAGEN_STORAGE_OPTIONS", "PREFECT_MUTAGEN_ENGINE"),
):
    os.environ.pop(_name, None)
for _name in [name for name in os.environ if name.startswith("AWS_")]:
    os.environ.pop(_name)
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

from tests.scheduling import FileScheduling, is_long  # noqa: E402 - the environment comes first
from tests.servers import PrefectServer, S3Server  # noqa: E402 - the environment comes first
from tests.swift_server import SwiftServer, can_run_swift  # noqa: E402 - the same

GOLDEN = Path(__file__).parent / "golden"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes long: workers that run side by side then end together."""
    items.sort(key=lambda item: not is_long(item))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling:
    """Hand out tests to workers as `tests.scheduling` says."""
    return FileScheduling(config, log)


@pytest.fixture(scope="session")
def golden_inputs() -> Path:
    """Small model folders that l-bom was run on."""
    return GOLDEN / "inputs"


@pytest.fixture(scope="session")
def real_models() -> Path:
    """Headers of real models, where the environment names a folder of them."""
    folder = os.environ.get("MUTAGEN_REAL_MODELS", "")
    if not folder:
        pytest.skip("MUTAGEN_REAL_MODELS names no folder")
    return Path(folder)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server that takes anybody."""
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def strict_s3_server() -> Iterator[S3Server]:
    """An S3 server that checks signatures and permissions."""
    with S3Server(strict=True) as server:
        yield server


@pytest.fixture(scope="session")
def swift_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    """OpenStack Swift with its S3 API."""
    folder = tmp_path_factory.mktemp("swift")
    if not can_run_swift(folder):
        pytest.skip("Swift is not installed, or files here have no extended attributes")
    with SwiftServer(folder) as server:
        yield server


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[PrefectServer]:
    """A Prefect server; flows that this process runs use it."""
    with PrefectServer(_HOME) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _clean_home() -> Iterator[None]:
    yield
    shutil.rmtree(_HOME, ignore_errors=True)
