"""Who must have signed, as a policy says it, and as the record of an earlier scan answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.policy.judge import is_time_bound
from prefect_mutagen.scanner.policy.policy import Policy, Signer, judge, load_policy
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.signing.signers import pem_blocks
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.state import Comparison, State
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.verdicts import Subject
from tests.builders import gguf
from tests.certificates import Authority, private_pem, public_pem, signed_bundle
from tests.scanner.storing import put_local
from tests.signing import oms, sha256

GGUF = gguf().data
KEY = ec.generate_private_key(ec.SECP256R1())
PEM = public_pem(KEY)
OTHER_PEM = public_pem(ec.generate_private_key(ec.SECP256R1()))
AUTHORITY = Authority("root")
ISSUER = "https://accounts.example.org"
PERSON = {"identity": "a@example.org", "issuer": ISSUER}
SUBJECT = Subject((), 1000, "gguf", "llama", 8, "Q4_K_M", None, "")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs exactly one of"),
        ({"public_key": PEM, **PERSON}, "needs exactly one of"),
        ({"public_key": PEM, "certificate": AUTHORITY.pem}, "needs exactly one of"),
        ({"public_key": PEM, "issuer": ISSUER}, "only valid with an identity"),
        ({"certificate": AUTHORITY.pem, "trusted_root": "{}"}, "only valid with an identity"),
        ({"public_key": "release.pem"}, "public_key is not PEM that begins with"),
        ({"public_key": AUTHORITY.pem}, "BEGIN PUBLIC KEY"),
        ({"certificate": PEM}, "BEGIN CERTIFICATE"),
        ({"public_key": PEM + OTHER_PEM}, "more than 1"),
        ({"certificate": AUTHORITY.pem * 17}, "more than 16"),
        ({"public_key": PEM.replace("MF", "M=F", 1)}, "not Base64"),
        ({"identity": "a@example.org"}, "needs an issuer"),
        ({"identity": "a@example.org", "issuer": "accounts.example.org"}, "needs an issuer"),
        ({"identity": "a@example.org", "issuer": "https://a b"}, "needs an issuer"),
        ({"identity": "a\n@example.org", "issuer": ISSUER}, "not a Sigstore identity"),
        ({"identity": " a@example.org", "issuer": ISSUER}, "not a Sigstore identity"),
    ],
)
def test_a_signer_that_is_none(fields: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Signer(**fields)


def test_a_private_key_is_refused_and_never_repeated() -> None:
    secret = private_pem(KEY).decode()
    with pytest.raises(ValueError, match="BEGIN PUBLIC KEY") as caught:
        load_policy(f"allowed_signers:\n  - public_key: {secret!r}\n")
    assert secret.splitlines()[1][:20] not in str(caught.value)


def test_names_tell_signers_apart() -> None:
    signers = [
        Signer(public_key=PEM),
        Signer(public_key=OTHER_PEM),
        Signer(certificate=AUTHORITY.pem),
        Signer(certificate=AUTHORITY.pem + Authority("root").pem),
        Signer(identity="a@example.org", issuer=ISSUER),
        Signer(identity="b@example.org", issuer=ISSUER),
        Signer(identity="a@example.org", issuer=f"{ISSUER}/x"),
        Signer(identity="a@example.org", issuer=ISSUER, trusted_root="{}"),
        Signer(identity=f"a@example.org ({ISSUER}) under sha256:0", issuer=ISSUER),
    ]
    assert len({signer.name for signer in signers}) == len(signers)
    assert Signer(public_key=f"a note\n{PEM}\n").name == signers[0].name
    (der,) = pem_blocks(PEM, "PUBLIC KEY", 1, "public_key")
    assert signers[0].name == f"public key sha256:{sha256(der)}"


def test_a_policy_file_may_name_files(tmp_path: Path) -> None:
    (tmp_path / "release.pem").write_text(PEM)
    (tmp_path / "root.json").write_text('{"a": 1}')
    text = f"""
allowed_signers:
  - {{public_key: release.pem}}
  - {{identity: a@example.org, issuer: "{ISSUER}", trusted_root: root.json}}
"""
    policy = load_policy(text, str(tmp_path))
    assert policy.allowed_signers[0] == Signer(public_key=PEM)
    assert policy.allowed_signers[1].trusted_root == '{"a": 1}'
    assert load_policy("{}", str(tmp_path)) == Policy()
    with pytest.raises(ValueError, match="BEGIN PUBLIC KEY"):
        load_policy(text)  # there is no folder to look in


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("allowed_signers: [{public_key: missing.pem}]", "0.public_key: .*missing.pem"),
        ("allowed_signers: [{public_key: binary.pem}]", "is not text"),
        ("allowed_signers: [{public_key: .}]", "cannot be read"),
        ("allowed_signers: [{publickey: x}]", "did you mean public_key"),
        ("allowed_signers: [3]", "allowed_signers.0"),
        ("allowed_signers: x.pem", "allowed_signers"),
        ("allowed_signers: [{public_key: 3}]", "allowed_signers.0.public_key"),
        ("allowed_signers:", "allowed_signers"),
    ],
)
def test_a_policy_file_that_names_nobody(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "binary.pem").write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match=message):
        load_policy(text, str(tmp_path))


def _signed(*entries: dict[str, str]) -> Subject:
    return replace(SUBJECT, facts={"signature": {"covered": True, "signers": list(entries)}})


US = Signer(public_key=PEM)
POLICY = Policy(allowed_signers=(US, Signer(certificate=AUTHORITY.pem)))
NOW = datetime(2027, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("subject", "value"),
    [
        (_signed({"name": US.name, "expires": ""}), ""),
        (_signed({"name": US.name, "expires": (NOW + timedelta(hours=1)).isoformat()}), ""),
        (_signed({"name": US.name, "expires": (NOW - timedelta(hours=1)).isoformat()}), "expired"),
        (_signed({"name": US.name, "expires": "some day"}), "expired"),
        (_signed({"name": "somebody", "expires": ""}), "somebody"),
        (_signed({"name": US.name.upper(), "expires": ""}), US.name.upper()),
        (_signed(), "unverified"),
        (replace(SUBJECT, facts={"signature": {"covered": True}}), "unverified"),
        (SUBJECT, "none"),
    ],
    ids=[
        "ours",
        "ours-still",
        "ours-until-a-while-ago",
        "ours-until-no-time",
        "anothers",
        "almost-ours",
        "nobodys",
        "of-a-scan-that-did-not-ask",
        "no-signature",
    ],
)
def test_the_record_is_judged(subject: Subject, value: str) -> None:
    verdict = judge(subject, POLICY, NOW)
    assert verdict.status == ("failed" if value else "passed")
    assert [reason.value for reason in verdict.reasons] == ([value] if value else [])
    for reason in verdict.reasons:
        assert (reason.code, reason.policy_field) == ("policy/signer", "allowed_signers")
        assert US.name in reason.message


def test_only_certificates_grow_old() -> None:
    assert is_time_bound(POLICY)
    assert not is_time_bound(Policy(allowed_signers=(US,)))


class Scanner:
    """Scans a folder into a table, reading only what has to be read."""

    def __init__(self, root: str, table: Path) -> None:
        self._root, self._table = root, Table(str(table), root)

    def scan(self, *signers: Signer) -> tuple[list[str], str]:
        policy = Policy(allowed_signers=signers)
        known = Comparison(self._table.open_state())
        summary = Summary(finished_at="2026-01-01T00:00:00+00:00")
        store = open_store(self._root)
        listed = list_artifacts(store)
        read: list[Artifact] = [one for one in listed if not known.keep(one, "full", policy)]
        results = list(examine_artifacts(store, read, Examiner(policy, "full")))
        for result in results:
            summary.add(result)
        self._table.write(new_scan(self._root, policy), results, summary, known)
        results_now = {result.url: result for result in self._table.open_state().results()}
        status = results_now[f"{self._root}/m.gguf"].verdict.status
        return sorted(artifact.url.rpartition("/")[2] for artifact in read), status


def test_another_policy_never_finds_a_stale_pass(tmp_path: Path) -> None:
    ours = signed_bundle(oms({"m.gguf": sha256(GGUF)}), KEY)
    root = put_local(
        tmp_path / "m", {"m.gguf": GGUF, "m.gguf.intoto.json": ours, "plain/p.gguf": GGUF}
    )
    scanner = Scanner(root, tmp_path / "table")
    us, them = US, Signer(public_key=OTHER_PEM)
    certified = Signer(certificate=AUTHORITY.pem)
    assert scanner.scan() == (["m.gguf", "p.gguf"], "passed")
    # What no signature lies beside is judged as it is known.
    assert scanner.scan(us) == (["m.gguf"], "passed")
    assert scanner.scan(us) == ([], "passed")
    assert scanner.scan(them) == (["m.gguf"], "failed")
    assert scanner.scan(us) == (["m.gguf"], "passed")
    assert scanner.scan(us, certified) == (["m.gguf"], "passed")
    assert scanner.scan(certified) == ([], "failed")
    assert scanner.scan(certified, us) == (["m.gguf"], "passed")
    assert scanner.scan(us) == ([], "passed")
    assert scanner.scan() == ([], "passed")
    assert scanner.scan(them) == (["m.gguf"], "failed")
    put_local(tmp_path / "m", {"m.gguf.intoto.json": b"{}"})
    assert scanner.scan(us) == (["m.gguf"], "failed")


def test_a_state_of_any_kind_is_not_trusted_blindly() -> None:
    for policy in (None, 3, {}, {"allowed_signers": None}, {"allowed_signers": [{"x": 1}]}):
        state: Any = State(policy=policy)
        assert not state._is_verified_for(Policy(allowed_signers=(US,)), "/m.gguf")
        assert state._is_verified_for(Policy(), "/m.gguf")


def test_a_reason_names_no_more_signers_than_are_read() -> None:
    people = tuple(Signer(identity=f"{n}@example.org", issuer=ISSUER) for n in range(50))
    (reason,) = judge(SUBJECT, Policy(allowed_signers=people)).reasons
    assert "and 46 more" in reason.message
    assert len(reason.message) < 500
