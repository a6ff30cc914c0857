"""A hub of models: repositories with revisions, of which some are gated, on this machine."""

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from tests.servers import HOST

__all__ = ["TOKEN", "HubServer"]

TOKEN = "hf_hunter2"  # noqa: S105 - opens nothing but this server
"""The token that opens gated and private repositories."""


class HubServer:
    """The server, in a thread of this process.

    Attributes:
        asked: Paths of all requests.
    """

    def __init__(self, files: Mapping[str, Mapping[str, bytes]]) -> None:
        """Draw the hub.

        Args:
            files: Files by ``owner/name@revision``; owners ``gated`` and ``private`` want a token.
        """
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub._answer(self)

            do_HEAD = do_GET  # noqa: N815 - the base class calls it so
            do_POST = do_GET  # noqa: N815 - likewise

            def log_message(self, *_: object) -> None:
                pass

        self.files = files
        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, asked: Any) -> None:
        path = unquote(urlsplit(asked.path).path)
        self.asked.append(f"{asked.command} {path}")
        length = int(asked.headers.get("Content-Length") or 0)
        body = asked.rfile.read(length).decode()
        allowed = asked.headers.get("Authorization") == f"Bearer {TOKEN}"
        status, headers, data = self._reply(path, body, allowed=allowed)
        span = asked.headers.get("Range")
        if span and status == 200:
            first, _, last = span.removeprefix("bytes=").partition("-")
            end = min(int(last or len(data)) + 1, len(data))
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(data)}"
            status, data = 206, data[int(first) : end]
        asked.send_response(status)
        for name, value in headers.items():
            asked.send_header(name, value)
        asked.send_header("Content-Length", str(len(data)))
        asked.end_headers()
        if asked.command != "HEAD":
            asked.wfile.write(data)

    def _reply(self, path: str, body: str, *, allowed: bool) -> tuple[int, dict[str, str], bytes]:
        parts = path.strip("/").split("/")
        is_api = parts[:2] == ["api", "models"]
        owner, name, *rest = parts[2:] if is_api else parts
        revisions = [
            key.partition("@")[2] for key in self.files if key.startswith(f"{owner}/{name}@")
        ]
        if not revisions or (owner == "private" and not allowed):
            return 401, {"X-Error-Code": "RepoNotFound"}, b"{}"
        what = rest[0] if rest else "revision"
        # A revision may have slashes.
        text = "/".join(rest[1:]) or "main"
        revision = next((one for one in revisions if text == one or text.startswith(f"{one}/")), "")
        if not revision:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        files = self.files[f"{owner}/{name}@{revision}"]
        inside = text[len(revision) :].strip("/")
        if what == "resolve":
            if owner == "gated" and not allowed:
                return 401, {"X-Error-Code": "GatedRepo"}, b"{}"
            if inside not in files:
                return 404, {"X-Error-Code": "EntryNotFound"}, b""
            data = files[inside]
            return 200, {"ETag": f'"{len(data)}"', "X-Repo-Commit": "c" * 40}, data
        if what == "revision":
            info = {"id": f"{owner}/{name}", "sha": "c" * 40, "siblings": [], "private": False}
            return 200, {"Content-Type": "application/json"}, json.dumps(info).encode()
        wanted = json.loads(body).get("paths") if what == "paths-info" else None
        entries = [
            {"type": "file", "path": path, "size": len(data), "oid": f"{len(data):040x}"}
            for path, data in files.items()
            if wanted is None or path in wanted
        ]
        entries = [one for one in entries if str(one["path"]).startswith(inside)]
        return 200, {"Content-Type": "application/json"}, json.dumps(entries).encode()
