from pathlib import Path

import pytest

from prefect_mutagen.scanner import (
    ArtifactRejected,
    Policy,
    StorageError,
    open_verified,
    scan,
    verify,
)
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import S3Server

GGUF = gguf().data


def test_what_passes_is_given_back(tmp_path: Path) -> None:
    put_local(tmp_path, {"m.gguf": GGUF})
    result = verify(str(tmp_path / "m.gguf"))
    assert result.passed
    assert verify(result.url, result.pin).pin == result.pin


@pytest.mark.parametrize("change", ["touch", "content", "neighbour"])
def test_other_bytes_than_pinned_are_rejected(tmp_path: Path, change: str) -> None:
    put_local(tmp_path, {"m.gguf": GGUF})
    path = tmp_path / "m.gguf"
    pin = verify(str(path)).pin
    if change == "touch":
        path.write_bytes(GGUF)
    elif change == "content":
        path.write_bytes(gguf((), ()).data)
    else:
        (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    with pytest.raises(ArtifactRejected) as caught:
        verify(str(path), pin)
    assert caught.value.reasons[0].code == "storage/other-pin"
    assert str(path) in str(caught.value)


def test_what_fails_is_rejected_with_its_findings(tmp_path: Path) -> None:
    put_local(tmp_path, {"m.gguf": GGUF[:100]})
    with pytest.raises(ArtifactRejected, match="ends at byte 100") as caught:
        verify(str(tmp_path / "m.gguf"))
    assert caught.value.findings[0].code == "gguf/truncated"
    assert caught.value.result is not None


def test_the_policy_counts(tmp_path: Path) -> None:
    put_local(tmp_path, {"m.gguf": GGUF})
    with pytest.raises(ArtifactRejected) as caught:
        verify(str(tmp_path), policy=Policy(require_license=True))
    assert caught.value.reasons[0].policy_field == "require_license"


def test_all_of_a_folder_has_to_pass(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": GGUF, "b/c.gguf": GGUF})
    together = verify(str(tmp_path))
    assert together.kind == "set"
    assert len(together.objects) == 2
    assert together.sbom.parameter_count == 128
    assert verify(str(tmp_path), together.pin).pin == together.pin
    (tmp_path / "b/c.gguf").write_bytes(GGUF[:50])
    with pytest.raises(ArtifactRejected, match="a string of 20 bytes"):
        verify(str(tmp_path))


def test_nothing_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRejected, match="no model"):
        verify(str(tmp_path))
    with pytest.raises(StorageError):
        verify(str(tmp_path / "nowhere.gguf"))


def test_an_object_in_a_bucket(s3_server: S3Server) -> None:
    bucket = s3_server.bucket({"m.gguf": GGUF})
    url, options = f"s3://{bucket}/m.gguf", s3_server.options
    pin = verify(url, storage_options=options).pin
    assert verify(url, pin, storage_options=options).pin == pin
    s3_server.client().put_object(Bucket=bucket, Key="m.gguf", Body=GGUF + b"x")
    with pytest.raises(ArtifactRejected):
        verify(url, pin, storage_options=options)


def test_digests_that_differ_are_refused_as_in_a_scan(tmp_path: Path) -> None:
    stated = "ab" * 32
    put_local(tmp_path / "blobs", {"cd" * 32: GGUF})
    put_local(tmp_path / "snapshot", {"SHA256SUMS": f"{stated}  m.gguf\n".encode()})
    (tmp_path / "snapshot/m.gguf").symlink_to(tmp_path / "blobs" / ("cd" * 32))
    (scanned,) = scan(str(tmp_path / "snapshot"))
    assert not scanned.passed
    with pytest.raises(ArtifactRejected, match="SHA-256 values disagree"):
        verify(str(tmp_path / "snapshot/m.gguf"), scanned.pin)
    with (
        pytest.raises(ArtifactRejected, match="SHA-256 values disagree"),
        open_verified(str(tmp_path / "snapshot/m.gguf")),
    ):
        pass


def test_a_digest_that_is_stated_is_a_fact_and_not_the_hash(tmp_path: Path) -> None:
    stated = "ab" * 32
    put_local(tmp_path, {"m.gguf": GGUF, "m.gguf.sha256": f"{stated}  m.gguf\n".encode()})
    result = verify(str(tmp_path / "m.gguf"))
    assert (result.sbom.sha256, result.sbom.warnings) == ("", ())
    assert [one["sha256"] for one in result.facts["stated_sha256"]] == [stated]
