import hashlib
import os
import threading
from pathlib import Path

import pytest

from prefect_mutagen.scanner import ScanResult, StorageError, scan
from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.storage.coroutines import run
from prefect_mutagen.scanner.storage.generic import _describe
from prefect_mutagen.scanner.storage.hashing import ObjectHash, is_proof, read_checksums
from prefect_mutagen.scanner.storage.opening import open_store
from tests.builders import gguf, safetensors
from tests.memory import peak_apart
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import put_local
from tests.servers import S3Server

GGUF = gguf().data
DIGEST = hashlib.sha256(GGUF).hexdigest()
OTHER = "ab" * 32


def _only(root: str, level: str) -> ScanResult:
    (result,) = scan(root, hash=level)  # type: ignore[arg-type]
    return result


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("m.gguf.sha256", DIGEST, {"m.gguf": DIGEST}),
        ("m.gguf.sha256", f"{DIGEST.upper()}\n", {"m.gguf": DIGEST}),
        ("m.gguf.sha256", f"{DIGEST}  m.gguf\n", {"m.gguf": DIGEST}),
        ("SHA256SUMS", f"{DIGEST} *a b.gguf\r\n{OTHER}  ./c\n", {"a b.gguf": DIGEST, "c": OTHER}),
        ("SHA256SUMS", f"SHA256 (x (1).gguf) = {DIGEST}\n", {"x (1).gguf": DIGEST}),
        ("SHA256SUMS", f"{DIGEST}  x\n{OTHER}  x\n", {}),
        ("SHA256SUMS", "# a comment\n\n12  x\n", {}),
        ("SHA256SUMS", f"{DIGEST[:-1]}g  x\n", {}),
        ("m.gguf.sha256sum", DIGEST, {"m.gguf": DIGEST}),
        ("m.gguf.sha256.txt", f"{DIGEST}\n", {"m.gguf": DIGEST}),
        ("m.sha256", DIGEST, {"m": DIGEST}),
        (
            "m.sha256",
            f"\ufeff{DIGEST}  m-1.gguf\r\n{OTHER}  m-2.gguf\r\n",
            {"m-1.gguf": DIGEST, "m-2.gguf": OTHER},
        ),
        ("sums", f"SHA2-256(m.gguf)= {DIGEST}\n", {"m.gguf": DIGEST}),
        ("sums", f"sha256:{DIGEST}  m.gguf\n", {"m.gguf": DIGEST}),
        ("sums", f"m.gguf: {DIGEST}\na b {OTHER}\n", {"m.gguf": DIGEST, "a b": OTHER}),
        ("sums", f"SHA256 hash of m.gguf:\r\n{DIGEST}\r\nCertUtil: done\r\n", {"m.gguf": DIGEST}),
        (
            "sums",
            f"SHA256          {DIGEST.upper()}       C:\\models\\m.gguf\r\n",
            {"m.gguf": DIGEST},
        ),
        (
            "sums",
            f"{DIGEST}  /data/models/m.gguf\n{OTHER}  sub/m.gguf\n",
            {"m.gguf": DIGEST, "sub/m.gguf": OTHER},
        ),
        ("sums", f"{DIGEST}  .\\sub\\m.gguf\n", {"sub/m.gguf": DIGEST}),
        ("sums", f"\\{DIGEST}  a\\nb\\\\c.gguf\n", {"a\nb\\c.gguf": DIGEST}),
        ("sums", " " * 100_000 + "\n", {}),
    ],
    ids=[
        *("bare", "upper-case", "with-name", "several", "bsd"),
        *("contradiction", "no-digest", "no-hexadecimal"),
        *("bare-sha256sum", "bare-txt", "bare-stem", "bom", "openssl-3", "prefix", "name-first"),
        *("certutil", "powershell", "absolute-path", "windows-path", "escaped", "long-line"),
    ],
)
def test_checksum_files(name: str, text: str, found: dict[str, str]) -> None:
    assert read_checksums(name, text.encode()) == found


def test_checksums_of_powershell_are_utf_16() -> None:
    table = f"\ufeffAlgorithm  Hash  Path\r\nSHA256     {DIGEST.upper()}     C:\\m.gguf\r\n"
    assert read_checksums("hashes.sha256", table.encode("utf-16-le")) == {"m.gguf": DIGEST}


@pytest.mark.parametrize(
    "name",
    [
        *("m.gguf.sha256", "m.gguf.sha256sum", "m.gguf.sha256.txt", "m.gguf.SHA256", "m.sha256"),
        *("SHA256SUMS", "SHA256SUM", "SHA256SUMS.txt", "sha256sums.txt", "sha256sum.txt"),
        *("sha256.txt", "CHECKSUMS", "CHECKSUM", "checksums.txt", "checksums.sha256"),
        *("release.sha256", "v1-checksums.txt", "m_SHA256SUMS.txt"),
    ],
)
def test_a_checksum_file_beside_a_model_states_its_hash(tmp_path: Path, name: str) -> None:
    root = put_local(tmp_path, {"m.gguf": GGUF, name: f"{DIGEST}  m.gguf\n".encode()})
    result = _only(root, "stored")
    assert (result.sbom.sha256, result.sha256_source) == ("", "")
    stated = {"file": "m.gguf", "sha256": DIGEST, "source": name}
    assert result.facts["stated_sha256"] == [stated]
    assert "stated_sha256" not in _only(root, "none").facts
    assert "stated_sha256" not in _only(root, "full").facts
    assert _only(root, "full").sha256_source == "computed"


def test_a_checksum_file_that_is_wrong_is_found_by_reading(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"m.gguf": GGUF, "m.gguf.sha256": OTHER.encode()})
    assert _only(root, "stored").sbom.sha256 == ""
    result = _only(root, "full")
    assert result.sbom.sha256 == DIGEST
    (finding,) = result.findings
    assert finding.code == "sbom/hash-mismatch"
    assert OTHER in finding.message
    assert result.verdict.status == "failed"


def test_a_checksum_file_is_part_of_the_pin(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"m.gguf": GGUF})
    before = _only(root, "stored").pin
    put_local(tmp_path, {"m.gguf.sha256": DIGEST.encode()})
    assert _only(root, "stored").pin == _only(f"{root}/m.gguf", "none").pin != before


def test_a_set_is_hashed_when_every_shard_is(tmp_path: Path) -> None:
    shards = {f"m-0000{n}-of-00002.safetensors": n for n in (1, 2)}
    files = {name: safetensors('{"t%d":%s}' % (n, GOOD), 4) for name, n in shards.items()}
    root = put_local(tmp_path, files)
    result = _only(root, "full")
    assert (result.sbom.sha256, result.sha256_source) == ("", "computed")
    for item, data in zip(result.objects, files.values(), strict=True):
        assert item.sbom is not None
        assert item.sbom.sha256 == hashlib.sha256(data).hexdigest()
    first = next(iter(files))
    put_local(tmp_path, {f"{first}.sha256": OTHER.encode()})
    assert _only(root, "stored").sha256_source == ""


def test_local_objects_are_hashed_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    root = put_local(tmp_path, {f"{n}.gguf": GGUF + bytes(n) for n in range(6)})
    store = open_store(root)
    both = threading.Barrier(2, timeout=20)
    real = store.read

    async def read(*arguments: object) -> object:
        both.wait()  # goes on only when two artifacts are read at once
        return await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "read", read)
    pieces: dict[str, list[tuple[int, int]]] = {}
    examiner = Examiner(
        hash_level="full",
        on_hashed=lambda item, start, end: pieces.setdefault(item.name, []).append((start, end)),
    )
    results = list(examine_artifacts(store, list_artifacts(store), examiner))
    sizes = [len(GGUF) + n for n in range(6)]
    assert [result.size for result in results] == sizes
    assert pieces == {f"{n}.gguf": [(0, len(GGUF) + n)] for n in range(6)}


def hash_whole(path: str) -> str:
    return _only(path, "full").sbom.sha256


def test_memory_does_not_grow_with_what_is_hashed(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(GGUF)
    small, _ = peak_apart(hash_whole, str(path))
    os.truncate(path, 256 << 20)
    large, digest = peak_apart(hash_whole, str(path))
    assert digest == hashlib.sha256(GGUF + bytes((256 << 20) - len(GGUF))).hexdigest()
    assert large - small < 24


@pytest.mark.parametrize(
    ("lfs", "digest"),
    [
        ({"sha256": OTHER, "size": 3}, OTHER),
        ({"oid": f"sha256:{OTHER}"}, OTHER),
        ({"oid": "sha1:abc"}, ""),
        (None, ""),
        ("text", ""),
    ],
    ids=["sha256", "oid", "another-kind", "none", "no-record"],
)
def test_the_hub_lists_the_hash_of_what_it_keeps_in_lfs(lfs: object, digest: str) -> None:
    item = _describe({"name": "x", "size": 3, "lfs": lfs}, "hf://a/b/x", "LFS oid")
    assert item.sha256 == digest
    assert bool(item.sha256_source) is bool(digest)


def test_a_file_in_a_bucket_of_the_hub_is_pinned_by_what_names_its_bytes() -> None:
    system = pytest.importorskip("huggingface_hub.hf_file_system")
    buckets = pytest.importorskip("huggingface_hub._buckets")

    def pin(xet_hash: str, time: str) -> str:
        file = buckets.BucketFile(
            type="file", path="m.gguf", size=3, xetHash=xet_hash, mtime=time, uploadedAt=time
        )
        info = system._cache_info_from_path_info(file, "buckets/acme/store/m.gguf")
        return _describe(info, "hf://buckets/acme/store/m.gguf", "").pin

    first, later = "2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"
    assert pin("a" * 64, first) == pin("a" * 64, later) == f"etag:{'a' * 64}"
    assert pin("b" * 64, first) != pin("a" * 64, first)
    assert pin("", first) != pin("", later)


@pytest.mark.parametrize(
    ("source", "proven"),
    [
        ("computed", True),
        ("stored checksum", True),
        ("the hub's LFS oid", True),
        ("name of the cache's blob", False),
        ("LFS oid", False),
        ("SHA256SUMS", False),
        ("computed.gguf.sha256", False),
        ("", False),
    ],
)
def test_who_states_a_hash_need_not_have_seen_the_bytes(source: str, proven: bool) -> None:  # noqa: FBT001 - a column
    hashed = ObjectHash(DIGEST, source)
    assert (hashed.proven, hashed.proof) == ((DIGEST, source) if proven else ("", ""))
    assert hashed.stated == ("" if proven else DIGEST)
    assert is_proof(source) is proven


def test_a_lookup_asks_for_the_version_that_was_read(s3_server: S3Server) -> None:
    bucket = s3_server.bucket({"m.gguf": GGUF})
    store = open_store(f"s3://{bucket}", s3_server.options)
    (item,) = store.list_objects(lambda *_: True)
    assert run(store, store.stored_sha256(item)) == ""
    s3_server.client().put_object(Bucket=bucket, Key="m.gguf", Body=b"other")
    with pytest.raises(StorageError) as caught:
        run(store, store.stored_sha256(item))
    assert caught.value.code == "storage/changed-during-scan"
