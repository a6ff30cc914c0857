"""An S3 server that can do one thing, quickly: list. ``python -m tests.benchmarks.listing_server``.

The bucket ``models`` has COUNT objects, in pages of a thousand. With a latency, one of ten objects
is a model, and the others are what else lies in buckets.
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers import HOST, Server

PAGE = 1000
_MODELS = ("model-{0:07}-Q4_K_M.gguf",)
_MIXED = (
    "a-{0:07}.safetensors",
    *("b-{0:07}.log", "c-{0:07}.png", "d-{0:07}.json", "e-{0:07}.txt", "f-{0:07}.csv"),
    *("g-{0:07}.what", "h-{0:07}.parquet", "i-{0:07}", "j-{0:07}.md"),
)
_ENTRY = (
    "<Contents><Key>organisation-{0:04}/{2}</Key>"
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{1:032x}&quot;</ETag>"
    "<Size>{3}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class ListingServer(Server):
    """The server as a child process."""

    def __init__(self, count: int, latency: float = 0.0) -> None:
        super().__init__()
        module = "tests.benchmarks.listing_server"
        self.command = [sys.executable, "-m", module, str(self.port), str(count), str(latency)]

    @property
    def options(self) -> dict[str, Any]:
        """Storage options that lead here."""
        return {"key": "testing", "secret": "testing", "endpoint_url": self.url}


def page(number: int, count: int, names: tuple[str, ...] = _MODELS) -> bytes:
    """Write one page of the listing."""
    start, end = number * PAGE, min((number + 1) * PAGE, count)
    more = end < count
    width = PAGE // len(names)
    entries = "".join(
        _ENTRY.format(number, n, name.format(n), 4_000_000_000 if name is names[0] else 500_000)
        for n in range(start, end)
        for name in names[(n - start) // width : (n - start) // width + 1]
    )
    token = f"<NextContinuationToken>{number + 1}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>models</Name>'
        f"<KeyCount>{end - start}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
    ).encode()


def main() -> None:
    """Serve until the process is ended."""
    port, count = map(int, sys.argv[1:3])
    latency = float(sys.argv[3])
    names = _MIXED if latency else _MODELS
    # Pages are alike but for their numbers; the first ones are made beforehand.
    pages = [page(number, count, names) for number in range(min(100, -(-count // PAGE) or 1))]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            (token,) = parse_qs(urlsplit(self.path).query).get("continuation-token", ["0"])
            number = int(token)
            asked = time.perf_counter()
            body = pages[number] if number < len(pages) else page(number, count, names)
            time.sleep(max(0.0, latency - (time.perf_counter() - asked)))
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
