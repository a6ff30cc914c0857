"""Temporary files and folders that tell by their names which process they belong to.

A process that is killed cannot remove them. The next one can, because it sees from the name whether
their process still lives. A name is there from the start: there is no moment in which a file or
folder belongs to nobody.
"""

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from prefect_mutagen.scanner.claimants import Claimant, this_claimant

__all__ = ["own_folder", "owner_mark", "partial_path", "sweep_folders", "sweep_partial_files"]

_MARK: Final = r"([0-9a-f]{8}-\d+)-(\d+)-(\d+)"
_FOLDER: Final = re.compile(rf"(?:prefect-)?mutagen-(?:[a-z]+-)?{_MARK}-\w+")
_PARTIAL: Final = re.compile(rf".+\.{_MARK}\.partial", re.DOTALL)
_UNUSED_SECONDS: Final = 7 * 86_400.0
"""Seconds without a change after which what belongs to another boot or container is left behind."""


def owner_mark() -> str:
    """Return the part of a name that identifies this process: machine and boot, pid, start time."""
    own = this_claimant()
    return f"{_machine(own)}-{own.pid}-{own.start_time or 0}"


def own_folder(
    kind: str = "", *, ignore_cleanup_errors: bool = False
) -> "tempfile.TemporaryDirectory[str]":
    """Create a temporary folder of this process; a context manager.

    Args:
        kind: One word for what it is for.
        ignore_cleanup_errors: As for `tempfile.TemporaryDirectory`.
    """
    prefix = f"mutagen-{kind}-" if kind else "mutagen-"
    return tempfile.TemporaryDirectory(
        prefix=f"{prefix}{owner_mark()}-", ignore_cleanup_errors=ignore_cleanup_errors
    )


def partial_path(path: str) -> str:
    """Return the name under which this process writes a file before it is complete."""
    return f"{path}.{owner_mark()}.partial"


def sweep_folders() -> int:
    """Delete the temporary folders of processes that have ended.

    Returns:
        How many.
    """
    swept = 0
    # The folder for temporary files may be one of this process.
    for parent in dict.fromkeys((_outer(tempfile.gettempdir()), tempfile.gettempdir())):
        for path in _left_behind(parent, _FOLDER, stat.S_ISDIR):
            shutil.rmtree(path, ignore_errors=True)
            swept += 1
    return swept


def sweep_partial_files(folder: str) -> int:
    """Delete the unfinished files in a folder whose processes have ended.

    Args:
        folder: Where `partial_path` leads to.

    Returns:
        How many.
    """
    swept = 0
    for path in _left_behind(folder or ".", _PARTIAL, stat.S_ISREG):
        with suppress(OSError):
            os.unlink(path)
            swept += 1
    return swept


def _outer(folder: str) -> str:
    parent, name = os.path.split(folder)
    return parent if _FOLDER.fullmatch(name) else folder


def _left_behind(
    folder: str, names: "re.Pattern[str]", is_kind: Callable[[int], bool]
) -> list[str]:
    """Return the paths in a folder that belong to processes of this user that have ended."""
    own = this_claimant()
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            matched = names.fullmatch(entry.name)
            if matched is None:
                continue
            with suppress(OSError):  # another process may sweep at the same time
                status = entry.stat(follow_symlinks=False)
                if status.st_uid == os.getuid() and is_kind(status.st_mode):
                    machine, pid, start = matched.groups()
                    here = replace(own, pid=int(pid), start_time=start)
                    alive = here.is_alive if machine == _machine(own) else None
                    unused = time.time() - status.st_mtime > _UNUSED_SECONDS
                    if alive is False or (alive is None and unused):
                        found.append(entry.path)
    return found


def _machine(claimant: Claimant) -> str:
    """Return what tells machines, boots and PID namespaces apart, in a few characters."""
    boot, namespace = claimant.boot[:8], re.sub(r"\D", "", claimant.pid_namespace)
    return f"{boot or '0' * 8}-{namespace or 0}"
