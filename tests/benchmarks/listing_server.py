"""An S3 server that can do one thing, quickly: list. ``python -m tests.benchmarks.listing_server``.

The bucket ``models`` has COUNT objects, in pages of a thousand; the pages are made beforehand.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers import HOST, Server

PAGE = 1000
_ENTRY = (
    "<Contents><Key>organisation-{0:04}/model-{1:07}-Q4_K_M.gguf</Key>"
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{1:032x}&quot;</ETag>"
    "<Size>4000000000</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class ListingServer(Server):
    """The server as a child process."""

    def __init__(self, count: int) -> None:
        super().__init__()
        module = "tests.benchmarks.listing_server"
        self.command = [sys.executable, "-m", module, str(self.port), str(count)]

    @property
    def options(self) -> dict[str, Any]:
        """Storage options that lead here."""
        return {"key": "testing", "secret": "testing", "endpoint_url": self.url}


def page(number: int, count: int) -> bytes:
    """Write one page of the listing."""
    start, end = number * PAGE, min((number + 1) * PAGE, count)
    more = end < count
    entries = "".join(_ENTRY.format(n // PAGE, n) for n in range(start, end))
    token = f"<NextContinuationToken>{number + 1}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>models</Name>'
        f"<KeyCount>{end - start}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
    ).encode()


def main() -> None:
    """Serve until the process is ended."""
    port, count = map(int, sys.argv[1:])
    pages = [page(number, count) for number in range(max(1, -(-count // PAGE)))]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            (token,) = parse_qs(urlsplit(self.path).query).get("continuation-token", ["0"])
            body = pages[int(token)]
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer((HOST, port), Handler).serve_forever()


if __name__ == "__main__":
    main()
