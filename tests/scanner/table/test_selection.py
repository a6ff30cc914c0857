"""What a selection leaves out stays in the table as it is known; nothing is said about it."""

import gzip
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.policy.policy import Waiver
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.address import VERSION_MARK
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.table_scan import Rescan, TableScan, list_changed, publish
from tests.builders import STRING, gguf
from tests.dates import SOON
from tests.scanner.storing import put_local
from tests.servers import S3Server

LLAMA = gguf((("general.architecture", STRING, "llama"),)).data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
STRICT = Policy(denied_architectures=("llama",))


class Scans:
    """Scans of one root into one table, each with a selection and a policy of its own."""

    def __init__(self, root: str, table: str, options: dict[str, Any] | None = None) -> None:
        self.root = root
        self.table = Table(table, root)
        self.options = options or {}
        self.summary = Summary()
        self.urls: list[str] = []

    def __call__(
        self, selection: Selection | None = None, policy: Policy | None = None, **asked: str
    ) -> dict[str, int]:
        policy, selection = policy or Policy(), selection or Selection()
        store = open_store(self.root, self.options, versions=selection.all_versions)
        self.summary = Summary()
        rescan: Rescan = "all" if asked.get("rescan") == "all" else "changed"
        with TableScan(new_scan(self.root, policy), self.table) as table_scan:
            recording = table_scan.recording
            changed = list_changed(
                table_scan.known,
                store,
                selection,
                self.options,
                hash_level="stored",
                policy=policy,
                rescan=rescan,
            )
            for result in examine_artifacts(store, changed, Examiner(policy)):
                self.summary.add(recording.add(result))
            table_scan.finish(self.summary)
            publish(self.table, table_scan.prepare(self.summary), Retention())
            self.urls = [self._name(result.url) for result in recording.results()]
            addresses = [url for urls in recording.addresses(100).values() for url in urls]
            assert sorted(self.urls) == sorted(map(self._name, addresses))
            assert len(self.urls) == self.summary.artifacts
            return dict(recording.drift)

    def state(self) -> dict[str, tuple[str | None, str]]:
        results = self.table.read_state().values()
        return {self._name(one.url): (one.drift, one.verdict.status) for one in results}

    def _name(self, url: str) -> str:
        return url.removeprefix(self.root).lstrip("/")


@pytest.fixture
def scans(tmp_path: Path) -> Scans:
    files = {"a/x.gguf": LLAMA, "a/y.gguf": LLAMA[:90], "b/x.gguf": LLAMA, "b/y.gguf": OTHER}
    root = put_local(tmp_path / "root", files)
    for name in files:
        os.utime(os.path.join(root, name), (1e9, 1e9))
    return Scans(root, str(tmp_path / "table"))


@pytest.mark.parametrize(
    ("selection", "about"),
    [
        (Selection(include=("a/*",)), ["a/x.gguf", "a/y.gguf"]),
        (Selection(exclude=("y.*",)), ["a/x.gguf", "b/x.gguf"]),
        (Selection(modified_since=1.5e9), []),
        (Selection(exclude=("*.gguf",)), []),
    ],
    ids=["include", "exclude", "age", "nothing"],
)
@pytest.mark.parametrize("rescan", ["changed", "all"])
def test_what_is_left_out_stays(
    scans: Scans, selection: Selection, about: list[str], rescan: str
) -> None:
    assert scans() == {"added": 4}
    before = scans.state()
    drift = scans(selection, rescan=rescan)
    assert drift == +Counter({"unchanged": len(about), "left-out": 4 - len(about)})
    assert scans.urls == about
    assert scans.summary.artifacts == len(about)
    assert scans.state() == before, "nothing differs, so the state is the same file"
    assert scans() == {"unchanged": 4}


def test_a_state_that_is_written_anew_has_what_was_left_out(scans: Scans, tmp_path: Path) -> None:
    scans()
    put_local(Path(scans.root), {"a/new.gguf": LLAMA, "b/new.gguf": LLAMA, "b/x.gguf": OTHER})
    os.unlink(f"{scans.root}/a/x.gguf")
    os.unlink(f"{scans.root}/b/y.gguf")
    drift = scans(Selection(include=("a/*",)))
    assert drift == {"added": 1, "unchanged": 1, "removed": 2, "left-out": 1}
    assert scans.state() == {
        "a/new.gguf": ("added", "passed"),
        "a/y.gguf": ("unchanged", "failed"),
        "b/x.gguf": ("left-out", "passed"),
    }
    rows = duckdb.read_parquet(f"{tmp_path}/table/scans/*/*.parquet").order("scan_id")
    counts = rows.project("left_out, judged_apart, artifacts, removed").fetchall()
    assert counts == [(0, False, 4, 0), (1, False, 2, 2)]
    # The next one that is about everything notices what has changed meanwhile.
    assert scans() == {"added": 1, "changed": 1, "unchanged": 2}
    assert {name for name, (drift, _) in scans.state().items() if drift == "changed"} == {
        "b/x.gguf"
    }


def test_a_first_scan_may_be_about_a_part(scans: Scans) -> None:
    assert scans(Selection(include=("b/*",))) == {"added": 2}
    assert scans() == {"added": 2, "unchanged": 2}


def test_a_policy_judges_only_what_the_scan_is_about(scans: Scans) -> None:
    scans()
    scans(Selection(include=("a/*",)), STRICT)
    assert {name: status for name, (_, status) in scans.state().items()} == {
        "a/x.gguf": "failed",
        "a/y.gguf": "failed",
        "b/x.gguf": "passed",
        "b/y.gguf": "passed",
    }
    # The same policy over everything: what was left out has never been judged under it.
    assert scans(None, STRICT) == {"unchanged": 4}
    assert scans.summary.passed == 1
    assert scans.state()["b/x.gguf"] == ("unchanged", "failed")


@pytest.mark.parametrize(
    "between",
    [
        [(Selection(include=("a/*",)), STRICT)] * 2,
        [(Selection(include=("a/*",)), STRICT), (Selection(include=("a/y.*",)), STRICT)],
        [(Selection(include=("a/y.*",)), STRICT), (Selection(include=("a/*",)), Policy())],
        [(Selection(exclude=("*",)), STRICT)],
    ],
    ids=["twice", "less", "back", "none"],
)
def test_however_parts_were_judged_a_whole_scan_judges_all(
    scans: Scans, between: list[tuple[Selection, Policy]]
) -> None:
    scans()
    for selection, policy in between:
        scans(selection, policy)
    for policy, passed in ((STRICT, 1), (Policy(), 3), (STRICT, 1)):
        scans(None, policy)
        assert scans.summary.passed == passed


def test_an_expired_waiver_of_a_part_is_noticed_by_a_whole_scan(scans: Scans) -> None:
    waiver = Waiver("policy/architecture", "*", "r", "o", SOON)
    scans(None, Policy(denied_architectures=("llama",), waivers=(waiver,)))
    scans(Selection(include=("b/y.*",)), STRICT)
    assert scans.state()["b/x.gguf"][1] == "passed"
    scans(None, STRICT)
    assert scans.state()["b/x.gguf"][1] == "failed"


@pytest.fixture
def versioned(s3_server: S3Server) -> tuple[str, Callable[[str, bytes], Any]]:
    name = s3_server.bucket()
    client = s3_server.client()
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def put(key: str, data: bytes) -> Any:
        return client.put_object(Bucket=name, Key=key, Body=data)

    for data in (LLAMA[:90], OTHER, LLAMA):
        put("m/a.gguf", data)
    return f"s3://{name}/m", put


def test_older_versions_are_not_gone_when_only_the_newest_are_listed(
    versioned: tuple[str, Callable[[str, bytes], Any]], tmp_path: Path, s3_server: S3Server
) -> None:
    root, put = versioned
    scans = Scans(root, str(tmp_path / "table"), s3_server.options)
    everything = Selection(all_versions=True)
    assert scans(everything) == {"added": 3}
    assert scans() == {"unchanged": 1, "left-out": 2}
    put("m/a.gguf", OTHER)
    assert scans() == {"changed": 1, "left-out": 2}
    assert len(scans.state()) == 3
    assert scans(everything) == {"added": 1, "unchanged": 3}
    bucket, _, _ = root.removeprefix("s3://").partition("/")
    old = next(name for name in scans.state() if VERSION_MARK in name)
    version = old.partition(VERSION_MARK)[2]
    s3_server.client().delete_object(Bucket=bucket, Key="m/a.gguf", VersionId=version)
    assert scans(everything) == {"removed": 1, "unchanged": 3}


@pytest.mark.parametrize(
    ("begun", "drift"),
    [
        ("1000", {"unchanged": 1, "left-out": 1}),
        ("", {"unchanged": 1, "left-out": 1}),
        ("32503680000000", {"unchanged": 1, "removed": 1}),
    ],
    ids=["before", "unknown", "after"],
)
def test_what_came_after_an_inventory_is_not_gone(
    s3_server: S3Server, tmp_path: Path, begun: str, drift: dict[str, int]
) -> None:
    bucket = s3_server.bucket({"m/a.gguf": LLAMA, "m/new.gguf": LLAMA})
    client = s3_server.client()
    head = client.head_object(Bucket=bucket, Key="m/a.gguf")
    etag, time = head["ETag"].strip('"'), head["LastModified"].isoformat()
    lines = f'"{bucket}","m/a.gguf","{len(LLAMA)}","{time}","{etag}"\n'
    data = gzip.compress(lines.encode())
    client.put_object(Bucket=bucket, Key="inv/part.csv.gz", Body=data)
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag",
        "files": [{"key": "inv/part.csv.gz"}],
        "creationTimestamp": begun,
    }
    client.put_object(Bucket=bucket, Key="inv/manifest.json", Body=json.dumps(manifest).encode())
    scans = Scans(f"s3://{bucket}/m", str(tmp_path / "table"), s3_server.options)
    scans()
    assert scans(Selection(inventory=f"s3://{bucket}/inv/manifest.json")) == drift


def test_the_command_keeps_what_it_was_not_asked_about(
    scans: Scans, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(tmp_path / "table")
    main(["scan", scans.root, "--table", table, "--format", "jsonl"])
    assert capsys.readouterr().out.count("\n") == 4
    put_local(Path(scans.root), {"a/new.gguf": LLAMA})
    arguments = ["scan", scans.root, "--table", table, "--format", "report"]
    for more, names in (
        (["--include", "b/*"], ["x.gguf", "y.gguf"]),
        (["--modified-since", "1h"], ["new.gguf"]),
        (["--modified-since", "1h", "--rescan", "all"], ["new.gguf"]),
    ):
        main([*arguments, *more])
        report = json.loads(capsys.readouterr().out)
        assert [one["url"].rpartition("/")[2] for one in report["artifacts"]] == names
        assert "left-out" not in {one["drift"] for one in report["artifacts"]}
        assert report["summary"]["artifacts"] == len(names)
    assert len(scans.state()) == 5
    query = "SELECT url FROM artifacts"
    assert main(["query", query, "--table", table, "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 5
