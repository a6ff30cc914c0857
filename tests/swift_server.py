"""OpenStack Swift with its S3 API: a production server that is not of our making.

One folder holds everything: rings of one device and one replica, four daemons (account, container,
object, proxy), each a child process. The file system has to keep extended attributes.

``python -m tests.swift_server FOLDER ROLE`` runs one daemon. Swift itself is never imported by the
tests' own process: it brings a library that warns at every fork from then on.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from tests.servers import HOST, S3Server, free_port

__all__ = ["SwiftServer", "can_run_swift"]

_ROLES = ("account", "container", "object")
_BACKEND = """[DEFAULT]
bind_ip = {host}
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
workers = 0
log_level = ERROR
[pipeline:main]
pipeline = {role}-server
[app:{role}-server]
use = egg:swift#{role}
"""
_PROXY = """[DEFAULT]
bind_ip = {host}
bind_port = {port}
user = {user}
swift_dir = {folder}
workers = 0
log_level = ERROR
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck s3api tempauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


def can_run_swift(folder: Path) -> bool:
    """Say whether Swift is installed and a folder's file system can hold what it stores."""
    if find_spec("swift") is None or not hasattr(os, "setxattr"):
        return False
    try:
        os.setxattr(folder, "user.swift.probe", b"1")
    except OSError:
        return False
    return True


class SwiftServer(S3Server):
    """A Swift cluster of one machine, with the methods of `tests.servers.S3Server`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.key, self.secret = "test:tester", "testing"
        self._folder = folder
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._write()
        for role in (*_ROLES, "proxy"):
            command = [sys.executable, "-m", "tests.swift_server", str(self._folder), role]
            log = (self._folder / f"{role}.log").open("wb")
            with log:
                self._children.append(subprocess.Popen(command, stdout=log, stderr=log))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if any(child.poll() is not None for child in self._children):
                break
            try:
                with urllib.request.urlopen(f"{self.url}/healthcheck", timeout=2):  # noqa: S310 - our own server
                    return self
            except OSError:
                time.sleep(0.1)
        self.stop()
        logs = [path.read_text()[-400:] for path in self._folder.glob("*.log")]
        raise RuntimeError(f"Swift did not start: {logs}")

    def stop(self) -> None:
        for child in self._children:
            child.terminate()
        for child in self._children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()

    def _write(self) -> None:
        (self._folder / "devices" / "d1").mkdir(parents=True)
        (self._folder / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n"
        )
        names = {"host": HOST, "folder": self._folder, "user": _user()}
        for role in _ROLES:
            port = free_port()
            text = _BACKEND.format(role=role, port=port, **names)
            (self._folder / f"{role}-server.conf").write_text(text)
            ring = str(self._folder / f"{role}.ring.gz")
            command = [sys.executable, "-m", "tests.swift_server", ring, str(port)]
            subprocess.run(command, check=True, capture_output=True)
        (self._folder / "proxy-server.conf").write_text(_PROXY.format(port=self.port, **names))


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _write_ring(path: str, port: int) -> None:
    """Write the ring of one device that a daemon at this port serves."""
    from swift.common.ring import RingBuilder

    ring = RingBuilder(2, 1, 0)
    device = {"id": 0, "region": 1, "zone": 1, "weight": 1, "device": "d1"}
    ring.add_dev(device | {"ip": HOST, "port": port})
    ring.rebalance()
    ring.get_ring().save(path)


def main() -> int:
    """Run one daemon until it is ended, or write its ring."""
    folder, role = sys.argv[1:]
    if folder.endswith(".ring.gz"):
        _write_ring(folder, int(role))
        return 0
    from swift.common import utils
    from swift.common.wsgi import run_wsgi

    utils.SWIFT_CONF_FILE = f"{folder}/swift.conf"
    status: int = run_wsgi(f"{folder}/{role}-server.conf", f"{role}-server")
    return status


if __name__ == "__main__":
    sys.exit(main())
