from datetime import UTC, datetime
from pathlib import Path

import pytest

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.listing.artifacts import Artifact, Beside
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.listing.selection import Selection, read_moment
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.builders import gguf
from tests.scanner.storing import put_local

GGUF = gguf().data
NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)


def _artifact(*paths: str, modified: float | None = 100.0, neighbour: float = 100.0) -> Artifact:
    items = tuple(StoredObject(f"s3://b/r/{path}", 1, "etag:1", modified) for path in paths)
    beside = (StoredObject("s3://b/r/config.json", 1, "etag:1", neighbour),)
    return Artifact(items[0].url, items, Beside(beside))


@pytest.mark.parametrize(
    ("include", "exclude", "path", "taken"),
    [
        ((), (), "a/b.gguf", True),
        (("*.gguf",), (), "a/b.gguf", True),
        (("*.gguf",), (), "a/b.safetensors", False),
        (("a/*",), (), "a/b.gguf", True),
        (("a/*",), (), "a/c/b.gguf", False),
        (("a/**",), (), "a/c/b.gguf", True),
        (("**/b.gguf",), (), "b.gguf", True),
        (("**/b.gguf",), (), "x/y/b.gguf", True),
        (("/a/*",), (), "a/b.gguf", True),
        (("?.gguf",), (), "ab.gguf", False),
        (("[ab].gguf",), (), "a.gguf", False),
        (("*.gguf",), ("a/**",), "a/b.gguf", False),
        ((), ("*-Q2_K.gguf",), "x-Q2_K.gguf", False),
    ],
)
def test_patterns(
    include: tuple[str, ...], exclude: tuple[str, ...], path: str, *, taken: bool
) -> None:
    selection = Selection(include, exclude)
    assert selection.takes(_artifact(path), "s3://b/r") is taken


def test_a_set_is_taken_or_left_as_a_whole() -> None:
    both = _artifact("m-00001-of-00002.gguf", "m-00002-of-00002.gguf")
    assert Selection(include=("*-00002-*",)).takes(both, "s3://b/r")
    assert not Selection(exclude=("*-00002-*",)).takes(both, "s3://b/r")


def test_age_looks_at_neighbours_too() -> None:
    selection = Selection(modified_since=200.0)
    assert not selection.takes(_artifact("a.gguf"), "s3://b/r")
    assert selection.takes(_artifact("a.gguf", modified=200.0), "s3://b/r")
    assert selection.takes(_artifact("a.gguf", modified=None), "s3://b/r")
    assert selection.takes(_artifact("a.gguf", neighbour=300.0), "s3://b/r")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7d", datetime(2026, 5, 3, 12, tzinfo=UTC)),
        ("36h", datetime(2026, 5, 9, tzinfo=UTC)),
        ("2w", datetime(2026, 4, 26, 12, tzinfo=UTC)),
        ("90min", datetime(2026, 5, 10, 10, 30, tzinfo=UTC)),
        ("2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
        ("2026-05-01T02:00:00+02:00", datetime(2026, 5, 1, tzinfo=UTC)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    assert read_moment(text, NOW) == moment.timestamp()


@pytest.mark.parametrize(
    "text", ["", "yesterday", "7", "d", "99999999d", "999999d", "999999w", "2026-13-01"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a date nor an age"):
        read_moment(text, NOW)


def test_a_selection_says_what_it_is() -> None:
    assert Selection().describe() == ""
    selection = Selection(("*.gguf", "a/**"), ("x",), 1777593600.0, all_versions=True)
    said = "only *.gguf, a/**; not x; changed since 2026-05-01 00:00 UTC; all versions"
    assert selection.describe() == said
    assert Selection(inventory="s3://b/m.json").describe() == "as listed by s3://b/m.json"
    assert Selection(modified_since=1e15).describe() == "changed since 1e+15"


def test_marks_of_tools_are_no_models(tmp_path: Path) -> None:
    hub = "models--org--m"
    root = put_local(
        tmp_path,
        {
            f"{hub}/.no_exist/abc/model.safetensors.index.json": b"",
            f"{hub}/snapshots/abc/m.gguf": GGUF,
            "repo/__MACOSX/._m.gguf": b"\0\5\x16\7",
            "repo/.git/lfs/objects/ab/x.gguf": GGUF,
            "repo/m.gguf": GGUF,
        },
    )
    found = [artifact.url for artifact in list_artifacts(open_store(root))]
    assert found == [
        f"{root}/{hub}/snapshots/abc/m.gguf",
        f"{root}/repo/.git/lfs/objects/ab/x.gguf",
        f"{root}/repo/m.gguf",
    ]


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = put_local(tmp_path, {"a/x.gguf": GGUF, "b/y.gguf": GGUF, "b/z.gguf": b"cut"})
    arguments = ["scan", root, "--format", "jsonl", "--include", "b/*", "--exclude", "z.*"]
    assert main([*arguments, "--modified-since", "1d"]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert main([*arguments, "--modified-since", "2999-01-01"]) == 0
    assert capsys.readouterr().out == ""
    assert main([*arguments, "--modified-since", "soon"]) == 2
    assert "takes a date" in capsys.readouterr().err
    both = ["--all-versions", "--inventory", "s3://b/manifest.json"]
    assert main([*arguments, *both]) == 2
    assert "leave one of the two out" in capsys.readouterr().err
