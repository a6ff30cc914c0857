"""How far hashing is, in the log of a task run."""

import logging
import threading
from pathlib import Path

import pytest

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.storage.hashing import PIECE
from prefect_mutagen.scanner.storage.store import StoredObject
from prefect_mutagen.tasks import list_artifacts, scan_artifact, scan_batch
from prefect_mutagen.tasks.hash_log import HashLog
from tests.builders import gguf
from tests.scanner.storing import put_local

MIB = 1 << 20


def _artifact(name: str, *sizes: int) -> Artifact:
    items = tuple(StoredObject(f"s3://b/{name}{n}", size, "") for n, size in enumerate(sizes))
    return Artifact(items[0].url, items)


def test_a_line_now_and_then_and_one_at_the_end() -> None:
    lines: list[str] = []
    seconds = iter(range(0, 1000, 10))  # ten for each piece
    log = HashLog(lines.append, clock=lambda: next(seconds))
    for artifact in log.watch([_artifact("set", 40 * MIB, 40 * MIB), _artifact("one", 16 * MIB)]):
        for item in artifact.objects:
            for start in range(0, item.size, 8 * MIB):
                log.add_hashed(item, start, start + 8 * MIB)
    log.close()
    assert lines == [
        "hashed 24 MiB of 80 MiB, now 24 MiB of 40 MiB of s3://b/set0",
        "hashed 48 MiB of 80 MiB, now 8 MiB of 40 MiB of s3://b/set1",
        "hashed 72 MiB of 80 MiB, now 32 MiB of 40 MiB of s3://b/set1",
        "hashed 96 MiB of 96 MiB, now 16 MiB of 16 MiB of s3://b/one0",
        "hashed 3 files, 96 MiB",
    ]


def test_nothing_hashed_nothing_said() -> None:
    lines: list[str] = []
    log = HashLog(lines.append)
    assert len(list(log.watch([_artifact("a", 1)]))) == 1
    log.close()
    assert lines == []


def test_names_are_shown_and_obeyed_by_nobody() -> None:
    lines: list[str] = []
    log = HashLog(lines.append, every=0)
    log.add_hashed(StoredObject("/m/\x1b[31m\nx.gguf", 8, ""), 0, 4)
    assert lines == ["hashed 4 B of 0 B, now 4 B of 8 B of /m/\\x1b[31m\\nx.gguf"]


def test_pieces_from_many_threads_are_all_counted() -> None:
    lines: list[str] = []
    log = HashLog(lines.append, every=1e9)
    item = StoredObject("/m/x.gguf", 10**9, "")

    def hash_it() -> None:
        for n in range(2000):
            log.add_hashed(item, n, n + 1)

    threads = [threading.Thread(target=hash_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert lines == ["hashed 0 files, 15.6 KiB"]


@pytest.mark.parametrize(("level", "said"), [("full", True), ("stored", False)])
def test_the_task_says_what_it_hashed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, level: str, said: bool
) -> None:
    data = gguf().data
    root = put_local(tmp_path, {"a.gguf": data + bytes(PIECE), "b.gguf": data})
    logger = logging.getLogger("prefect.mutagen")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level("INFO", "prefect.mutagen"):
            artifacts = list_artifacts.fn(root)
            results = scan_batch.fn(artifacts, root, hash=level)  # type: ignore[arg-type]
            scan_artifact.fn(artifacts[1], root, hash=level)  # type: ignore[arg-type]
    finally:
        logger.removeHandler(caplog.handler)
    assert [bool(result.sbom.sha256) for result in results] == [said, said]
    assert ("hashed 2 files, 8 MiB" in caplog.text) is said
    assert (f"hashed {root}/b.gguf, " in caplog.text) is said
