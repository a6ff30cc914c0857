"""What signatures cost, and where they are out of reach."""

from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ArtifactRejected, Policy, ScanResult, scan, verify
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import S3Server, WebServer
from tests.signed_models import POLICY, sign_folder
from tests.signing import attestation, bundle, oms, sha256

GGUF = gguf().data
MODELS = {f"m{number}.gguf": GGUF for number in range(20)}
SIGNATURES = {
    f"s{number}.intoto.json": bundle(attestation({f"x{number}": "ab" * 32})) for number in range(5)
}


def _codes(result: ScanResult) -> set[str]:
    return {finding.code for finding in result.findings}


def _total(results: list[ScanResult], name: str) -> int:
    return sum(getattr(result, name) for result in results)


@pytest.fixture(params=["local", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    def store(files: dict[str, bytes]) -> tuple[str, dict[str, Any]]:
        if request.param == "local":
            return put_local(tmp_path / "m", files), {}
        server: S3Server = request.getfixturevalue("s3_server")
        return f"s3://{server.bucket(files)}", server.options

    return store


def test_signatures_of_a_folder_are_read_once(stored: Any) -> None:
    url, options = stored(MODELS | SIGNATURES)
    results = list(scan(url, storage_options=options))
    assert all(result.passed for result in results)
    assert _total(results, "requests") == len(MODELS) + len(SIGNATURES)


def test_a_plain_scan_reads_nothing_that_a_signature_names(stored: Any) -> None:
    files = {"m.gguf": GGUF, "a.xyz": b"x", "b.txt": b"x"}
    digests = {name: sha256(data) for name, data in files.items()}
    url, options = stored(files | {"model.sig": bundle(oms(digests))})
    (result,) = scan(url, storage_options=options)
    assert result.requests == 2
    (required,) = scan(url, policy=Policy(require_signature=True), storage_options=options)
    assert required.requests > 2


def test_what_several_models_were_signed_with_is_hashed_once(stored: Any, tmp_path: Path) -> None:
    texts = {f"t{number}.txt": b"text" for number in range(10)}
    root = put_local(tmp_path / "signed", MODELS | texts)
    sign_folder(root)
    url, options = stored(MODELS | texts | {"model.sig": Path(root, "model.sig").read_bytes()})
    results = list(scan(url, policy=POLICY, hash="full", storage_options=options))
    assert all(result.passed for result in results)
    headers_and_hashes = 2 * len(MODELS)
    listing_and_signature = 2
    most = headers_and_hashes + listing_and_signature + len(texts)
    assert _total(results, "requests") <= most


def test_signatures_beyond_the_limit_are_told(tmp_path: Path) -> None:
    one = bundle(attestation({"x": "ab" * 32}))
    many = {f"s{number}.intoto.json": one for number in range(65)}
    (result,) = scan(put_local(tmp_path, {"m.gguf": GGUF} | many))
    assert result.verdict.status == "unknown"
    (finding,) = [one for one in result.findings if one.code == "signature/unexamined"]
    assert "1 more signatures" in finding.message
    assert "64 files" in finding.message


def test_a_signature_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"m.gguf": GGUF})
    (tmp_path / "model.sig").symlink_to(tmp_path / "gone")
    (result,) = scan(root)
    assert "sbom/neighbour-unread" in _codes(result)
    assert result.passed  # nothing depends on it
    for policy in (POLICY, Policy(require_signature=True)):
        (result,) = scan(root, policy=policy)
        assert [one.code for one in result.verdict.reasons] == ["policy/signature-unexamined"]
        assert result.verdict.status == "unknown"


def test_a_dangling_link_in_a_signed_folder_could_run(tmp_path: Path) -> None:
    root = put_local(tmp_path / "m", {"m.gguf": GGUF})
    sign_folder(root)
    (Path(root) / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(ArtifactRejected, match="could run"):
        verify(root, policy=POLICY)


def test_a_server_without_listings_is_asked_by_name(tmp_path: Path) -> None:
    files = {"m.gguf": GGUF, "config.json": b"{}", "a b/notes.txt": b"x", "images/\u00e4.png": b"x"}
    root = put_local(tmp_path / "m", files)
    sign_folder(root)
    with WebServer(Path(root)) as site:
        url = f"{site.url}/m.gguf"
        assert verify(url, policy=POLICY).passed
        for name in ("config.json", "a b/notes.txt", "images/\u00e4.png"):
            put_local(Path(root), {name: b"[]"})
            with pytest.raises(ArtifactRejected):
                verify(url, policy=POLICY)
            Path(root, name).unlink()
            with pytest.raises(ArtifactRejected):
                verify(url, policy=POLICY)
            put_local(Path(root), files)
        assert verify(url, policy=POLICY).passed
