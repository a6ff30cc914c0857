"""Scan a root: list, group, examine, one result after the other.

Local files are examined in a plain loop: no event loop, no pool, no library is set up for them.
Remote ones are examined by `prefect_mutagen.scanner.examine.remote_engine`, many at a time. What is asked for and
what is made of it is the same.
"""

import os
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

from prefect_mutagen import __version__
from prefect_mutagen.scanner.listing.artifacts import (
    NEIGHBOURS,
    Artifact,
    is_relevant,
    shard_name,
)
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.listing.grouping import artifact_of, group_artifacts
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.internal_errors import log_fault
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.requests import Cost, Digest, Find, LookUp, Parts, Request
from prefect_mutagen.scanner.results import ScanInfo, ScanResult
from prefect_mutagen.scanner.listing.selection import NothingIncluded, Selection
from prefect_mutagen.scanner.signing.signatures import OMS_NAME, SUFFIXES
from prefect_mutagen.scanner.storage.store import (
    StorageError,
    Store,
    StoredObject,
    clean_url,
    has_secrets,
    open_store,
)
from prefect_mutagen.scanner.examine.unexamined import guarded, ungrouped

if TYPE_CHECKING:
    from prefect_mutagen.scanner.examine.retries import Sharing

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

_LOCAL_PIECE: Final = 192 << 10

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


def list_artifacts(
    store: Store,
    *,
    siblings: bool = True,
    selection: Selection | None = None,
    objects: Iterable[StoredObject] | None = None,
    left_out: Callable[[Artifact], None] | None = None,
) -> Iterator[Artifact]:
    """List the artifacts below a store's root.

    Args:
        store: The root.
        siblings: Whether to look for neighbours beside a root that is one file; a signed address
            opens that one file only.
        selection: Which of them; all by default. A root that is one file is always given.
        objects: What lies there, where an inventory says so and nothing has to be listed.
        left_out: Told of each artifact that is there and not selected.

    Raises:
        NothingIncluded: The selection's patterns fit nothing of what lies there.
        StorageError: The root does not exist or cannot be listed.
    """
    listed = iter(store.list_objects(is_relevant) if objects is None else objects)
    first = next(listed, None)
    if first is None:
        return
    if first.url == store.root:
        try:
            named = _named(store, first, siblings=siblings)
        except StorageError:
            raise
        except Exception as problem:  # noqa: BLE001 - a bug costs this artifact alone
            named = ungrouped(first, log_fault(problem, "grouping", first.url))
        yield named
        return
    artifacts = group_artifacts(chain((first,), listed), store.root)
    if selection is None or selection.takes_all:
        yield from artifacts
        return
    included = False
    for artifact in artifacts:
        if selection.takes(artifact, store.root):
            included = True
            yield artifact
            continue
        included = included or selection.includes(artifact, store.root)
        if left_out is not None:
            left_out(artifact)
    if selection.include and not included:
        reason = f"no model fits the patterns to include ({', '.join(selection.include)})"
        raise NothingIncluded("storage/not-found", store.root, reason)


def _named(store: Store, item: StoredObject, *, siblings: bool) -> Artifact:
    """Make the artifact of a file that was named by itself: what a loader would load by that name.

    The address of a set (its index, or its first shard) stands for the set.
    """
    if siblings:
        with suppress(StorageError):  # who may read one file may not be allowed to list
            listed = store.list_folder(item.folder, is_relevant)
            if listed is not None:
                return artifact_of(item, listed)
    artifact = artifact_of(item, _look_beside(store, item) if siblings else [])
    shard = shard_name(item.name)
    if shard is not None and shard.number != 1:
        artifact = artifact._replace(kind="file")
    return artifact._replace(listed=False)


def _look_beside(store: Store, item: StoredObject) -> list[StoredObject]:
    """Look for the files beside one where no listing shows them."""

    def look(name: str) -> StoredObject | None:
        url = item.folder + name
        try:
            if store.loop is None:
                return finish(store.find(url))
            from prefect_mutagen.scanner.storage.pacing import repeat

            return run(store, repeat(lambda: store.find(url), url))
        except StorageError as problem:
            if problem.code == "storage/not-found":
                return None
            return StoredObject(url, 0, "", fault=problem)

    signatures = (OMS_NAME, *(item.name + suffix for suffix in SUFFIXES))
    names = (*NEIGHBOURS, f"{item.name}.sha256", *signatures)
    if store.loop is None:
        found = [look(name) for name in names]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(names)) as threads:
            found = list(threads.map(look, names))
    return [neighbour for neighbour in found if neighbour is not None]


def examine_artifacts(
    store: Store,
    artifacts: Iterable[Artifact],
    examiner: Examiner,
    concurrency: int = 64,
    sharing: "Sharing | None" = None,
) -> Iterator[ScanResult]:
    """Examine artifacts of one store.

    Args:
        store: Where they lie.
        artifacts: What to examine; taken as examinations get free, never all at once.
        examiner: Policy, hash level and what folders have in common.
        concurrency: Remote artifacts that are examined at a time.
        sharing: What examinations of one remote scan that run side by side have in common, their
            concurrency included; see `prefect_mutagen.scanner.examine.remote_engine.share`.

    Yields:
        One result per artifact, in their order.
    """
    if store.loop is not None:
        from prefect_mutagen.scanner.examine.remote_engine import examine_remote, share

        yield from examine_remote(artifacts, examiner, sharing or share(store, concurrency))
        return
    if examiner.hash_level == "full":
        yield from _examine_in_threads(store, artifacts, examiner, concurrency)
        return
    for artifact in artifacts:
        yield _examine_here(store, artifact, examiner)


def _examine_here(store: Store, artifact: Artifact, examiner: Examiner) -> ScanResult:
    cost = Cost()
    work = drive(examiner.examine(artifact, cost), partial(answer, store, cost))
    return finish(guarded(work, artifact))


def _examine_in_threads(
    store: Store, artifacts: Iterable[Artifact], examiner: Examiner, concurrency: int
) -> Iterator[ScanResult]:
    """Examine local artifacts side by side: hashing and reading let go of the interpreter."""
    from concurrent.futures import Future, ThreadPoolExecutor

    most = max(1, min(concurrency, os.cpu_count() or 1))
    waiting: deque[Future[ScanResult]] = deque()
    with ThreadPoolExecutor(most) as threads:
        try:
            for artifact in artifacts:
                waiting.append(threads.submit(_examine_here, store, artifact, examiner))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)


def run(store: Store, work: Coroutine[Any, Any, _T]) -> _T:
    """Run a store's coroutine to its end, from outside its loop."""
    if store.loop is None:
        return finish(work)
    from prefect_mutagen.scanner.examine.remote_engine import run_in_loop

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
    work: Generator[Request, Any, _T], answer_one: Callable[[Request], Coroutine[Any, Any, Any]]
) -> _T:
    """Answer an examination's requests until it has its result."""
    try:
        request = next(work)
        while True:
            try:
                reply = await answer_one(request)
            except StorageError as problem:
                request = work.throw(problem)
            else:
                request = work.send(reply)
    except StopIteration as stop:
        result: _T = stop.value
        return result


async def answer(store: Store, cost: Cost, request: Request) -> Any:
    """Do what an examination asks for, one thing after the other, and count what it costs."""
    if isinstance(request, Digest):
        return request.digest.update(request.data)
    if isinstance(request, Parts):
        return [await drive(part, partial(answer, store, cost)) for part in request.parts]
    cost.requests += 1
    if isinstance(request, Find):
        return await store.find(request.url)
    if isinstance(request, LookUp):
        return await store.stored_sha256(request.item)
    end = request.end
    if request.upto and store.loop is None:
        # Small pieces stay in the processor's cache: a third of the time of large ones.
        end = min(end, max(request.upto, request.start + _LOCAL_PIECE))
    reply = await store.read(request.item, request.start, end)
    cost.bytes_read += len(reply.data)
    return reply
