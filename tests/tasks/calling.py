"""Call a task as an engine on another machine does."""

import pickle
from typing import Any

from prefect_mutagen.tasks.quoting import opened

__all__ = ["called"]


def called(task: Any, *arguments: Any) -> Any:
    """Call a task with copies of its arguments, which it must not change; copy its result."""
    given = [pickle.loads(pickle.dumps(argument)) for argument in arguments]  # noqa: S301
    before = [pickle.dumps(argument) for argument in given]
    result = task.fn(*given)
    assert [pickle.dumps(argument) for argument in given] == before
    return opened(pickle.loads(pickle.dumps(result)))  # noqa: S301
