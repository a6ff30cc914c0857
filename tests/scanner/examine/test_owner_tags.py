"""Tags of S3 objects say whose a model is, where the policy asks; nothing else depends on them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, scan, verify
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.outputs.page.entries import Judging, entry_of
from prefect_mutagen.scanner.policy.owners import TAG_FACT, TAG_UNREAD_FACT
from prefect_mutagen.scanner.policy.policy import Owner, PolicyOverride, PolicySet, load_policy
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.fast import FastStore
from prefect_mutagen.scanner.storage.s3 import S3Store
from prefect_mutagen.scanner.table.table import Table
from tests.builders import gguf
from tests.report_tables import NOW
from tests.scanner.storing import put_local
from tests.servers import S3Server

GGUF = gguf().data
ASKING = Policy(owner_tag="team", owners=(Owner("b", "by policy"),))


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """A bucket with models, some of which have tags."""
    name = s3_server.bucket({f"{one}/m.gguf": GGUF for one in ("a", "b", "c")})
    client = s3_server.client()
    for key, value in (("a/m.gguf", "ana@example.org"), ("b/m.gguf", "by tag")):
        tags = {"TagSet": [{"Key": "team", "Value": value}, {"Key": "x", "Value": "y"}]}
        client.put_object_tagging(Bucket=name, Key=key, Tagging=tags)
    return f"s3://{name}"


def test_a_tag_is_asked_for_where_the_policy_names_it(bucket: str, s3_server: S3Server) -> None:
    asked = list(scan(bucket, policy=ASKING, storage_options=s3_server.options))
    plain = list(scan(bucket, storage_options=s3_server.options))
    assert [one.facts.get(TAG_FACT) for one in asked] == ["ana@example.org", "by tag", None]
    assert not any(TAG_FACT in one.facts for one in plain)
    url = f"{bucket}/a/m.gguf"
    verified = verify(url, policy=ASKING, storage_options=s3_server.options)
    assert TAG_FACT not in verified.facts, "a gate needs no owner"
    for one, other in zip(asked, plain, strict=True):
        assert one.requests == other.requests + 1
        assert one.verdict == other.verdict
        assert (one.pin, one.findings) == (other.pin, other.findings)


def test_a_tag_is_asked_for_below_an_override_too(bucket: str, s3_server: S3Server) -> None:
    policy = PolicySet.of(ASKING, (PolicyOverride(f"{bucket}/a", Policy(max_size_bytes=1)),))
    asked = list(scan(bucket, policy=policy, storage_options=s3_server.options))
    assert [one.facts.get(TAG_FACT) for one in asked] == ["ana@example.org", "by tag", None]
    assert [one.passed for one in asked] == [False, True, True]


def test_in_the_table_entries_of_the_policy_come_first(
    bucket: str, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", json.dumps(s3_server.options))
    policy, place = tmp_path / "policy.yaml", str(tmp_path / "table")
    words = ["scan", bucket, "--table", place, "--policy", str(policy)]

    def owners(text: str) -> list[str | None]:
        policy.write_text(text)
        assert main(words) == 0
        return list(Table(place, bucket).open_state().file.column("owner"))

    tagged = "owner_tag: team"
    assert owners(f"{tagged}\nowners: [{{prefix: b, owner: by policy}}]") == [
        *("ana@example.org", "by policy", None),
    ]
    assert owners(tagged) == ["ana@example.org", "by tag", None], "nothing was read for it"
    assert owners("{}") == [None, None, None]


def test_what_may_not_be_read_is_no_fault_of_the_model(
    bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def denied(*_: object) -> dict[str, str]:
        raise StorageError("storage/denied", "s3://x", "permission denied")

    for store in (S3Store, FastStore):
        monkeypatch.setattr(store, "tags", denied)
    first, *_ = scan(bucket, policy=ASKING, storage_options=s3_server.options)
    assert first.passed
    assert first.facts[TAG_UNREAD_FACT] == (
        "its tags could not be read, which says nothing about it: permission denied"
    )
    entry = entry_of(first, bucket, Judging.by(ASKING.to_dict()), NOW)
    assert entry.owner == "not known: its tags could not be read"
    assert entry_of(first, bucket, Judging.by({}), NOW).owner == ""


def test_other_storage_has_no_tags(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF})
    (asked,), (plain,) = list(scan(root, policy=ASKING)), list(scan(root))
    assert asked.requests == plain.requests
    assert replace(asked, sbom=plain.sbom) == plain


@pytest.mark.parametrize("text", ["owner_tag: ' '", "owner_tag: ' team'", "owner_tag: '{{ x }}'"])
def test_the_name_of_a_tag(text: str) -> None:
    with pytest.raises(ValueError, match="owner_tag"):
        load_policy(text)
