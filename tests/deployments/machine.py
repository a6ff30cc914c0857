"""A folder that stands for a container: absolute paths lie in it, and its programs are ours."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Machine"]

SHIPPED = Path(__file__).parents[2] / "deployments"
_PLACES = ("/models", "/etc/mutagen", "/dev/termination-log", "/mnt/models", "/github/workspace")
"""Paths of containers that are looked for below the folder."""


class Machine:
    """A folder with a root and programs."""

    def __init__(self, folder: Path) -> None:
        self._root, self._programs = folder / "root", folder / "programs"
        self._programs.mkdir()
        self.program("prefect-mutagen", f'exec {sys.executable} -m prefect_mutagen "$@"')
        initializer = SHIPPED / "kserve/storage_initializer.py"
        self.program("mutagen-storage-initializer", f'exec {sys.executable} {initializer} "$@"')

    def program(self, name: str, script: str) -> None:
        """Put a program there, written for the shell."""
        path = self._programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def wrap(self, name: str, after: str) -> None:
        """Have a program followed by something else; its status stays."""
        shutil.move(self._programs / name, self._programs / f"{name}-itself")
        self.program(name, f'{self._programs / name}-itself "$@"; status=$?; {after}; exit $status')

    def path(self, place: str) -> str:
        """Where an absolute path of the container lies."""
        path = self._root / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def write(self, place: str, data: bytes) -> str:
        """Write a file of the container, and return where it lies."""
        path = self.path(place)
        Path(path).write_bytes(data)
        return path

    def run(
        self, words: Sequence[str], folder: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the container; paths in its words lie below the folder."""
        there = [self._local(word) for word in words]
        path = f"{self._programs}:{Path(sys.executable).parent}:/usr/bin:/bin"
        environment = {
            name: os.environ[name] for name in ("HOME", "PYTHONPATH") if name in os.environ
        }
        return subprocess.run(
            there,
            cwd=self._local(folder) or None,
            env={**environment, "PATH": path, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )

    def _local(self, word: str) -> str:
        option, _, value = word.rpartition("=")
        if value.startswith(_PLACES):
            return f"{option}={self.path(value)}" if option else self.path(value)
        return word
