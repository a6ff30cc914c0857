"""Scan a root: list, group, examine, one result after the other.

Local files are examined in a plain loop: no event loop, no pool, no library is set up for them.
Remote ones are examined by `prefect_mutagen.scanner.remote`, many at a time. What is asked for and
what is made of it is the same.
"""

import secrets
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from prefect_mutagen import __version__
from prefect_mutagen.scanner.artifacts import NEIGHBOURS, Artifact, group_artifacts, is_relevant
from prefect_mutagen.scanner.examine import Examination, Examiner, Find, HashLevel, LookUp, Request
from prefect_mutagen.scanner.policy import Policy
from prefect_mutagen.scanner.results import ScanInfo, ScanResult
from prefect_mutagen.scanner.storage import (
    StorageError,
    Store,
    StoredObject,
    clean_url,
    has_secrets,
    open_store,
)

__all__ = [
    "answer",
    "drive",
    "examine_artifacts",
    "finish",
    "list_artifacts",
    "new_scan",
    "run",
    "scan",
]

_T = TypeVar("_T")


def new_scan(source: str, policy: Policy) -> ScanInfo:
    """Give a scan its name.

    Args:
        source: The root; secrets in it are left out.
        policy: What the scan judges by.
    """
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"
    return ScanInfo(name, clean_url(source), now.isoformat(), __version__, policy)


def scan(
    url: str,
    *,
    policy: Policy | None = None,
    storage_options: Mapping[str, Any] | None = None,
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    concurrency: int = 64,
) -> Iterator[ScanResult]:
    """Examine every model file below a root, or one.

    Args:
        url: A path, or an address of any kind that fsspec knows.
        policy: What is accepted; the default accepts what loaders load.
        storage_options: Options for fsspec's file system: credentials, endpoint and kin.
        hash: How much to pay for SHA-256 values: ``none``, ``stored``, ``lookup`` or ``full``.
        concurrency: Remote artifacts that are examined at a time.

    Yields:
        One result per artifact, in the order of the listing. What is wrong with one is in its
        result; nothing else is lost by it. Memory does not grow with the root.

    Raises:
        StorageError: The root does not exist or cannot be listed.
    """
    store = open_store(url, storage_options)
    examiner = Examiner(policy or Policy(), hash)
    artifacts = list_artifacts(store, siblings=not has_secrets(url))
    yield from examine_artifacts(store, artifacts, examiner, concurrency)


def list_artifacts(store: Store, *, siblings: bool = True) -> Iterator[Artifact]:
    """List the artifacts below a store's root.

    Args:
        store: The root.
        siblings: Whether to look for neighbours beside a root that is one file; a signed address
            opens that one file only.

    Raises:
        StorageError: The root does not exist or cannot be listed.
    """
    objects = store.list_objects(is_relevant)
    first = next(objects, None)
    if first is None:
        return
    if first.url == store.root:
        yield Artifact(first.url, (first,), _find_neighbours(store, first) if siblings else ())
    else:
        yield from group_artifacts(chain((first,), objects))


def _find_neighbours(store: Store, item: StoredObject) -> tuple[StoredObject, ...]:
    """Look for the neighbours of a file that was named by itself, so that no listing shows them."""

    def look(name: str) -> StoredObject | None:
        url = item.folder + name
        try:
            if store.loop is None:
                return finish(store.find(url))
            from prefect_mutagen.scanner.pacing import repeat

            return run(store, repeat(lambda: store.find(url), url))
        except StorageError as problem:
            if problem.code == "storage/not-found":
                return None
            return StoredObject(url, 0, "", fault=problem)

    if store.loop is None:
        found = [look(name) for name in NEIGHBOURS]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(NEIGHBOURS)) as threads:
            found = list(threads.map(look, NEIGHBOURS))
    return tuple(neighbour for neighbour in found if neighbour is not None)


def examine_artifacts(
    store: Store, artifacts: Iterable[Artifact], examiner: Examiner, concurrency: int = 64
) -> Iterator[ScanResult]:
    """Examine artifacts of one store.

    Args:
        store: Where they lie.
        artifacts: What to examine; taken as examinations get free, never all at once.
        examiner: Policy, hash level and what folders have in common.
        concurrency: Remote artifacts that are examined at a time.

    Yields:
        One result per artifact, in their order.
    """
    if store.loop is not None:
        from prefect_mutagen.scanner.remote import examine_remote

        yield from examine_remote(store, artifacts, examiner, concurrency)
        return
    for artifact in artifacts:
        yield finish(drive(examiner.examine(artifact), partial(answer, store)))


def run(store: Store, work: Coroutine[Any, Any, _T]) -> _T:
    """Run a store's coroutine to its end, from outside its loop."""
    if store.loop is None:
        return finish(work)
    from prefect_mutagen.scanner.remote import run_in_loop

    return run_in_loop(store.loop, work)


def finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never waits for anything."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    raise RuntimeError("a store without a loop waited for something")


async def drive(
    examination: Examination, answer_one: Callable[[Request], Coroutine[Any, Any, Any]]
) -> ScanResult:
    """Answer an examination's requests until it has its result."""
    try:
        request = next(examination)
        while True:
            try:
                reply = await answer_one(request)
            except StorageError as problem:
                request = examination.throw(problem)
            else:
                request = examination.send(reply)
    except StopIteration as stop:
        result: ScanResult = stop.value
        return result


async def answer(store: Store, request: Request) -> Any:
    """Do what an examination asks for."""
    if isinstance(request, Find):
        return await store.find(request.url)
    if isinstance(request, LookUp):
        return await store.stored_sha256(request.item)
    return await store.read(request.item, request.start, request.end)
