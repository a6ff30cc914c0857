"""What the names beside a model say: downloads that are not finished, copied links, checksums."""

import os
from pathlib import Path

import pytest

from prefect_mutagen.scanner import ArtifactRejected, Policy, ScanResult, scan, verify
from prefect_mutagen.scanner.listing.evidence import (
    checksum_target,
    is_checksums,
    unfinished_mark,
)
from prefect_mutagen.scanner.listing.grouping import group_artifacts
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.builders import gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import put_local

GGUF = gguf().data
TENSORS = safetensors('{"a":%s}' % GOOD, 4)
ETAG = "ab" * 32
CONTROLS = ("m.gguf.aria2", "m.gguf.aria2__temp", "m.gguf.dl-meta", "m.gguf.st")
PARTIAL = (
    *("m.gguf.part", "m.gguf.partial", "m.gguf.crdownload", "m.gguf.opdownload"),
    *("m.gguf.download", "m.gguf.downloading", "m.gguf.!qB", "m.gguf.!ut", "m.gguf.tmp"),
    *("m.gguf.incomplete", f"m.gguf.{ETAG}.incomplete", "m.gguf.9f3a2b1c.partial"),
    *("m.gguf.1A2b3C4d", "m.gguf_.gstmp", ".m.gguf.A1b2C3", "m.gguf._COPYING_"),
    *("m.gguf.filepart", ".syncthing.m.gguf.tmp", "M.GGUF.PART"),
)
ELSEWHERE = (".m.gguf.icloud", "m.gguf.part1of2", "m.gguf-split-a", "m.gguf.001", "m.gguf.partaa")
HUB = (f"{ETAG}.incomplete", f"{ETAG}.0a1b2c3d.incomplete", f"Zm9v_-w=.{ETAG}.incomplete")


def _codes(result: ScanResult) -> list[str]:
    return [finding.code for finding in result.findings]


@pytest.mark.parametrize("name", [*CONTROLS, *PARTIAL, *ELSEWHERE, "m.gguf.rclonelink"])
def test_a_mark_names_its_model(name: str) -> None:
    mark = unfinished_mark(name)
    assert mark is not None
    assert mark.target.lower() == "m.gguf"
    assert role_of(name) == "unfinished"


@pytest.mark.parametrize(
    "name",
    [
        *("m.gguf", "m.gguf.json", "m.gguf.txt", "m.gguf.md5", "m.gguf.bak", "m.gguf.lock"),
        *("m.gguf.metadata", "m.safetensors.index.json", "m.gguf.sha256", ".m.gguf.sha256"),
        *("notes.part", "config.json.part", "m.part", "abc.incomplete", f"{'a' * 40}.incomplete"),
    ],
)
def test_other_names_are_no_marks(name: str) -> None:
    assert unfinished_mark(name) is None


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_file_says_that_the_model_is_not_whole(tmp_path: Path, name: str) -> None:
    root = put_local(tmp_path, {"m.gguf": GGUF, name: b"\0\1", "n.gguf": GGUF})
    one, other = scan(root)
    assert (_codes(one), one.verdict.status) == (["storage/unfinished"], "unknown")
    assert name in one.findings[0].message
    assert (_codes(other), other.verdict.status) == ([], "passed")
    with pytest.raises(ArtifactRejected, match="in progress"):
        verify(f"{root}/m.gguf")


@pytest.mark.parametrize("name", PARTIAL)
def test_a_partial_download_beside_a_model_is_a_warning(tmp_path: Path, name: str) -> None:
    whole = "M.GGUF" if name.isupper() else "m.gguf"
    root = put_local(tmp_path, {whole: GGUF, name: GGUF[:99]})
    (result,) = scan(root)
    assert (_codes(result), result.verdict.status) == (["set/unfinished-beside"], "passed")
    (result,) = scan(root, policy=Policy(fail_on="warning"))
    assert result.verdict.status == "failed"


@pytest.mark.parametrize("name", [*PARTIAL, *CONTROLS, *ELSEWHERE, *HUB])
def test_a_download_without_its_model_is_a_row(tmp_path: Path, name: str) -> None:
    root = put_local(tmp_path, {"other.gguf": GGUF, name: GGUF})
    results = {result.url.rpartition("/")[2]: result for result in scan(root)}
    assert set(results) == {"other.gguf", name}
    assert results["other.gguf"].passed
    missing = results[name]
    assert (_codes(missing), missing.verdict.status) == (["storage/unfinished"], "unknown")
    assert missing.requests == 0


def test_several_marks_of_one_download_are_one_row(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"m.gguf.part": b"", "m.gguf.aria2": b"", "m.gguf.crdownload": b""})
    (result,) = scan(root)
    assert "'m.gguf' is not finished" in result.findings[0].message


def test_the_text_of_a_link_is_no_model(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"m.gguf.rclonelink": b"../../blobs/x"})
    (result,) = scan(root)
    assert (_codes(result), result.verdict.status) == (["storage/link-copied"], "unknown")
    put_local(tmp_path, {"m.gguf": GGUF})
    (result,) = scan(root)
    assert (_codes(result), result.passed) == ([], True)


@pytest.mark.parametrize(
    ("blob", "code", "said"),
    [
        pytest.param(f"{ETAG}.incomplete", "storage/unfinished", "not finished", id="hub"),
        pytest.param(f"{ETAG}.0a1b2c3d.incomplete", "storage/unfinished", "not finished", id="2.x"),
        pytest.param("other", "storage/not-found", "it links to is missing", id="gone"),
    ],
)
def test_a_link_without_its_file_says_what_is_missing(
    tmp_path: Path, blob: str, code: str, said: str
) -> None:
    put_local(tmp_path, {f"blobs/{blob}": b"half", "snapshots/1/config.json": b"{}"})
    os.symlink(f"../../blobs/{ETAG}", tmp_path / "snapshots/1/model.safetensors")
    (result,) = scan(str(tmp_path / "snapshots"))
    assert (_codes(result), result.verdict.status) == ([code], "unknown")
    assert said in result.findings[0].message


@pytest.mark.parametrize("threshold", [1, 100])
def test_marks_are_told_in_a_folder_of_any_size(threshold: int) -> None:
    names = ("a.gguf", "a.gguf.aria2", "b.gguf", "c.gguf.part", "d.gguf.part", "d.gguf")
    listed = [StoredObject(f"s3://b/m/{name}", 9, f"etag:{name}") for name in names]
    found = {one.url[9:]: one for one in group_artifacts(listed, threshold=threshold)}
    assert {name: one.beside.unfinished for name, one in found.items()} == {
        "a.gguf": ("a.gguf.aria2",),
        "b.gguf": (),
        "d.gguf": ("d.gguf.part",),
        "c.gguf.part": (),
    }


def test_marks_of_shards_are_those_of_their_set(tmp_path: Path) -> None:
    shards = [f"m-0000{number}-of-00002.safetensors" for number in (1, 2)]
    files = {name: safetensors('{"%s":%s}' % (name, GOOD), 4) for name in shards}
    root = put_local(tmp_path, {**files, f"{shards[1]}.aria2": b""})
    (result,) = scan(root)
    assert "storage/unfinished" in _codes(result)
    assert result.verdict.status == "unknown"


def test_a_mark_is_part_of_the_pin_and_of_the_manifest(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"m.gguf": GGUF})
    (before,) = scan(root)
    put_local(tmp_path, {"m.gguf.part": b""})
    (after,) = scan(root)
    assert before.pin != after.pin
    assert after.neighbours == {"m.gguf.part": "unfinished"}
    listed = [StoredObject(f"/m/{name}", 9, "etag:1") for name in ("m.gguf", "m.gguf.part")]
    artifacts = list(group_artifacts(listed))
    manifest = Manifest(str(tmp_path / "manifest"))
    manifest.write(artifacts)
    (batch,) = manifest.batches(1)
    assert list(batch.read()) == artifacts


@pytest.mark.parametrize("name", ["model.safetensors", "m.gguf"])
def test_what_a_mac_keeps_beside_a_file_is_passed_over(tmp_path: Path, name: str) -> None:
    attributes = b"\0\5\x16\7" + bytes(60)
    model = GGUF if name.endswith("gguf") else TENSORS
    others = ("._config.json", "._x.pt", "._SHA256SUMS", f"._{name}.sha256", f"._{name}.part")
    root = put_local(
        tmp_path,
        {name: model, f"._{name}": attributes, **dict.fromkeys(others, attributes)},
    )
    assert verify(root).passed
    (result,) = scan(root)
    assert (result.url, result.findings) == (f"{root}/{name}", ())


def test_attributes_without_their_file_are_named(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"._m.gguf": b"\0\5\x16\7" + bytes(60)})
    (result,) = scan(root)
    assert (_codes(result), result.verdict.status) == (["gguf/apple-double"], "failed")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("m.gguf.sha256", "m.gguf"),
        ("M.GGUF.SHA256SUM", "M.GGUF"),
        ("m.safetensors.sha256.txt", "m.safetensors"),
        ("m.sha256", "m"),
        ("m-00001-of-00003.sha256", "m-00001-of-00003"),
        ("SHA256SUMS", ""),
        ("sha256.txt", ""),
        ("checksums.sha256", ""),
        ("release-checksums.txt", ""),
    ],
)
def test_a_checksum_file_is_named_after_a_model_or_none(name: str, target: str) -> None:
    assert is_checksums(name)
    assert checksum_target(name) == target


@pytest.mark.parametrize("name", ["MD5SUMS", "sha256.py", "checksum.json", "config.json"])
def test_other_names_are_no_checksum_files(name: str) -> None:
    assert not is_checksums(name)


def test_a_checksum_file_for_a_set_covers_its_shards(tmp_path: Path) -> None:
    shards = [f"m-0000{number}-of-00002.safetensors" for number in (1, 2)]
    files = {name: safetensors('{"%s":%s}' % (name, GOOD), 4) for name in shards}
    lines = "".join(f"{'0' * 64}  {name}\n" for name in shards)
    root = put_local(tmp_path, {**files, "m.sha256": lines.encode()})
    (result,) = scan(root, hash="full")
    assert _codes(result).count("sbom/hash-mismatch") == 2


def test_of_many_checksum_files_each_model_gets_its_own(tmp_path: Path) -> None:
    files = {f"{number:02}.gguf": GGUF for number in range(40)}
    sums = {f"{number:02}.sha256": b"0" * 64 for number in range(40)}
    for result in scan(put_local(tmp_path, files | sums), hash="full"):
        assert _codes(result) == ["sbom/hash-mismatch"]
        assert result.requests <= 20
