"""What is attested was computed here: digests of another model, stated beside a harmless one.

The attempt: upload a model with the digest of another, collect the organisation's attestation for
it, and ship the other.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from prefect_mutagen.flows import run_agent
from prefect_mutagen.scanner import ArtifactRejected, Policy, open_verified, scan, verify
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.outputs import FORMATS
from prefect_mutagen.scanner.policy.policy import judge
from prefect_mutagen.scanner.table.rows import from_row, to_row
from tests.builders import gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.outputs.validating import INFO
from tests.scanner.storing import put_local, put_memory
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

GGUF = gguf().data
OWN = hashlib.sha256(GGUF).hexdigest()
OTHER = hashlib.sha256(b"another model").hexdigest()
"""The digest of what is shipped instead."""
OF_SETS = {
    "model-00001-of-00002.safetensors": safetensors('{"t1":%s}' % GOOD, 4),
    "model-00002-of-00002.safetensors": safetensors('{"t2":%s}' % GOOD, 4),
}
JSON_FORMATS = ("cyclonedx", "json", "jsonl", "report", "sarif", "spdx-json", "spdx3")
NEEDS_ONE = Policy(require_sha256=True)


def _checksums(name: str, text: str) -> Callable[[Path], str]:
    def make(root: Path) -> str:
        return put_local(root, {"m.gguf": GGUF, name: text.encode()})

    return make


def _blob_link(root: Path) -> str:
    """A link whose target is named like a blob of the hub's cache."""
    put_local(root / "blobs", {OTHER: GGUF})
    folder = root / "models--acme--x" / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (folder / "m.gguf").symlink_to(root / "blobs" / OTHER)
    return str(folder)


def _link_beside(root: Path) -> str:
    put_local(root, {OTHER: GGUF})
    (root / "m.gguf").symlink_to(OTHER)
    return str(root)


def _shards(root: Path) -> str:
    sums = "".join(f"{OTHER}  {name}\n" for name in OF_SETS)
    return put_local(root, {**OF_SETS, "SHA256SUMS": sums.encode()})


def _one_shard(root: Path) -> str:
    first = next(iter(OF_SETS))
    return put_local(root, {**OF_SETS, f"{first}.sha256": OTHER.encode()})


def _ollama(root: Path) -> str:
    """A blob under the name of another in a store of Ollama's."""
    put_local(root / "blobs", {f"sha256-{OTHER}": GGUF})
    return str(root / "blobs" / f"sha256-{OTHER}")


ATTEMPTS: dict[str, Callable[[Path], str]] = {
    "bare digest": _checksums("m.gguf.sha256", OTHER),
    "digest and name": _checksums("m.gguf.sha256", f"{OTHER}  m.gguf\n"),
    "named by the stem": _checksums("m.sha256", OTHER),
    "list": _checksums("SHA256SUMS", f"{OTHER} *m.gguf\n"),
    "list of BSD": _checksums("CHECKSUM", f"SHA256 (m.gguf) = {OTHER}\n"),
    "list of OpenSSL": _checksums("checksums.txt", f"SHA2-256(m.gguf)= {OTHER}\n"),
    "list of PowerShell": _checksums("sha256.txt", f"SHA256     {OTHER.upper()}     C:\\m.gguf\n"),
    "list of a release": _checksums("v1-checksums.txt", f"{OTHER}  m.gguf\n"),
    "list named like a proof": _checksums("computed.sha256", f"{OTHER}  m.gguf\n"),
    "list named like two proofs": _checksums("computed and computed.sha256", f"{OTHER}  m.gguf\n"),
    "its own digest, unproven": _checksums("m.gguf.sha256", OWN),
    "link to a blob of the cache": _blob_link,
    "link to a file of that name": _link_beside,
    "blob of Ollama's": _ollama,
    "every shard": _shards,
    "one shard of two": _one_shard,
}


def _hashes(part: Any) -> set[str]:
    """Collect the values of all fields that consumers take as an artifact's hash."""
    if isinstance(part, dict):
        found: set[str] = set()
        for name, value in part.items():
            if name in ("sha256", "content", "checksumValue", "hashValue", "sha-256", "digest"):
                found |= {value} if isinstance(value, str) and not _is_annotated(part) else set()
            if name in ("purl", "software_packageUrl"):
                found.add(str(value).partition("sha256:")[2])
            found |= _hashes(value)
        return found
    return set().union(*map(_hashes, part)) if isinstance(part, list) else set()


def _is_annotated(part: dict[str, Any]) -> bool:
    return "source" in part


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_a_stated_digest_is_not_attested(
    attempt: Callable[[Path], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = attempt(tmp_path / "root")
    assert main(["scan", root, "--format", "intoto"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no SHA-256 was computed here or proven by the storage" in err
    assert "--hash full" in err
    for result in scan(root, policy=NEEDS_ONE):
        assert [reason.code for reason in result.verdict.reasons] == ["policy/sha256-missing"]
        assert (result.sbom.sha256, result.sha256_source) == ("", "")


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
@pytest.mark.parametrize("form", JSON_FORMATS)
def test_a_stated_digest_is_named_as_stated(
    attempt: Callable[[Path], str], form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = attempt(tmp_path / "root")
    main(["scan", root, "--format", form])
    out = capsys.readouterr().out
    documents = (
        [json.loads(line) for line in out.splitlines()] if form == "jsonl" else json.loads(out)
    )
    assert not _hashes(documents) & {OTHER, OWN}
    if form in ("report", "cyclonedx", "spdx-json", "sarif"):
        stated = OWN if attempt is ATTEMPTS["its own digest, unproven"] else OTHER
        assert "stated" in out
        assert stated in out


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_reading_the_bytes_finds_it(attempt: Callable[[Path], str], tmp_path: Path) -> None:
    root = attempt(tmp_path / "root")
    honest = attempt is ATTEMPTS["its own digest, unproven"]
    for result in scan(root, hash="full", policy=NEEDS_ONE):
        codes = {reason.code for reason in result.verdict.reasons}
        assert codes == (set() if honest else {"sbom/hash-mismatch"})
        assert result.sha256_source == "computed"
        assert result.sbom.sha256 in (OWN, "")


def test_verify_computes_what_is_only_stated(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"m.gguf": GGUF, "m.gguf.sha256": OWN.encode()})
    result = verify(f"{root}/m.gguf", policy=NEEDS_ONE)
    assert (result.sbom.sha256, result.sha256_source) == (OWN, "computed")
    (tmp_path / "m.gguf.sha256").write_text(OTHER)
    with pytest.raises(ArtifactRejected, match="disagree"):
        verify(f"{root}/m.gguf", policy=NEEDS_ONE)


@pytest.fixture
def synthetic() -> Iterator[SyntheticS3]:
    with SyntheticS3() as server:
        yield server


@pytest.mark.parametrize(
    ("kind", "digest", "proven"),
    [
        ("FULL_OBJECT", base64.b64encode(bytes.fromhex(OWN)).decode(), True),
        ("COMPOSITE", base64.b64encode(bytes.fromhex(OTHER)).decode() + "-2", False),
        ("FULL_OBJECT", base64.b64encode(bytes.fromhex(OTHER)).decode() + "-2", False),
        ("FULL_OBJECT", base64.b64encode(b"short").decode(), False),
        ("", base64.b64encode(bytes.fromhex(OTHER)).decode(), False),
    ],
    ids=["whole", "of parts", "of parts, called whole", "too short", "of a kind unsaid"],
)
def test_only_s3s_checksum_of_the_whole_object_is_proof(
    synthetic: SyntheticS3, kind: str, digest: str, *, proven: bool
) -> None:
    synthetic.content = Written({"m.gguf": GGUF, "m.gguf.sha256": OTHER.encode()})
    synthetic.checksums["m.gguf"] = (kind, digest)
    options = synthetic.options
    (result,) = scan("s3://bucket", storage_options=options, hash="lookup", policy=NEEDS_ONE)
    found = (OWN, "stored checksum") if proven else ("", "")
    assert (result.sbom.sha256, result.sha256_source) == found
    codes = {reason.code for reason in result.verdict.reasons}
    assert codes == {"sbom/hash-mismatch" if proven else "policy/sha256-missing"}


@pytest.mark.parametrize(
    ("endpoint", "proven"),
    [
        ("https://huggingface.co", True),
        ("https://huggingface.co/", True),
        ("", False),
        ("https://huggingface.co.evil.example", False),
        ("http://huggingface.co", False),
        ("https://mirror.example", False),
    ],
    ids=["hub", "hub with a slash", "another file system", "look-alike", "unencrypted", "mirror"],
)
def test_an_lfs_oid_is_proof_only_from_the_hub(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, *, proven: bool
) -> None:
    url = put_memory({"m.gguf": GGUF})
    system = type(fsspec.filesystem("memory"))
    plain = system.info

    def info(self: Any, path: str, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = plain(self, path, **kwargs)
        return {**found, "lfs": {"sha256": OTHER, "size": len(GGUF)}}

    monkeypatch.setattr(system, "info", info)
    monkeypatch.setattr(system, "endpoint", endpoint, raising=False)
    (result,) = scan(f"{url}/m.gguf", policy=NEEDS_ONE)
    assert result.sbom.sha256 == (OTHER if proven else "")
    assert result.passed is proven


def test_an_earlier_table_proves_nothing_by_what_was_stated(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"m.gguf": GGUF})
    (result,) = scan(root, hash="full")
    row = {**to_row(result, INFO), "drift": None}
    for source, digest in (("computed", OWN), ("m.gguf.sha256", ""), (None, "")):
        known = from_row({**row, "sha256_source": source})
        assert known.sbom.sha256 == digest
        assert (not judge(known.subject(), NEEDS_ONE).reasons) is bool(digest)


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_what_was_computed_is_shown_as_before(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = put_local(tmp_path, {"m.gguf": GGUF, "m.gguf.sha256": OWN.encode()})
    assert main(["scan", root, "--hash", "full", "--format", form]) == 0
    assert form in {"summary", "table", "html"} or OWN in capsys.readouterr().out


@pytest.mark.parametrize("pin", ["", " ", "\t\n", "\u3000"], ids=ascii)
def test_a_variable_that_was_not_set_is_no_pin(
    pin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{put_local(tmp_path, {'m.gguf': GGUF})}/m.gguf"
    ran = tmp_path / "ran"
    for words in (["verify", path, "--pin", pin], ["verify", f"--pin={pin}", path]):
        assert main(words) == 2
        assert "--pin is empty" in capsys.readouterr().err
    assert main(["exec", path, "--pin", pin, "--", "touch", str(ran)]) == 2
    assert "--pin is empty" in capsys.readouterr().err
    with pytest.raises(ValueError, match="the pin is empty"):
        verify(path, pin)
    with pytest.raises(ValueError, match="the pin is empty"), open_verified(path, pin):
        pass
    with pytest.raises(ValueError, match="the pin is empty; pass the pin of the scan, or 'any'"):
        run_agent.fn(["touch", str(ran)], path, pin)
    assert not ran.exists()
