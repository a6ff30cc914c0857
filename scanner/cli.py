"""The command ``prefect-mutagen``: scan, verify, version; and what other parts add to it.

Exit status: 0, all passed, also when there was nothing; 1, something failed or could not be
examined; 2, wrong usage, or a root cannot be reached (the others are scanned all the same).
Results go to stdout alone; progress and complaints to stderr.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import Any, Final, TextIO, cast

from prefect_mutagen import __version__
from prefect_mutagen.parsers.walks import COMPILED
from prefect_mutagen.scanner.drift import drift_of
from prefect_mutagen.scanner.examine import Examiner, HashLevel
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.outputs import WRITERS
from prefect_mutagen.scanner.outputs.table import visible
from prefect_mutagen.scanner.policy import Policy, load_policy
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.scan import examine_artifacts, list_artifacts, new_scan
from prefect_mutagen.scanner.storage import (
    StorageError,
    has_secrets,
    load_options,
    open_store,
)
from prefect_mutagen.scanner.table import Table
from prefect_mutagen.scanner.verify import ArtifactRejected, verify

__all__ = ["main"]

PASSED: Final = 0
REJECTED: Final = 1
UNREACHABLE: Final = 2
_COMMANDS: Final = "prefect_mutagen.commands"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Without the program's name; those of the process by default.

    Returns:
        The exit status.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; do not complain again while closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REJECTED
    except KeyboardInterrupt:
        return 130
    except StorageError as problem:
        _complain_storage(problem)
        return UNREACHABLE
    except (OSError, ValueError) as problem:
        _complain(str(problem))
        return UNREACHABLE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prefect-mutagen",
        description="Examine model files (GGUF, safetensors) by their headers, and judge them.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    scan = commands.add_parser("scan", help="examine every model file below one or more roots")
    scan.add_argument("urls", nargs="+", metavar="URL", help="a path or an address")
    scan.add_argument(
        "--format", choices=sorted(WRITERS), default="json", help="default: %(default)s"
    )
    scan.add_argument("--output", metavar="FILE", help="write there instead of to stdout")
    scan.add_argument(
        "--hash",
        choices=("none", "stored", "lookup", "full"),
        default="stored",
        help="what to pay for SHA-256 values: nothing known, what is stated anyway, one request "
        "more, or reading everything (default: %(default)s)",
    )
    scan.add_argument(
        "--no-hash", dest="hash", action="store_const", const="none", help="the same as --hash none"
    )
    scan.add_argument(
        "--concurrency", type=_positive, default=64, metavar="N", help="default: %(default)s"
    )
    scan.add_argument("--table", metavar="URL", help="publish the results in this Parquet table")
    _add_judging(scan)
    scan.set_defaults(run=_scan)
    check = commands.add_parser("verify", help="exit 0 only if this artifact passes")
    check.add_argument("url", metavar="URL", help="a model file, or a folder")
    check.add_argument("--pin", help="accept only the bytes that an earlier scan pinned")
    _add_judging(check)
    check.set_defaults(run=_verify)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(run=_version)
    for entry in entry_points(group=_COMMANDS):
        more = commands.add_parser(entry.name, add_help=False, help=_HELP.get(entry.name))
        more.add_argument("rest", nargs=argparse.REMAINDER)
        more.set_defaults(run=lambda options, entry=entry: entry.load()(options.rest))
    return parser


_HELP: Final = {"demo": "make a small bucket of good and broken models and run everything on it"}


def _add_judging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policy", metavar="FILE", help="what is accepted, in YAML or JSON")
    parser.add_argument(
        "--storage-options",
        metavar="JSON",
        default="",
        help="options for the file system, as JSON or @FILE; without it the environment's "
        "PREFECT_MUTAGEN_STORAGE_OPTIONS, which keeps secrets off the command line",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _complain(text: str) -> None:
    sys.stderr.write(f"prefect-mutagen: {visible(text, 2000)}\n")


def _complain_storage(problem: StorageError) -> None:
    remedy = CODES[problem.code].remedy
    if problem.code == "storage/not-found":
        remedy = "Check the address."  # it was named, not listed
    _complain(f"{problem}. {remedy}")


def _read_policy(path: str | None) -> Policy:
    if path is None:
        return Policy()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        return load_policy(text)
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None


def _scan(options: argparse.Namespace) -> int:
    run = _Run(options)
    with _output(options.output) as out:
        WRITERS[options.format](run.results(), run.scan, run.summary, out)
    if run.trouble:
        return UNREACHABLE
    return PASSED if run.summary.all_passed else REJECTED


class _Run:
    """One scan of one or more roots, from the command line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._storage_options = load_options(options.storage_options)
        self.policy = _read_policy(options.policy)
        self.scan = new_scan(options.urls[0], self.policy)
        if len(options.urls) > 1:
            sources = [new_scan(url, self.policy).source for url in options.urls]
            self.scan = replace(self.scan, source=" ".join(sources))
        self.summary = Summary()
        self.trouble = False
        self._progress = _Progress(self.summary)

    def results(self) -> Iterator[ScanResult]:
        """Examine root after root; one that cannot be reached costs only itself."""
        for url in self._options.urls:
            try:
                if self._options.table:
                    yield from self._recorded(url)
                else:
                    yield from self._examined(url)
            except StorageError as problem:
                self._progress.clear()
                _complain_storage(problem)
                self.trouble = True
        self.summary.finished_at = datetime.now(UTC).isoformat()
        self._progress.clear()

    def _examined(self, url: str) -> Iterator[ScanResult]:
        store = open_store(url, self._storage_options)
        level = cast("HashLevel", self._options.hash)
        examiner = Examiner(self.policy, level, self.scan.started_at)
        artifacts = list_artifacts(store, siblings=not has_secrets(url))
        for result in examine_artifacts(store, artifacts, examiner, self._options.concurrency):
            self.summary.add(result)
            self._progress.show()
            yield result

    def _recorded(self, url: str) -> Iterator[ScanResult]:
        """Examine a root and publish its results; they are kept until the table is written."""
        info = new_scan(url, self.policy)
        table = Table(self._options.table, url, self._table_options(url))
        before = table.read_state()
        own = Summary()
        results = []
        for result in self._examined(url):
            compared = replace(result, drift=drift_of(result, before))
            own.add(compared)
            results.append(compared)
            yield compared
        own.finished_at = datetime.now(UTC).isoformat()
        table.write(info, results, before, own)

    def _table_options(self, url: str) -> dict[str, Any]:
        """Use the root's options for a table of the same kind of storage."""
        same = url.partition("://")[0] == self._options.table.partition("://")[0]
        return self._storage_options if same else {}


class _Progress:
    """A line on stderr that says how far the scan is, when a person is looking."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._shown = sys.stderr.isatty() and not sys.stdout.isatty()
        self._next = 0.0

    def show(self) -> None:
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + 0.2
            counts = self._summary
            text = f"{counts.artifacts} artifacts, {counts.failed + counts.unknown} not passed"
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        if self._shown and self._next:
            sys.stderr.write("\r\x1b[K")


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Open what to write to; a file appears when it is complete."""
    if path is None:
        yield sys.stdout
        return
    partial = f"{path}.partial"
    try:
        with open(partial, "w", encoding="utf-8") as out:
            yield out
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


def _verify(options: argparse.Namespace) -> int:
    try:
        result = verify(
            options.url,
            options.pin,
            _read_policy(options.policy),
            load_options(options.storage_options),
        )
    except ArtifactRejected as rejection:
        for reason in rejection.reasons:
            _complain(f"{rejection.url}: {reason.code}: {reason.message}")
        return REJECTED
    sys.stdout.write(f"passed {visible(result.url, 4000)} {result.pin}\n")
    return PASSED


def _version(options: argparse.Namespace) -> int:  # noqa: ARG001 - a contract
    walk = "compiled" if COMPILED else "pure Python"
    sys.stdout.write(f"prefect-mutagen {__version__}\nheader walks: {walk}\n")
    return PASSED


if __name__ == "__main__":
    sys.exit(main())
