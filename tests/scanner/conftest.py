"""Where the tests of what lies in a table put one."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.servers import S3Server


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """Address and storage options of a table that is not there yet."""
    if request.param == "local":
        return str(tmp_path / "table"), {}
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/table", {}
    server: S3Server = request.getfixturevalue("s3_server")
    return f"s3://{server.bucket()}/table", server.options
