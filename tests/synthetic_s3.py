"""A synthetic S3 server: raw HTTP on asyncio, with latency, bandwidth and faults, which it counts.

It speaks what a reader needs: ListObjectsV2 with pages, GET and HEAD with Range, If-Match and
versionId. Signatures are not looked at; moto does that. Addresses are ``/bucket/key``, and any
bucket holds the same.

``python -m tests.synthetic_s3 --help`` runs one as a process of its own, for benchmarks.
"""

import argparse
import asyncio
import bisect
import json
import re
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Literal, Self
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape

from tests.servers import HOST, free_port
from tests.synthetic_contents import Body, Content, ManyModels, Written, small_safetensors

__all__ = ["Fault", "SyntheticS3"]

Fault = Literal[
    "fine",
    "slow-down",
    "error",
    "reset",
    "cut",
    "torn",
    "stall",
    "replace",
    "denied",
    "elsewhere",
]
"""What happens to a request: 503, 500, no reply at all, half a body and the end, half a body of
which some is lost, a reply that never goes on, the object replaced just before, 403, another
region."""
_HALVES: tuple[Fault | None, ...] = ("cut", "torn", "stall")

_SLICE = 32 << 10
_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
_REFUSALS: dict[str, tuple[int, str]] = {
    "slow-down": (503, "SlowDown"),
    "error": (500, "InternalError"),
    "denied": (403, "AccessDenied"),
    "elsewhere": (400, "AuthorizationHeaderMalformed"),
}
_STATUS = {200: "OK", 206: "Partial Content", 503: "Slow Down", 404: "Not Found"}


@dataclass(slots=True)
class Counts:
    """What was asked for and sent."""

    requests: Counter[str] = field(default_factory=Counter)
    """By kind: GET, HEAD, LIST, and STATUS-nnn for what was refused."""
    keys: Counter[str] = field(default_factory=Counter)
    """GETs by key."""
    bytes: int = 0
    """Of bodies of objects, as handed to the network."""
    most_at_once: int = 0


@dataclass(slots=True)
class SyntheticS3:
    """A server in a thread of this process; its attributes may be changed while it runs."""

    content: Content = field(default_factory=Written)
    latency: float = 0.0
    """Seconds to the first byte of each reply."""
    bandwidth: float = 0.0
    """Bytes a second of each connection; 0 for no limit."""
    stall_after: int = 0
    """Bytes of an object after which a reply never goes on; 0 for no such place."""
    page: int = 1000
    capacity: int = 0
    """Requests that it takes at once; more are told to slow down. 0 for no limit."""
    faults: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    """For each key, what happens to the next requests for it; ``""`` is the listing."""
    always: Fault = "fine"
    """What happens to all others."""
    checksums: dict[str, tuple[str, str]] = field(default_factory=dict)
    """For each key, of what type its SHA-256 is, and that in base 64; for who asks for it."""
    replacement: bytes = b""
    """What ``replace`` puts into an object's place."""
    counts: Counts = field(default_factory=Counts)
    heads: deque[Mapping[str, str]] = field(default_factory=lambda: deque(maxlen=1000))
    """Header fields of the last requests, and ``:line``."""
    port: int = field(default_factory=free_port)
    at_once: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None
    _connections: "set[_Connection]" = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def options(self) -> dict[str, Any]:
        """Storage options that lead here."""
        return {"key": "k", "secret": "s", "endpoint_url": self.url}

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        if not started.wait(30):
            raise RuntimeError("the synthetic server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join()

    def _run(self, started: threading.Event) -> None:
        async def begin() -> asyncio.Server:
            return await self._loop.create_server(
                lambda: _Connection(self, self._loop), HOST, self.port, backlog=1024
            )

        server = self._loop.run_until_complete(begin())
        # Whoever waits may stop the loop at once, and that must be the one that runs for ever.
        self._loop.call_soon(started.set)
        self._loop.run_forever()
        server.close()
        for connection in tuple(self._connections):
            connection.transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    def fault_for(self, key: str) -> Fault:
        waiting = self.faults.get(key)
        return waiting.popleft() if waiting else self.always


@dataclass(slots=True)
class _Reply:
    status: int
    fields: str
    body: Body | None = None
    span: tuple[int, int] = (0, 0)
    text: bytes = b""


class _Connection(asyncio.Protocol):
    """One connection: a request, its reply, the next."""

    def __init__(self, server: SyntheticS3, loop: asyncio.AbstractEventLoop) -> None:
        self._server, self._loop = server, loop
        self._given = b""
        self.transport: asyncio.Transport
        self._paused = self._closed = False
        self._rest: tuple[Body, int, int, Fault | None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server._connections.add(self)
        transport.set_write_buffer_limits(high=_SLICE)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        self._closed = True
        self._server._connections.discard(self)
        if self._rest is not None:
            self._rest = None
            self._server.at_once -= 1

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._rest is not None and not self._server.bandwidth:
            self._send_slice()

    def data_received(self, data: bytes) -> None:
        self._given += data
        while b"\r\n\r\n" in self._given:
            head, _, self._given = self._given.partition(b"\r\n\r\n")
            self._take(head.decode("latin-1"))

    def _take(self, head: str) -> None:
        line, *rest = head.split("\r\n")
        method, target, _ = line.split(" ", 2)
        fields = {
            name.lower(): value.strip() for name, _, value in (f.partition(":") for f in rest)
        }
        server = self._server
        server.heads.append(fields | {":line": line})
        path, _, query = target.removeprefix("http://storage.invalid").partition("?")
        key = unquote(path.removeprefix("/").partition("/")[2])
        if path == "/_counts":
            return self._answer(method, self._tell(reset=bool(query)), "fine")
        server.at_once += 1
        server.counts.most_at_once = max(server.counts.most_at_once, server.at_once)
        asked = parse_qs(query, keep_blank_values=True)
        fault = server.fault_for(key)
        if server.capacity and server.at_once > server.capacity:
            fault = "slow-down"
        if not key:
            server.counts.requests["LIST"] += 1
            reply = self._list(asked)
        else:
            server.counts.requests[method] += 1
            server.counts.keys[key] += 1
            if fault == "replace" and isinstance(server.content, Written):
                server.content.put(key, server.replacement)
            reply = self._get(key, fields, asked.get("versionId", [""])[0])
        if fault in _REFUSALS:
            reply = _refuse(*_REFUSALS[fault])
        if reply.status >= 400:
            server.counts.requests[f"STATUS-{reply.status}"] += 1
        if server.latency:
            self._loop.call_later(server.latency, self._answer, method, reply, fault)
        else:
            self._answer(method, reply, fault)
        return None

    def _tell(self, *, reset: bool) -> _Reply:
        counts = self._server.counts
        told = {
            "requests": counts.requests,
            "bytes": counts.bytes,
            "most_at_once": counts.most_at_once,
        }
        text = json.dumps(told).encode()
        if reset:
            self._server.counts = Counts()
        return _Reply(200, "", text=text)

    def _list(self, asked: dict[str, list[str]]) -> _Reply:
        server = self._server
        prefix = asked.get("prefix", [""])[0]
        after = asked.get("start-after", [""])[0]
        if "continuation-token" in asked:
            after = unquote(asked["continuation-token"][0])
        most = min(server.page, int(asked.get("max-keys", ["1000"])[0]))
        keys = server.content.keys()
        start = max(bisect.bisect_left(keys, prefix), bisect.bisect_right(keys, after))
        found = []
        for key in keys[start : start + most + 1]:
            if not key.startswith(prefix):
                break
            found.append(key)
        encode = asked.get("encoding-type", [""])[0] == "url"
        lines = [_entry(key, server.content.find(key), encode=encode) for key in found[:most]]
        token = "<EncodingType>url</EncodingType>" if encode else ""
        if len(found) > most:
            token += (
                f"<NextContinuationToken>{escape(quote(found[most - 1]))}</NextContinuationToken>"
            )
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>'
            f"<IsTruncated>{str(len(found) > most).lower()}</IsTruncated><Prefix></Prefix>"
            f"<KeyCount>{len(lines)}</KeyCount><MaxKeys>{most}</MaxKeys>{token}"
            f"{''.join(lines)}</ListBucketResult>"
        )
        return _Reply(200, "Content-Type: application/xml\r\n", text=text.encode())

    def _get(self, key: str, fields: Mapping[str, str], version: str) -> _Reply:
        content = self._server.content
        body = content.find(key, version) if isinstance(content, Written) else content.find(key)
        if body is None:
            return _refuse(404, "NoSuchKey")
        if fields.get("if-match", "").strip('"') not in ("", body.etag):
            return _refuse(412, "PreconditionFailed")
        if body.storage_class in _ARCHIVED:
            return _refuse(403, "InvalidObjectState")
        modified = formatdate(body.modified, usegmt=True)
        about = f'ETag: "{body.etag}"\r\nLast-Modified: {modified}\r\n'
        if version:
            about += f"x-amz-version-id: {version}\r\n"
        if key in self._server.checksums and fields.get("x-amz-checksum-mode") == "ENABLED":
            kind, digest = self._server.checksums[key]
            about += f"x-amz-checksum-sha256: {digest}\r\n"
            about += f"x-amz-checksum-type: {kind}\r\n" if kind else ""
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", fields.get("range", ""))
        if span is None:
            return _Reply(200, about, body, (0, body.size))
        start, end = int(span[1]), min(int(span[2]) + 1, body.size)
        if start >= body.size:
            return _refuse(416, "InvalidRange")
        about += f"Content-Range: bytes {start}-{end - 1}/{body.size}\r\n"
        return _Reply(206, about, body, (start, end))

    def _answer(self, method: str, reply: _Reply, fault: Fault) -> None:
        if self._closed:
            self._server.at_once -= 1
            return
        if fault == "reset":
            self._server.at_once -= 1
            self.transport.abort()
            return
        start, end = reply.span
        text = reply.text if method != "HEAD" else b""
        length = end - start if reply.body is not None else len(text)
        reason = _STATUS.get(reply.status, "No")
        head = f"HTTP/1.1 {reply.status} {reason}\r\n{reply.fields}Content-Length: {length}\r\n\r\n"
        if reply.body is None or method == "HEAD":
            self._server.at_once -= reply.text[:2] != b'{"' or reply.status != 200
            self.transport.write(head.encode() + text)
            return
        self.transport.write(head.encode())
        stop = start + length // 2 if fault in _HALVES else end
        if 0 < self._server.stall_after < stop - start:
            stop, fault = start + self._server.stall_after, "stall"
        self._rest = (reply.body, start, stop, fault)
        self._send_slice()

    def _send_slice(self) -> None:
        while self._rest is not None and not self.transport.is_closing():
            body, start, stop, fault = self._rest
            if start >= stop:
                if fault == "stall":  # the connection stays, and nothing comes
                    return
                self._rest = None
                self._server.at_once -= 1
                if fault == "cut":
                    self.transport.close()
                elif fault == "torn":
                    self.transport.abort()
                return
            upto = min(stop, start + _SLICE)
            self._rest = (body, upto, stop, fault)
            self._server.counts.bytes += upto - start
            self.transport.write(body.piece(start, upto))
            if self._server.bandwidth:
                self._loop.call_later((upto - start) / self._server.bandwidth, self._send_slice)
                return
            if self._paused:
                return


def _entry(key: str, body: Body | None, *, encode: bool) -> str:
    assert body is not None
    name = quote(key, safe="/") if encode else escape(key)
    return (
        f"<Contents><Key>{name}</Key><LastModified>{_moment(body.modified)}</LastModified>"
        f"<ETag>&quot;{body.etag}&quot;</ETag><Size>{body.size}</Size>"
        f"<StorageClass>{body.storage_class}</StorageClass></Contents>"
    )


@lru_cache
def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def _refuse(status: int, code: str) -> _Reply:
    text = f"<Error><Code>{code}</Code><Message>no, hunter2</Message></Error>"
    return _Reply(status, "Content-Type: application/xml\r\n", text=text.encode())


def main() -> None:
    """Run a server until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--gguf", nargs="*", default=[], help="files with GGUF headers")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--bandwidth", type=float, default=0.0)
    parser.add_argument("--replaced", type=int, default=0, help="one of so many is another one")
    given = parser.parse_args()
    headers, size, suffix = [], 1 << 30, ".gguf"
    for path in given.gguf:
        with open(path, "rb") as file:
            headers.append(file.read())
    if not headers:
        header, data = small_safetensors(200)
        headers, size, suffix = [header], len(header) + data, ".safetensors"
    content = ManyModels(given.models, headers, suffix=suffix, size=size, replaced=given.replaced)
    server = SyntheticS3(content, given.latency, given.bandwidth, port=given.port)
    server._run(threading.Event())


if __name__ == "__main__":
    main()
