"""Which tests share a worker when pytest-xdist runs them side by side, and which come first."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

__all__ = ["FileScheduling", "is_long"]

# Each group shares a session's Prefect server, which takes ten seconds and 300 MB.
_SHARE_A_SERVER = {
    "tests/flows/test_agent_starts.py": "agents",
    "tests/test_docs.py": "agents",
    "tests/flows/": "flows",
}


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Hand out tests by files, those that share a Prefect server together.

    pytest-xdist's own marks for this (``--dist loadgroup``) do nothing under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        groups = (name for start, name in _SHARE_A_SERVER.items() if file.startswith(start))
        return next(groups, file)


def is_long(item: pytest.Item) -> bool:
    """Whether a test starts early, so that no long one is left at the end."""
    fixtures: Any = getattr(item, "fixturenames", ())
    return "prefect_server" in fixtures or item.get_closest_marker("server") is not None
