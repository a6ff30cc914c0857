"""Scans with a table under policies with overrides: what is read again, and how rows are judged."""

from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.policy.overrides import PolicyOverride, PolicySet
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.table_scan import TableScan, list_changed
from tests.builders import gguf
from tests.scan_views import scan_view
from tests.scanner.storing import put_local

PICKLE = b"\x80\x02cacme.models\nModel\n."
FILES = {"a/p.pkl": PICKLE, "lab/q.pkl": PICKLE, "lab/model.gguf": gguf().data}
TRUSTING = Policy(allowed_globals=("acme.models.Model",))


class _Bucket:
    def __init__(self, folder: Path) -> None:
        self.root = put_local(folder / "root", FILES)
        self.table = str(folder / "table")

    def below(self, name: str, policy: Policy) -> Policy:
        return PolicySet.of(Policy(), (PolicyOverride(f"{self.root}/{name}", policy),))

    def to_examine(self, policy: Policy) -> list[str]:
        with TableScan(new_scan(self.root, policy), Table(self.table, self.root)) as scan:
            rest = {"hash_level": "stored", "policy": policy}
            listed = list_changed(scan.known, open_store(self.root), Selection(), {}, **rest)  # type: ignore[arg-type] # keywords
            return [artifact.url.removeprefix(f"{self.root}/") for artifact in listed]

    def scan(self, policy: Policy) -> set[str]:
        """What passes."""
        scan_view(self.root, self.table, policy)
        state = Table(self.table, self.root).read_state()
        return {url.removeprefix(f"{self.root}/") for url, one in state.items() if one.passed}


@pytest.fixture
def bucket(tmp_path: Path) -> _Bucket:
    return _Bucket(tmp_path)


def test_only_what_another_override_reads_differently_is_read_again(bucket: _Bucket) -> None:
    trusting = bucket.below("lab", TRUSTING)
    assert bucket.scan(Policy()) == {"lab/model.gguf"}
    assert bucket.to_examine(trusting) == ["lab/q.pkl"]
    assert bucket.scan(trusting) == {"lab/model.gguf", "lab/q.pkl"}
    assert bucket.to_examine(trusting) == []
    assert bucket.to_examine(bucket.below("a", TRUSTING)) == ["a/p.pkl", "lab/q.pkl"]
    assert bucket.to_examine(Policy()) == ["lab/q.pkl"], "its trust is gone with the override"
    assert bucket.scan(Policy()) == {"lab/model.gguf"}


def test_rows_are_judged_by_the_override_that_applies(bucket: _Bucket) -> None:
    bucket.scan(Policy())
    strict = bucket.below("lab", Policy(max_size_bytes=1))
    assert bucket.to_examine(strict) == []
    assert bucket.scan(strict) == set()
    assert bucket.scan(bucket.below("a", Policy(max_size_bytes=1))) == {"lab/model.gguf"}


def test_an_old_examination_is_too_old_where_a_limit_holds(
    bucket: _Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.scan(Policy())
    limited = bucket.below("a", Policy(max_scan_age_hours=1))
    monkeypatch.setattr(
        "prefect_mutagen.scanner.table.state.is_too_old",
        lambda _time, policy: policy.max_scan_age_hours == 1,
    )
    assert bucket.to_examine(limited) == ["a/p.pkl"]
