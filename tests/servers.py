"""Real servers for tests, as child processes on 127.0.0.1; each is stopped by who started it."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
import zlib
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import boto3
import httpx

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A child process that answers HTTP when it is ready."""

    command: list[str]
    health = "/"
    patience = 240.0

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        self.log = os.devnull
        """File to write what it says to."""

    def __enter__(self) -> Self:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, env=os.environ | self.environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.url + self.health, timeout=2):  # noqa: S310
                    return self
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"{self.command} did not start")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class S3Server(Server):
    """moto, which speaks S3; a strict one enforces signatures and permissions."""

    health = "/moto-api/"

    def __init__(self, *, strict: bool = False) -> None:
        super().__init__()
        self.command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)]
        self.key, self.secret = "testing", "testing"
        self._strict = strict
        if strict:
            # Four calls without permissions, to make the user that has them all.
            self.environment["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"

    def __enter__(self) -> Self:
        super().__enter__()
        if self._strict:
            self._admit()
        return self

    def _admit(self) -> None:
        iam = self.client("iam")
        iam.create_user(UserName="scanner")
        made = iam.create_access_key(UserName="scanner")["AccessKey"]
        document = (
            '{"Version":"2012-10-17","Statement":'
            '[{"Effect":"Allow","Action":"*","Resource":"*"},'
            '{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::closed*"}]}'
        )
        policy = iam.create_policy(PolicyName="all", PolicyDocument=document)["Policy"]["Arn"]
        iam.attach_user_policy(UserName="scanner", PolicyArn=policy)
        self.key, self.secret = made["AccessKeyId"], made["SecretAccessKey"]

    def client(self, service: str = "s3") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
        )

    @property
    def options(self) -> dict[str, Any]:
        """Storage options that lead here."""
        return {"key": self.key, "secret": self.secret, "endpoint_url": self.url}

    def bucket(self, files: dict[str, bytes] | None = None) -> str:
        """Make a bucket with these objects; its name."""
        name = f"b{uuid.uuid4().hex[:12]}"
        client = self.client()
        client.create_bucket(Bucket=name)
        for key, data in (files or {}).items():
            client.put_object(Bucket=name, Key=key, Body=data)
        return name


_BUSY = 503
_BUSY_PATIENCE = 60


class _Patient(httpx.HTTPTransport):
    """Ask again while the server says that it is busy, as Prefect's own clients do."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + _BUSY_PATIENCE
        while True:
            response = super().handle_request(request)
            if response.status_code != _BUSY or time.monotonic() > deadline:
                return response
            response.read()
            response.close()
            time.sleep(1)


def connect(api: str) -> httpx.Client:
    """Open the REST API of a Prefect server, which may be busy at times."""
    return httpx.Client(base_url=api, timeout=60, transport=_Patient())


class PrefectServer(Server):
    """`prefect server start`, on SQLite, with more settings as variables."""

    health = "/api/health"

    def __init__(self, home: str, **settings: str) -> None:
        super().__init__()
        self.api = f"{self.url}/api"
        self.home = home
        self.command = [
            *(sys.executable, "-m", "prefect", "server", "start"),
            *("--host", HOST, "--port", str(self.port), "--no-ui"),
        ]
        self.environment = {"PREFECT_HOME": home, "PREFECT_SERVER_LOGGING_LEVEL": "ERROR"}
        self.environment |= settings
        self.client_environment = {"PREFECT_HOME": home, "PREFECT_API_URL": self.api}

    def connect(self) -> httpx.Client:
        """Open its REST API."""
        return connect(self.api)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let events of this process arrive first: later ones would wait behind them."""
        events = sys.modules.get("prefect.events.worker")
        if events is not None and asyncio._get_running_loop() is None:
            events.EventsWorker.drain_all(timeout=20, at_exit=False)
        super().__exit__(kind, problem, trace)


class WebServer:
    """A web server over a folder, in a thread; it counts requests and can be told to misbehave.

    Attributes:
        ranges: Whether it honours ``Range``.
        etags: Whether it sends ``ETag``.
        status: What to answer instead, by path.
        redirects: Where to send who asks, by path.
        pages: Pages to send instead, by path.
        cut: Bytes after which a reply breaks off; None: never.
        requests: What was asked: method, path, range.
    """

    def __init__(self, folder: Path, *, ranges: bool = True, etags: bool = True) -> None:
        self.folder = folder
        self.ranges = ranges
        self.etags = etags
        self.status: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.pages: dict[str, bytes] = {}
        self.cut: int | None = None
        self.requests: list[tuple[str, str, str]] = []
        self.password = ""
        self._server = ThreadingHTTPServer((HOST, 0), partial(_WebHandler, self))
        self.url = f"http://{HOST}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _WebHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, site: WebServer, *args: Any) -> None:
        self.site = site
        super().__init__(*args)

    def do_GET(self) -> None:
        site = self.site
        path = self.path.partition("?")[0]
        wanted = self.headers.get("Range", "")
        site.requests.append((self.command, self.path, wanted))
        if path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[path])
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if path in site.status:
            return self._reply(site.status[path], b"")
        if path in site.pages:
            return self._reply(200, site.pages[path], kind="text/html")
        if site.password and self.headers.get("Authorization", "") != site.password:
            return self._reply(401, b"")
        place = site.folder / unquote(path.strip("/"))
        if place.is_dir():
            names = [name.name + "/" * name.is_dir() for name in place.iterdir()]
            links = "".join(f'<a href="{name}">{name}</a>\n' for name in names)
            return self._reply(200, f"<html>{links}</html>".encode(), kind="text/html")
        if not place.is_file():
            return self._reply(404, b"")
        data = place.read_bytes()
        etag = f'"{zlib.crc32(data):x}"' if site.etags else ""
        if self.headers.get("If-Match") not in (None, etag):
            return self._reply(412, b"")
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted) if site.ranges else None
        if span is None:
            return self._reply(200, data, etag=etag)
        start, end = int(span[1]), min(int(span[2]) + 1, len(data))
        if start >= len(data):
            return self._reply(416, b"", extent=f"bytes */{len(data)}")
        extent = f"bytes {start}-{end - 1}/{len(data)}"
        return self._reply(206, data[start:end], etag=etag, extent=extent)

    def _reply(
        self, status: int, body: bytes, *, etag: str = "", extent: str = "", kind: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (("ETag", etag), ("Content-Range", extent), ("Content-Type", kind)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body if self.site.cut is None else body[: self.site.cut])
        except OSError:
            self.close_connection = True  # the client has seen enough
        if self.site.cut is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
