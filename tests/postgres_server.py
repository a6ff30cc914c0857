"""A PostgreSQL server for tests, from Debian's package, as a child process on 127.0.0.1."""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any, Self

from tests.servers import HOST, free_port

__all__ = ["PostgresServer", "can_run_postgres"]

_PATIENCE = 60.0
_USERS = ("postgres", "nobody")
"""It refuses to run as root: the first of these that there is owns it then."""


def _program(name: str) -> str:
    """Give the path of one of its programs, of the newest release; empty without one."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=_release)
    return found[-1] if found else shutil.which(name) or ""


def _release(path: str) -> float:
    number = path.split("/")[4]
    return float(number) if number.replace(".", "").isdecimal() else 0.0


def can_run_postgres() -> bool:
    """Whether PostgreSQL is installed."""
    return all(map(_program, ("initdb", "postgres", "pg_isready")))


class PostgresServer:
    """One with an empty database; what it holds goes with it.

    Attributes:
        url: Address of the database as Prefect's server takes it.
    """

    def __init__(self) -> None:
        self._port = free_port()
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            known = {entry.pw_name: entry for entry in pwd.getpwall()}
            owner = next(known[name] for name in _USERS if name in known)
            self._user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+asyncpg://prefect@{HOST}:{self._port}/postgres"

    def __enter__(self) -> Self:
        # Folders of pytest are root's alone.
        self._folder = tempfile.mkdtemp(prefix="mutagen-postgres-")
        if self._user:
            os.chown(self._folder, self._user["user"], self._user["group"])
        data = f"{self._folder}/data"
        made = [_program("initdb"), "-D", data, "-U", "prefect", "--auth=trust"]
        made += ["--no-sync", "--encoding=UTF8", "--locale=C"]
        try:
            self._run(made, check=True)
            # Nothing has to outlive the machine, and Prefect opens up to 15 connections a process.
            settings = ("fsync=off", "full_page_writes=off", "max_connections=200")
            self._process = subprocess.Popen(
                [
                    *(_program("postgres"), "-D", data, "-h", HOST, "-p", str(self._port)),
                    *("-k", self._folder),
                    *(word for setting in settings for word in ("-c", setting)),
                ],
                cwd=self._folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **self._user,
            )
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _PATIENCE
        asked = [_program("pg_isready"), "-h", HOST, "-p", str(self._port)]
        while self._run(asked, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL did not start")
            time.sleep(0.1)

    def _run(self, words: list[str], *, check: bool) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            words, cwd=self._folder, capture_output=True, check=check, timeout=60, **self._user
        )

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # SIGTERM would wait for its clients
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
