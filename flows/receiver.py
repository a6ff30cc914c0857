"""Start scans of keys for what was written to a bucket: from a webhook, or from a queue.

::

    python -m prefect_mutagen.flows.receiver --source s3://models \
        --deployment scan-models/on-demand-scan --table s3://models-table

listens on a port for the webhooks of MinIO and others; with ``--queue URL`` it reads a queue of
SQS instead. Notifications are collected for some seconds, so that an upload of a hundred shards is
one scan, and a run of the deployment gets their keys. A notification is acknowledged once it is on
disk (a webhook) or once its run exists (a queue); the idempotency key of a run is made from its
notifications, so that the same ones never start two.
"""

import argparse
import hashlib
import hmac
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from prefect import get_client

from prefect_mutagen.flows.notifications import Notice, by_root, notices_in
from prefect_mutagen.scanner.listing.keys import addresses_of

__all__ = ["Starter", "Webhook", "flush", "main", "take_from_queue"]

TOKEN_VARIABLE: Final = "MUTAGEN_WEBHOOK_TOKEN"  # noqa: S105 - the name of a variable
"""What senders of webhooks put into the field Authorization; empty: nobody is asked."""

_MOST_KEYS: Final = 1_000
_MOST_BYTES: Final = 256 << 10
"""Keys of one run; Prefect takes 512 KB of parameters."""
_LARGEST_MESSAGE: Final = 1 << 20
"""Bytes of a notification; those of S3 and SQS have at most 256 KB."""
_MOST_WAITING: Final = 10_000
"""Notifications on disk; while a server is away, senders are asked to come again."""
_SOCKET_SECONDS: Final = 20
_QUEUE_SECONDS: Final = 20
"""How long a queue may wait for a message; the most that SQS allows."""
_logger: Final = logging.getLogger("prefect_mutagen.receiver")


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts runs of a deployment of `scan_models`."""

    deployment: str
    """Its name, as flow/deployment."""
    roots: Sequence[str]
    """Roots to scan; what was written elsewhere is left out."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the runs besides ``source`` and ``keys``."""

    def start(self, notices: Iterable[Notice]) -> int:
        """Start the runs for some notifications.

        Args:
            notices: What was written or deleted.

        Returns:
            The number of runs.

        Raises:
            httpx.HTTPError: The server cannot be reached, or refuses a run.
            PrefectException: There is no such deployment, or it refuses the parameters.
        """
        runs = 0
        with get_client(sync_client=True) as client:
            for root, some in by_root(_usable(notices, self.roots), self.roots).items():
                deployment = client.read_deployment_by_name(self.deployment)
                for batch in _batches(some):
                    keys = sorted({notice.url for notice in batch})
                    run = client.create_flow_run_from_deployment(
                        deployment.id,
                        parameters={**self.parameters, "source": root, "keys": keys},
                        idempotency_key=_digest(root, batch),
                    )
                    _logger.info("%d keys below %s: run %s", len(keys), root, run.name)
                    runs += 1
        return runs


def _usable(notices: Iterable[Notice], roots: Sequence[str]) -> Iterator[Notice]:
    """Leave out what no scan of keys takes: one such name would keep all others from being scanned.

    Anybody who may write to the bucket chooses names.
    """
    for notice in notices:
        for root in by_root([notice], roots):
            try:
                addresses_of([notice.url], root)
                notice.url.encode()
            except ValueError as problem:  # also for lone surrogates
                _logger.warning("only scans of all of %s see an object: %s", root, _said(problem))
            else:
                yield notice


def _said(problem: ValueError) -> str:
    return "its name is no text" if isinstance(problem, UnicodeError) else str(problem)


def _batches(notices: Sequence[Notice]) -> Iterator[list[Notice]]:
    """Deal notices out into runs of a bounded number and size of keys."""
    batch: list[Notice] = []
    size = 0
    for notice in notices:
        length = len(notice.url.encode())
        if batch and (len(batch) == _MOST_KEYS or size + length > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(notice)
        size += length
    if batch:
        yield batch


def _digest(root: str, batch: Iterable[Notice]) -> str:
    """Return the idempotency key of a run: the same for the same notifications in any order."""
    lines = sorted({f"{notice.url}\0{notice.identity}" for notice in batch})
    digest = hashlib.sha256("\n".join((root, *lines)).encode())
    return f"mutagen-keys-{digest.hexdigest()}"


def take_from_queue(client: Any, queue: str, starter: Starter) -> int:
    """Take the messages of an SQS queue, start runs for them, and delete them.

    Args:
        client: A client of boto3 for SQS.
        queue: URL of the queue.
        starter: Starts the runs.

    Returns:
        The number of messages. What is no notification is deleted, too.

    Raises:
        httpx.HTTPError: No run could be started; the messages stay in the queue.
        PrefectException: Likewise.
    """
    taken: list[Mapping[str, Any]] = []
    wait = _QUEUE_SECONDS
    while len(taken) < _MOST_KEYS:
        reply = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        some = reply.get("Messages") or []
        if not some:
            break
        taken += some
        wait = 1  # what follows a message belongs to the same upload
    starter.start(notice for message in taken for notice in _read(message["Body"]))
    for start in range(0, len(taken), 10):  # the most that SQS deletes in one request
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(taken[start : start + 10])
        ]
        client.delete_message_batch(QueueUrl=queue, Entries=entries)
    return len(taken)


def _read(message: str | bytes) -> list[Notice]:
    try:
        return notices_in(message)
    except ValueError as problem:
        _logger.warning("a message is left out: %s", problem)
        return []


def flush(folder: Path, starter: Starter) -> int:
    """Start runs for the notifications in a folder, and delete them.

    Args:
        folder: Where `Webhook` keeps them.
        starter: Starts the runs.

    Returns:
        The number of notifications.

    Raises:
        httpx.HTTPError: No run could be started; the notifications stay where they are.
        PrefectException: Likewise.
    """
    waiting = sorted(folder.glob("*.json"))[:_MOST_KEYS]
    starter.start(notice for path in waiting for notice in _read(path.read_bytes()))
    for path in waiting:
        path.unlink()
    return len(waiting)


class Webhook(ThreadingHTTPServer):
    """Takes notifications by POST, at any path, and keeps them in a folder; GET says it is well.

    Put a reverse proxy with TLS before it where senders are on other machines.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], folder: Path, token: str = "") -> None:
        """Listen.

        Args:
            address: Host and port; 0: any free one, see ``server_port``.
            folder: Where notifications are kept until their run exists; made if it is not there.
            token: What senders put into the field ``Authorization``, after ``Bearer`` or alone;
                empty: nobody is asked.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.token = folder, token
        super().__init__(address, _Receiver)

    def keep(self, body: bytes) -> None:
        """Keep a notification, on disk.

        Raises:
            OSError: It cannot be written.
        """
        name = f"{time.time_ns():020}-{uuid.uuid4().hex}"
        partial = self.folder / f"{name}.partial"
        with partial.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self.folder / f"{name}.json")


class _Receiver(BaseHTTPRequestHandler):
    server: Webhook
    protocol_version = "HTTP/1.1"
    timeout = _SOCKET_SECONDS

    def do_GET(self) -> None:
        """Say that it is well."""
        self._answer(200)

    def do_POST(self) -> None:
        """Take a notification."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        token = self.server.token
        if token and not hmac.compare_digest(given.encode(), token.encode()):
            self._refuse(401)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._refuse(411)
        elif int(length) > _LARGEST_MESSAGE:
            self._refuse(413)
        elif sum(1 for _ in self.server.folder.glob("*.json")) >= _MOST_WAITING:
            self._refuse(503)
        else:
            self._take(self.rfile.read(int(length)))

    def _take(self, body: bytes) -> None:
        try:
            if notices_in(body):  # JSON that is cut off is none
                self.server.keep(body)
        except ValueError:
            self._refuse(400)
        except OSError:
            _logger.exception("a notification cannot be kept")
            self._refuse(503)
        else:
            self._answer(204)

    def _refuse(self, status: int) -> None:
        """Answer without having read the body, so nothing can follow on the connection."""
        self.close_connection = True
        self._answer(status)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Log a request, which may come from anybody, without control characters."""
        _logger.debug("%s", ascii(format % args))


def main(arguments: Sequence[str] | None = None) -> int:
    """Receive notifications until the process is ended.

    Args:
        arguments: The command line; that of the process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m prefect_mutagen.flows.receiver")
    parser.add_argument("--source", action="append", required=True, help="root to scan; repeatable")
    parser.add_argument("--deployment", default="scan-models/on-demand-scan")
    parser.add_argument("--table", default="", help="Parquet table of the scans")
    parser.add_argument("--storage", default="", help="Prefect block with the credentials")
    parser.add_argument("--wait", type=float, default=5.0, help="seconds to collect notifications")
    parser.add_argument("--queue", default="", help="URL of an SQS queue, instead of a webhook")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--folder", type=Path, default=Path("notifications"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    given = {name: getattr(options, name) for name in ("table", "storage")}
    parameters = {name: value for name, value in given.items() if value}
    starter = Starter(options.deployment, options.source, parameters)
    if options.queue:
        import boto3

        client = boto3.client("sqs")
        _repeat(lambda: take_from_queue(client, options.queue, starter), 0)
        return 0
    address = options.host, options.port
    with Webhook(address, options.folder, os.environ.get(TOKEN_VARIABLE, "")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _logger.info("listening on http://%s:%d", options.host, server.server_port)
        _repeat(lambda: flush(options.folder, starter), options.wait)
    return 0


def _repeat(work: Any, wait: float) -> None:
    """Do something again and again, also after a failure, until the process is ended."""
    while True:
        time.sleep(wait)
        try:
            work()
        except Exception as problem:  # noqa: BLE001 - of Prefect, boto3, the file system
            _logger.warning("no run was started, which is tried again: %s", type(problem).__name__)
            time.sleep(_SOCKET_SECONDS / 4)


if __name__ == "__main__":
    sys.exit(main())
