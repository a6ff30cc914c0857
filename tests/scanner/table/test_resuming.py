"""What an interrupted scan examined, and what the next one takes over."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_mutagen.scanner import scan as scan_all
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table import staging
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.staging import PART, STAGED, Rescan, StagingWriter, scan_of
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.table_scan import TableScan, list_changed, publish
from tests.builders import gguf
from tests.parsers.pickle_builders import state_dict, torch_zip

CONTENT = gguf().data
OTHER = gguf(tensors=[("b.weight", (32, 2), 0)]).data
PICKLE = torch_zip(state_dict({"w": (2, 2)}), {"0": bytes(16)})


class Place:
    """A root, its table, and scans that are interrupted or come to their end."""

    def __init__(self, root: Path, table: Path) -> None:
        self.root, self.table = root, Table(str(table), str(root))
        self.warnings: list[str] = []

    def interrupt(
        self,
        policy: Policy = Policy(),
        hash_level: HashLevel = "stored",
        rescan: Rescan = "changed",
    ) -> list[ScanResult]:
        """Examine everything and publish nothing; one chunk is written, however slowly."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(staging, "_SHORTEST", 1e9)
            with TableScan(new_scan(str(self.root), policy), self.table) as scan:
                scan.keep_results(rescan, Selection(), self.warnings.append)
                return [
                    scan.recording.add(result)
                    for result in scan_all(str(self.root), policy=policy, hash=hash_level)
                ]

    def finish(
        self,
        policy: Policy = Policy(),
        hash_level: HashLevel = "stored",
        rescan: Rescan = "changed",
        selection: Selection = Selection(),
    ) -> tuple[list[str], list[ScanResult]]:
        """Publish what is taken over; names of what else would be examined, and the former."""
        with TableScan(new_scan(str(self.root), policy), self.table) as scan:
            scan.keep_results(rescan, selection, self.warnings.append)
            interrupted = scan.interrupted(rescan)
            changed = list_changed(
                scan.known,
                open_store(str(self.root), {}),
                selection,
                {},
                hash_level=hash_level,
                policy=policy,
                rescan=rescan,
                interrupted=interrupted,
            )
            examine = [os.path.basename(artifact.url) for artifact in changed]
            summary = Summary()
            taken = list(interrupted.results())
            assert len(taken) == interrupted.count
            for result in taken:
                summary.add(scan.recording.add(result))
            scan.finish(summary)
            assert publish(self.table, scan.prepare(summary), Retention()) == ""
        return examine, taken

    def chunks(self) -> list[Path]:
        folder = Path(self.table.url) / PART / self.table.files._folder
        return sorted(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = tmp_path / "root"
    for name in ("a", "b", "c"):
        (root / name).mkdir(parents=True)
        (root / name / f"{name}.gguf").write_bytes(CONTENT)
    return Place(root, tmp_path / "table")


def _reports(results: list[ScanResult]) -> list[dict[str, Any]]:
    plain = (replace(result, drift=None, drift_details=()).to_report() for result in results)
    return sorted(plain, key=lambda report: str(report["url"]))


def test_what_is_taken_over_is_what_was_examined(golden_inputs: Path, tmp_path: Path) -> None:
    place = Place(golden_inputs, tmp_path / "table")
    examined = place.interrupt()
    assert len(examined) > 10
    known = [result for result in examined if result.verdict.status != "unknown"]
    examine, taken = place.finish()
    assert _reports(taken) == _reports(known)
    assert len(examine) == len(examined) - len(taken), "what is not known is looked at again"
    assert place.chunks() == []
    assert set(place.table.read_state()) == {result.url for result in taken}
    assert place.warnings == []


def test_a_scan_that_comes_to_its_end_leaves_nothing(place: Place) -> None:
    place.interrupt()
    place.finish()
    assert place.finish() == ([], []), "all is in the state"


def test_what_has_changed_is_examined_again(place: Place) -> None:
    place.interrupt()
    (place.root / "b" / "b.gguf").write_bytes(OTHER)
    (place.root / "c" / "config.json").write_text('{"model_type": "llama"}')
    (place.root / "d.gguf").write_bytes(CONTENT)
    (place.root / "a" / "a.gguf").rename(place.root / "a" / "z.gguf")
    examine, taken = place.finish()
    assert sorted(examine) == ["b.gguf", "c.gguf", "d.gguf", "z.gguf"]
    assert taken == []


def test_the_newest_examination_counts(place: Place) -> None:
    place.interrupt()
    (place.root / "b" / "b.gguf").write_bytes(OTHER)
    place.interrupt()
    first, second, *_ = {scan_of(path.stem): None for path in place.chunks()}
    assert first < second
    examine, taken = place.finish()
    assert examine == []
    assert len(taken) == 3


def test_the_current_policy_judges(place: Place) -> None:
    (place.root / "p.pt").write_bytes(PICKLE)
    assert {result.verdict.status for result in place.interrupt()} == {"passed"}
    strict = Policy(max_size_bytes=1)
    examine, taken = place.finish(strict)
    assert examine == []
    assert {result.verdict.status for result in taken} == {"failed"}
    assert {result.verdict.status for result in place.table.read_state().values()} == {"failed"}


def test_pickles_read_with_other_globals_trusted_are_examined_again(place: Place) -> None:
    (place.root / "p.pt").write_bytes(PICKLE)
    place.interrupt()
    examine, taken = place.finish(Policy(allowed_globals=("numpy.dtype",)))
    assert examine == ["p.pt"]
    assert len(taken) == 3


def test_another_version_of_the_tool_examines_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.interrupt()
    monkeypatch.setattr("prefect_mutagen.scanner.table.state_index.__version__", "0.0.1")
    examine, taken = place.finish()
    assert (len(examine), taken) == (3, [])
    assert place.chunks() == [], "nobody will ever need them"


def test_bytes_that_were_not_hashed_are(place: Place) -> None:
    place.interrupt()
    place.interrupt(hash_level="full")
    (place.root / "d.gguf").write_bytes(CONTENT)
    examine, taken = place.finish(hash_level="full")
    assert examine == ["d.gguf"]
    assert {result.sha256_source for result in taken} == {"computed"}


def test_a_scan_of_everything_resumes_its_like_alone(place: Place) -> None:
    place.interrupt()
    examine, _ = place.finish(rescan="all")
    assert len(examine) == 3
    place.interrupt(rescan="all")
    examine, taken = place.finish(rescan="all")
    assert (examine, len(taken)) == ([], 3)


def test_a_scan_of_a_part_leaves_the_rest_to_others(place: Place) -> None:
    place.interrupt()
    part = Selection(include=("a.gguf",))
    examine, taken = place.finish(selection=part)
    assert (examine, len(taken)) == ([], 1)
    assert len(place.chunks()) == 1
    examine, taken = place.finish()
    assert (examine, len(taken)) == ([], 2)
    assert place.chunks() == []


def _put(rows: pa.Table, path: Path) -> None:
    """Replace a chunk, as somebody would who knows how they are named."""
    pq.write_table(rows, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    path.rename(path.with_stem(f"{path.stem[:-32]}{digest}"))


def _rewritten(**columns: Callable[[Any], Any]) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        rows = pq.read_table(path)
        plain = [
            row | {name: change(row[name]) for name, change in columns.items()}
            for row in rows.to_pylist()
        ]
        kept = STAGED.with_metadata(rows.schema.metadata)
        _put(pa.Table.from_pylist(plain, schema=kept), path)

    return rewrite


def _put_something_else(path: Path) -> None:
    _put(pa.table({"url": ["x"]}), path)
    (path,) = path.parent.iterdir()
    path.rename(path.with_stem(f"{path.stem[:-32]}{hashlib.sha256(b'x').hexdigest()[:32]}"))
    (path,) = path.parent.iterdir()
    path.write_bytes(b"x")


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 0xFF
    path.write_bytes(data)


def _drop_a_column(path: Path) -> None:
    rows = pq.read_table(path)
    _put(rows.drop_columns(["documents"]), path)


def _forget_the_scan(path: Path) -> None:
    _put(pq.read_table(path).replace_schema_metadata({}), path)


def _claim_another_root(path: Path) -> None:
    rows = pq.read_table(path)
    metadata = {
        key: value.replace(b"/root", b"/other")
        for key, value in (rows.schema.metadata or {}).items()
    }
    _put(rows.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"PAR1 but not really PAR1"), id="no-parquet"),
        pytest.param(_put_something_else, id="another-table"),
        pytest.param(_truncate, id="truncated"),
        pytest.param(_flip, id="flipped-bytes"),
        pytest.param(_drop_a_column, id="column-missing"),
        pytest.param(_forget_the_scan, id="no-metadata"),
        pytest.param(_claim_another_root, id="another-root"),
        pytest.param(_rewritten(url=lambda url: f"/elsewhere{url}"), id="outside-the-root"),
        pytest.param(_rewritten(status=lambda _: None), id="no-status"),
        pytest.param(_rewritten(documents=lambda _: []), id="no-documents"),
        pytest.param(_rewritten(documents=lambda _: None), id="documents-null"),
        pytest.param(
            _rewritten(facts=lambda _: "{", neighbours=lambda _: []), id="facts-unreadable"
        ),
        pytest.param(_rewritten(pin=lambda pin: pin[:-1] + "x"), id="another-pin"),
    ],
)
def test_what_is_corrupt_or_foreign_is_examined_again(
    place: Place, spoil: Callable[[Path], None]
) -> None:
    place.interrupt()
    (chunk,) = place.chunks()
    spoil(chunk)
    examine, taken = place.finish()
    assert (len(examine), taken) == (3, [])
    assert place.chunks() == []


def test_a_chunk_is_all_or_nothing(place: Place) -> None:
    known = _reports(place.interrupt())
    (chunk,) = place.chunks()
    whole = chunk.read_bytes()
    for at in range(4, len(whole), len(whole) // 199):
        chunk.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with TableScan(new_scan(str(place.root), Policy()), place.table) as scan:
            interrupted = scan.interrupted("changed")
            listed = list_artifacts(open_store(str(place.root), {}))
            taken = [interrupted.take(one, "stored", Policy()) for one in listed]
            results = _reports(list(interrupted.results()))
        assert (results, any(taken)) == ([], False)
    chunk.write_bytes(whole)
    assert _reports(place.finish()[1]) == known


def test_documents_that_nobody_can_read_cost_their_artifact_alone(place: Place) -> None:
    place.interrupt()
    (chunk,) = place.chunks()

    def broken(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if documents[0]["model_filename"] == "b.gguf":
            return [{**one, "metadata": [("x", "{")]} for one in documents]
        return documents

    _rewritten(documents=broken)(chunk)
    _, taken = place.finish()
    assert [result.verdict.status for result in taken] == ["passed", "unknown", "passed"]
    assert place.finish()[0] == ["b.gguf"], "the next scan examines it"


def test_other_files_there_are_left_alone(place: Place) -> None:
    place.interrupt()
    folder = place.chunks()[0].parent
    (folder / "notes.parquet").write_text("mine")
    (folder / "README").write_text("mine")
    assert len(place.finish()[1]) == 3
    assert [path.name for path in place.chunks()] == ["README", "notes.parquet"]


def test_a_chunk_is_of_use_for_a_week(place: Place) -> None:
    place.interrupt()
    (chunk,) = place.chunks()
    chunk.rename(chunk.with_name(f"20200101{chunk.name[8:]}"))
    examine, taken = place.finish(selection=Selection(include=("*.gguf",)))
    assert (len(examine), taken) == (3, [])
    assert place.chunks() == [], "even a scan of a part deletes it"


def test_a_staging_area_that_cannot_be_written_is_told_once(place: Place) -> None:
    Path(place.table.url).mkdir()
    (Path(place.table.url) / PART).write_text("a file")
    assert len(place.interrupt()) == 3
    (warning,) = place.warnings
    assert warning.startswith("if this scan is interrupted, the next one begins anew: ")


@pytest.fixture
def writer(place: Place) -> Iterator[StagingWriter]:
    with StagingWriter(place.table.files, new_scan(str(place.root), Policy())) as started:
        yield started


def test_what_was_added_is_written_while_the_scan_goes_on(
    place: Place, writer: StagingWriter
) -> None:
    deadline = time.monotonic() + 60
    writer.add({"url": "x"}, [{"metadata": []}])
    while not place.chunks():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    writer.add({"url": "y"}, [{"metadata": []}])
    writer.add({"url": "does not fit", "size_bytes": "many"}, [{"metadata": []}])
    writer.__exit__(None, None, None)
    urls = [pq.read_table(path)["url"].to_pylist() for path in place.chunks()]
    assert urls == [["x"], ["y"]]
    writer.__enter__()


def test_much_is_written_at_once(
    place: Place, writer: StagingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_SHORTEST", 1e9)
    writer.add({"url": "first"}, [{"metadata": []}])
    text = os.urandom(1 << 20).hex()
    for number in range(12):
        writer.add({"url": f"{number}"}, [{"metadata": [("k", text)]}])
    writer.__exit__(None, None, None)
    sizes = [path.stat().st_size for path in place.chunks()]
    assert len(sizes) > 1
    assert max(sizes) < 3 * staging._CHUNK_BYTES
    writer.__enter__()
