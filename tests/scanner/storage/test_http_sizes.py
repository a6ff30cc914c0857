"""Web servers that do not say how large an object is."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from prefect_mutagen.scanner import scan
from tests.builders import gguf

SMALL = gguf().data
LARGE = gguf(tensors=(("a.weight", (12 << 20,), 24),)).data
CARD = b"---\nlicense: mit\n---\n"


@dataclass
class SizelessServer:
    """Serves files in chunks, or ranges of an unknown whole; HEAD may state the size."""

    files: dict[str, bytes]
    ranges: bool = False
    head: bool = False
    methods: list[str] = field(default_factory=list)
    url: str = ""


def _handler(server: SizelessServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            server.methods.append("HEAD")
            data = server.files.get(self.path)
            self.send_response(200 if data is not None else 404)
            if data is not None and server.head:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()

        def do_GET(self) -> None:
            server.methods.append("GET")
            data = server.files.get(self.path)
            if data is None:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if server.ranges:
                first, last = self.headers["Range"].removeprefix("bytes=").split("-")
                data = data[int(first) : int(last) + 1]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/*")
            else:
                self.send_response(200)
            self.send_header("ETag", '"1"')
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for start in range(0, len(data), 1 << 16):
                    piece = data[start : start + (1 << 16)]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                self.close_connection = True  # the client had enough

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def server() -> Iterator[SizelessServer]:
    started = SizelessServer({"/m.gguf": SMALL})
    web = ThreadingHTTPServer(("127.0.0.1", 0), _handler(started))
    started.url = f"http://127.0.0.1:{web.server_address[1]}"
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    try:
        yield started
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def test_a_small_object_without_a_size_is_read_to_its_end(server: SizelessServer) -> None:
    server.files["/README.md"] = CARD
    (result,) = scan(f"{server.url}/m.gguf")
    assert (result.verdict.status, result.size) == ("passed", len(SMALL))
    assert result.sbom.license == "mit"


def test_a_small_object_that_is_cut_is_said_to_be_cut(server: SizelessServer) -> None:
    server.files["/m.gguf"] = SMALL[:-1]
    (result,) = scan(f"{server.url}/m.gguf")
    assert [finding.code for finding in result.findings] == ["gguf/truncated-data"]
    assert f"ends at byte {len(SMALL) - 1}" in result.findings[0].message


@pytest.mark.parametrize("ranges", [False, True], ids=["chunked", "ranges"])
def test_a_large_object_without_a_size_is_unknown(server: SizelessServer, *, ranges: bool) -> None:
    server.ranges = ranges
    server.files["/m.gguf"] = LARGE
    (result,) = scan(f"{server.url}/m.gguf")
    assert [finding.code for finding in result.findings] == ["storage/size-unknown"]
    assert result.verdict.status == "unknown"


@pytest.mark.parametrize("ranges", [False, True], ids=["chunked", "ranges"])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_size_that_only_head_states_is_taken(
    server: SizelessServer, data: bytes, *, ranges: bool
) -> None:
    server.ranges, server.head = ranges, True
    server.files["/m.gguf"] = data
    (result,) = scan(f"{server.url}/m.gguf")
    assert (result.verdict.status, result.size) == ("passed", len(data))
