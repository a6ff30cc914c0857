"""What ``prefect-mutagen verify`` says."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Ask", "Said"]


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert self.out.count("\n") == 1
        found: dict[str, Any] = json.loads(self.out)
        return found


Ask = Callable[..., Said]
"""Runs the command with these words."""
