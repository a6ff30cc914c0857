"""The flow asks who signed: agents start for what was signed, and for nothing else."""

import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from prefect_mutagen.flows import AgentLaunch, run_agent, scan_models
from prefect_mutagen.scanner import ArtifactRejected, Policy
from prefect_mutagen.scanner.policy.policy import Signer
from tests.builders import gguf
from tests.certificates import public_pem, signed_bundle
from tests.scanner.storing import put_local
from tests.servers import PrefectServer
from tests.signing import oms, sha256

pytestmark = pytest.mark.server
GGUF = gguf().data
KEY = ec.generate_private_key(ec.SECP256R1())
OURS = Policy(allowed_signers=(Signer(public_key=public_pem(KEY)),))
THEIRS = Policy(
    allowed_signers=(Signer(public_key=public_pem(ec.generate_private_key(ec.SECP256R1()))),)
)


@pytest.fixture
def root(tmp_path: Path) -> str:
    signature = signed_bundle(oms({"m.gguf": sha256(GGUF)}), KEY)
    return put_local(tmp_path / "m", {"m.gguf": GGUF, "model.sig": signature, "n/n.gguf": GGUF})


def test_agents_start_for_what_was_signed(
    root: str, tmp_path: Path, prefect: PrefectServer
) -> None:
    assert prefect.process is not None
    table = str(tmp_path / "table")
    agent = AgentLaunch(command=[sys.executable, "-c", ""])
    refused = scan_models(root, THEIRS, table, hash="full", agents=[agent])
    assert (len(refused.failed), refused.agents) == (2, [])
    signed = scan_models(root, OURS, table, hash="full", agents=[agent])
    assert signed.passed == [f"{root}/m.gguf"]
    assert [run.url for run in signed.agents] == [f"{root}/m.gguf"]
    assert signed.examined == 1  # beside the other lies no signature that could be read again
    assert scan_models(root, OURS, table, hash="full", agents=[agent]).examined == 0
    Path(root, "m.gguf").write_bytes(gguf((), ()).data)
    with pytest.raises(ArtifactRejected, match="allowed signers"):
        run_agent(agent.command, f"{root}/m.gguf", policy=OURS)


def test_without_the_extra_nothing_is_scanned(
    root: str, monkeypatch: pytest.MonkeyPatch, prefect: PrefectServer
) -> None:
    assert prefect.process is not None
    monkeypatch.delitem(sys.modules, "prefect_mutagen.scanner.signing.keys", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.x509.verification", None)
    with pytest.raises(ValueError, match=r"pip install 'prefect-mutagen\[signing\]'"):
        scan_models(root, OURS, hash="full")
