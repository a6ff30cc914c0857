"""What has not begun when a flow run ends does not begin, and what is long does not go on."""

from pathlib import Path

import pytest

from prefect_mutagen.tasks import list_artifacts, scan_batch
from prefect_mutagen.tasks.ending import (
    ExaminationEnded,
    RunIsEnding,
    begin_ending,
    ends_with,
    is_ending,
    run_key,
    until_ending,
)
from tests.builders import gguf
from tests.scanner.storing import put_local


def test_the_latch_closes_before_what_has_begun_is_ended() -> None:
    seen: list[bool] = []
    with pytest.raises(KeyboardInterrupt), ends_with("one", lambda: seen.append(is_ending("one"))):
        raise KeyboardInterrupt
    assert seen == [True]
    assert not is_ending("another")
    with ends_with("another"):
        pass
    assert not is_ending("another")


def test_outside_of_a_run_there_is_no_latch() -> None:
    assert run_key() == ""
    assert not is_ending("")


def test_items_end_with_the_run() -> None:
    items = until_ending(range(3), "items")
    assert next(items) == 0
    begin_ending("items", lambda: None)
    with pytest.raises(RunIsEnding):
        next(items)


@pytest.mark.parametrize("level", ["stored", "full"])
def test_a_batch_ends_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    """With full hashing also in the middle of a file, which may be large."""
    root = put_local(tmp_path, {f"{number}.gguf": gguf().data for number in range(3)})
    artifacts = list_artifacts.fn(root)
    assert len(scan_batch.fn(artifacts, root, hash=level)) == 3  # type: ignore[arg-type]
    run = f"batch-{level}"
    begin_ending(run, lambda: None)
    monkeypatch.setattr("prefect_mutagen.tasks.scanning.run_key", lambda: run)
    if level == "full":
        monkeypatch.setattr("prefect_mutagen.tasks.scanning.until_ending", lambda items, _: items)
    with pytest.raises((RunIsEnding, ExaminationEnded)):
        scan_batch.fn(artifacts, root, hash=level)  # type: ignore[arg-type]
