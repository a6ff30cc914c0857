"""Put files into each kind of storage, and drive a store from outside its loop."""

import asyncio
import uuid
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import fsspec
import pytest

from prefect_mutagen.scanner.storage.coroutines import run
from prefect_mutagen.scanner.storage.store import Store
from tests.servers import S3Server

T = TypeVar("T")

__all__ = ["ENGINES", "S3_SERVERS", "choose_engine", "put_local", "put_memory", "s3_table", "wait"]

ENGINES = ("fsspec", "obstore")
S3_SERVERS = (
    "s3_server",
    pytest.param("swift_server", marks=[pytest.mark.server, pytest.mark.slow]),
)
"""Fixtures that a table in S3 is tested with."""


def s3_table(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Name a table in a new bucket of the server that a fixture's parameter names; its options."""
    server: S3Server = request.getfixturevalue(request.param)
    return f"s3://{server.bucket()}/table", server.options


def choose_engine(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """Let S3 be read by this engine; obstore is an extra that may be missing."""
    if engine == "obstore":
        pytest.importorskip("obstore")
    monkeypatch.setenv("PREFECT_MUTAGEN_ENGINE", engine)


def put_local(folder: Path, files: Mapping[str, bytes]) -> str:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(folder)


def put_memory(files: Mapping[str, bytes]) -> str:
    system = fsspec.filesystem("memory")
    root = f"/{uuid.uuid4().hex}"
    for name, data in files.items():
        system.pipe_file(f"{root}/{name}", data)
    return f"memory:/{root}"


def wait(store: Store, work: Coroutine[Any, Any, T]) -> T:
    assert isinstance(work, Coroutine)
    assert store.loop is None or isinstance(store.loop, asyncio.AbstractEventLoop)
    return run(store, work)
