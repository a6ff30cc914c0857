"""Where an artifact comes from, what it was made from, and how old the knowledge of it is."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.content.license_matching import allows, denies
from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.policy.policy import BaseLicense, Policy, judge
from prefect_mutagen.scanner.policy.publishers import lies_below, publisher_of, same_publisher
from prefect_mutagen.scanner.verdicts import Reason, Subject
from tests.builders import STRING, U32, gguf
from tests.scanner.storing import put_local

SUBJECT = Subject(
    (), 1000, "gguf", "llama", 8, "Q4_K_M", "Apache-2.0", "", url="s3://models/a/m.gguf"
)
HUB = "https://huggingface.co/meta-llama/Llama-3/resolve/main/m.gguf"


def _reason(policy: Policy, **changes: Any) -> Reason:
    verdict = judge(replace(SUBJECT, **changes), policy)
    assert verdict.status == "failed"
    (reason,) = verdict.reasons
    assert reason.message
    return reason


@pytest.mark.parametrize(
    ("url", "source", "below"),
    [
        ("s3://models/a/m.gguf", "s3://models/a", True),
        ("s3://models/a/m.gguf", "s3://models/a/", True),
        ("s3://models/a/m.gguf", "s3a://models", True),
        ("s3://models/a/m.gguf", "s3://models/a/m.gguf", True),
        ("s3://models/ab/m.gguf", "s3://models/a", False),
        ("s3://models-not/m.gguf", "s3://models", False),
        ("s3://models/a/../b/m.gguf", "s3://models/a", False),
        ("https://h/a/%2e%2E/b/m.gguf", "https://h/a", False),
        ("https://h/a/%252e%252e/m.gguf", "https://h/a", False),
        ("/srv/models/m.gguf", "/srv", True),
        ("/srv/models/m.gguf", "/", True),
        ("/srvmodels/m.gguf", "/srv", False),
        ("", "/", False),
    ],
)
def test_a_source_ends_at_a_slash(url: str, source: str, below: bool) -> None:  # noqa: FBT001 - a column
    assert lies_below(url, (source,)) == below
    status = "passed" if below else "failed"
    assert judge(replace(SUBJECT, url=url), Policy(allowed_sources=(source,))).status == status


def test_a_wrong_source_is_named() -> None:
    reason = _reason(Policy(allowed_sources=("s3://trusted",)))
    assert (reason.code, reason.policy_field) == ("policy/source", "allowed_sources")
    assert reason.value == SUBJECT.url


@pytest.mark.parametrize(
    ("url", "facts", "publisher", "source"),
    [
        (HUB, {"organization": "Somebody Else"}, "meta-llama", "address"),
        ("hf://owner/name/m.gguf", {}, "owner", "address"),
        ("/c/models--org--name/snapshots/1/m.gguf", {}, "org", "a folder of the address"),
        ("/m.gguf", {"organization": "Meta Llama"}, "Meta Llama", "general.organization"),
        ("/m.gguf", {"repo_url": HUB}, "meta-llama", "general.repo_url"),
        ("/m.gguf", {"url": "https://huggingface.co/x/y"}, "x", "general.url"),
        ("https://huggingface.co/datasets/x/y/m.gguf", {}, "x", "address"),
        ("hf://buckets/acme/store/m.gguf", {}, "acme", "address"),
        ("hf://datasets/acme/data/m.gguf", {}, "acme", "address"),
        ("hf://spaces/acme/space/m.gguf", {}, "acme", "address"),
        ("hf://models/acme/demo/m.gguf", {}, "acme", "address"),
        ("hf://kernels/acme/k/m.gguf", {}, "acme", "address"),
        ("hf://acme/demo/m.gguf", {}, "acme", "address"),
        ("https://huggingface.co/buckets/acme/store/m.gguf", {}, "acme", "address"),
        ("hf://buckets/acme", {}, "", ""),
        ("https://huggingface.co/api/models/acme/demo", {}, "", ""),
        ("https://evil.example/huggingface.co/meta-llama/x/m.gguf", {}, "", ""),
        ("https://huggingface.co.evil.example/meta-llama/x/m.gguf", {}, "", ""),
        ("/m.gguf", {"organization": 3, "repo_url": ["a"]}, "", ""),
    ],
)
def test_a_publisher_is_whom_the_address_or_the_file_names(
    url: str, facts: dict[str, Any], publisher: str, source: str
) -> None:
    assert publisher_of(url, facts) == (publisher, source, source == "address")


def test_publishers_are_compared_as_people_write_them() -> None:
    policy = Policy(allowed_publishers=("meta-llama",))
    assert judge(replace(SUBJECT, url=HUB), policy).status == "passed"
    assert judge(replace(SUBJECT, url=HUB), Policy(allowed_publishers=("Meta Llama",))).status == (
        "passed"
    )
    assert not same_publisher("meta-llama", "m\u0435ta-llama")  # a Cyrillic letter
    assert not same_publisher("\u65e5\u672c", "\u4e2d\u56fd")
    assert _reason(policy).value == "none"
    reason = _reason(policy, facts={"organization": "a\n\x1b[31m"})
    assert (reason.code, reason.policy_field) == ("policy/publisher", "allowed_publishers")
    assert "\x1b" not in reason.message


@pytest.mark.parametrize(
    "facts", [{}, {"signature": {"covered": False}}, {"signature": "yes"}], ids=str
)
def test_a_signature_can_be_asked_for(facts: dict[str, Any]) -> None:
    policy = Policy(require_signature=True)
    assert _reason(policy, facts=facts).code == "policy/signature-missing"
    covered = replace(SUBJECT, facts={"signature": {"covered": True}})
    assert judge(covered, policy).status == "passed"


def test_templates_can_be_named_by_their_digest() -> None:
    policy = Policy(allowed_templates=("A" * 64,))
    assert judge(SUBJECT, policy).status == "passed"
    fine = {"chat_templates": [{"place": "x", "sha256": "a" * 64}]}
    assert judge(replace(SUBJECT, facts=fine), policy).status == "passed"
    other = {"chat_templates": [*fine["chat_templates"], {"place": "y\n", "sha256": "b" * 64}]}
    reason = _reason(policy, facts=other)
    assert (reason.code, reason.value) == ("policy/template", "b" * 64)
    assert "\n" not in reason.message
    assert _reason(policy, facts={"chat_templates": [{"place": "y"}]}).value == "none"


@pytest.mark.parametrize(
    ("base_model", "facts", "licences"),
    [
        ("meta-llama/Llama-3.1-8B", {}, ["LicenseRef-llama3.1"]),
        ("https://huggingface.co/meta-llama/Llama-3.1-8B", {}, ["LicenseRef-llama3.1"]),
        ("Llama-3.1-8B", {}, []),
        (None, {"base_models": [{"name": "X", "license": "cc-by-nc-4.0"}]}, ["CC-BY-NC-4.0"]),
        (None, {"base_models": [{"name": "X", "license": "other"}]}, []),
        (None, {"base_models": ["X", {}, {"license": "mit"}, {"name": "X", "license": 3}]}, []),
        (
            "meta-llama/Llama-3.1-8B",
            {
                "base_models": [
                    {"name": "Llama 3.1 8B", "organization": "Meta Llama"},
                    {"repo_url": "https://huggingface.co/meta-llama/Llama-3.1-8B"},
                ]
            },
            ["LicenseRef-llama3.1"] * 2,
        ),
    ],
)
def test_lineage_counts_where_a_licence_is_known(
    base_model: str | None, facts: dict[str, Any], licences: list[str]
) -> None:
    known = (BaseLicense("Meta-Llama/Llama-3.1-*", "llama3.1"),)
    subject = replace(SUBJECT, base_model=base_model, facts=facts)
    policy = Policy(allowed_licenses=("apache-2.0",), base_licenses=known)
    reasons = judge(subject, policy).reasons
    assert [reason.value for reason in reasons] == licences
    assert {reason.code for reason in reasons} <= {"policy/base-license"}
    assert judge(subject, replace(policy, licenses_of_base=False)).status == "passed"
    denied = Policy(denied_licenses=("llama3.1", "cc-by-nc-*"), base_licenses=known)
    assert judge(subject, denied).status == ("failed" if licences else "passed")


def test_a_licence_that_a_header_states_for_its_base_counts(tmp_path: Path) -> None:
    data = gguf(
        (
            ("general.architecture", STRING, "llama"),
            ("general.license", STRING, "mit"),
            ("general.base_model.count", U32, 1),
            ("general.base_model.0.name", STRING, "Base\n"),
            ("general.base_model.0.license", STRING, "cc-by-nc-4.0"),
        )
    ).data
    root = put_local(tmp_path, {"m.gguf": data})
    (result,) = scan(root, policy=Policy(denied_licenses=("cc-by-nc-*",)))
    assert [reason.code for reason in result.verdict.reasons] == ["policy/base-license"]
    assert "\n" not in result.verdict.reasons[0].message


@pytest.mark.parametrize(
    ("entry", "expression", "listed"),
    [
        ("cc-by-nc-*", "CC-BY-NC-SA-4.0", True),
        ("CC-BY-NC-*", "CC-BY-4.0", False),
        ("llama*", "LicenseRef-llama3.1", True),
        ("*", "MIT", True),
        ("MIT OR Apache-2.0", "Apache-2.0", True),
        ("MIT AND Apache-2.0", "Apache-2.0", True),
        ("MIT AND Apache-2.0", "MIT AND BSD-3-Clause", False),
    ],
)
def test_entries_may_be_patterns_and_expressions(entry: str, expression: str, listed: bool) -> None:  # noqa: FBT001 - a column
    assert allows((entry,), expression) == listed
    if " " not in expression:
        assert denies((entry,), expression) == listed


NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("examined_at", "status"),
    [
        ("2027-01-31T11:00:00+00:00", "passed"),
        ("2027-01-30T12:00:00", "passed"),
        ("2027-01-30T11:59:00+00:00", "failed"),
        ("2027-01-31T12:30:00+00:00", "passed"),
        ("2027-02-01T12:00:00+00:00", "failed"),
        ("", "failed"),
        ("yesterday", "failed"),
    ],
)
def test_knowledge_grows_old(examined_at: str, status: str) -> None:
    subject = replace(SUBJECT, examined_at=examined_at)
    verdict = judge(subject, Policy(max_scan_age_hours=24), NOW)
    assert verdict.status == status
    assert [reason.policy_field for reason in verdict.reasons] == ["max_scan_age_hours"] * (
        status == "failed"
    )
    assert judge(subject, Policy(), NOW).status == "passed"


@pytest.mark.parametrize(
    "code",
    ["sbom/unexamined", "template/unexamined", "gguf/header-too-large", "safetensors/too-complex"],
)
def test_a_limit_of_the_tool_leaves_the_verdict_unknown(code: str) -> None:
    finding = make_finding(code, "it is larger than what is examined", url="/m/m.gguf")
    assert judge(replace(SUBJECT, findings=(finding,)), Policy()).status == "unknown"
    assert "fetch" not in finding.hint.lower()
