"""Overrides by prefix: each artifact is judged by the policy of the longest prefix above it."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from prefect_mutagen.scanner import Policy, scan, verify
from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.overrides import (
    PolicyOverride,
    PolicySet,
    each_policy,
    signers_of,
    stated_at,
)
from prefect_mutagen.scanner.policy.policy import Owner, load_policy
from prefect_mutagen.scanner.verify import ArtifactRejected
from tests.builders import gguf
from tests.certificates import public_pem
from tests.scanner.storing import put_local

STRICT, LOOSE, TINY = Policy(require_license=True), Policy(), Policy(max_size_bytes=1)
SET = PolicySet.of(
    STRICT,
    (PolicyOverride("s3://models/lab", LOOSE), PolicyOverride("s3://models/lab/tiny/", TINY)),
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://models/a.gguf", STRICT),
        ("s3://models/lab/a.gguf", LOOSE),
        ("s3://models/lab", LOOSE),
        ("s3://models/laboratory/a.gguf", STRICT),
        ("s3://models/lab/tiny/a.gguf", TINY),
        ("s3://models/lab/../a.gguf", STRICT),
        ("s3://models/other/%2e%2e/lab/a.gguf", STRICT),
        ("s3://other/lab/a.gguf", STRICT),
    ],
)
def test_the_longest_prefix_counts(url: str, expected: Policy) -> None:
    assert SET.at(url) == expected
    assert policy_digest(stated_at(SET.to_dict(), url)) == policy_digest(expected)
    assert expected.at(url) is expected


def test_a_policy_without_overrides_stays_what_it_is() -> None:
    assert PolicySet.of(STRICT, ()) is STRICT
    assert PolicySet(require_license=True).to_dict() == STRICT.to_dict()
    assert list(each_policy(STRICT)) == [STRICT]
    assert list(each_policy(SET)) == [STRICT, LOOSE, TINY]
    assert policy_digest(SET) != policy_digest(STRICT)


def test_a_copy_of_another_process_says_the_same() -> None:
    copy = pickle.loads(pickle.dumps(SET))  # noqa: S301 - its own
    assert copy == SET
    assert copy.at("s3://models/lab/a.gguf") == LOOSE


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PolicyOverride("models/lab"), "neither an address nor an absolute path"),
        (lambda: PolicyOverride("s3://models/../lab"), "for a folder"),
        (lambda: PolicyOverride("/models", SET), "overrides of its own"),
        (lambda: PolicyOverride("/models", Policy(owner_tag="team")), "has owners"),
        (lambda: PolicyOverride("/models", Policy(owners=(Owner("a", "ana"),))), "has owners"),
        (
            lambda: PolicySet.of(LOOSE, (PolicyOverride("/a"), PolicyOverride("/a/"))),
            "two overrides of the policy have the prefix '/a'",
        ),
    ],
    ids=["relative", "dots", "nested", "tag", "owners", "twice"],
)
def test_what_cannot_hold_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


FILE = """
require_license: true
overrides:
  - prefix: s3://models/lab
    policy: {denied_licenses: [cc-by-nc-4.0]}
"""


def test_a_file_has_overrides() -> None:
    policy = load_policy(FILE)
    assert policy.at("s3://models/lab/a.gguf") == Policy(denied_licenses=("cc-by-nc-4.0",))
    assert policy.at("s3://models/a.gguf") == STRICT
    assert type(load_policy("require_license: true")) is Policy


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("denied_licenses", "denied_licences", "no field 'denied_licences'.*denied_licenses"),
        ("prefix: s3:", "prefixes: s3:", "prefix"),
        ("policy: {", "policy: {overrides: [], ", "no field 'overrides'"),
        ("overrides:", "override:", "no field 'override'"),
    ],
)
def test_a_misspelt_override_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_policy(FILE.replace(old, new))


def test_keys_of_overrides_are_read_from_files(tmp_path: Path) -> None:
    pem = public_pem(ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / "key.pem").write_text(pem)
    policy = load_policy(
        "overrides: [{prefix: /models, policy: {allowed_signers: [{public_key: key.pem}]}}]",
        str(tmp_path),
    )
    (signer,) = signers_of(policy)
    assert signer.public_key == pem


def test_each_artifact_is_examined_and_judged_by_its_own(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": gguf().data, "lab/b.gguf": gguf().data})
    policy = PolicySet.of(STRICT, (PolicyOverride(f"{root}/lab", LOOSE),))
    found = {result.url: result.verdict.status for result in scan(root, policy=policy)}
    assert found == {f"{root}/a.gguf": "failed", f"{root}/lab/b.gguf": "passed"}
    assert verify(f"{root}/lab/b.gguf", policy=policy).passed
    with pytest.raises(ArtifactRejected, match="licence"):
        verify(f"{root}/a.gguf", policy=policy)
