from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prefect_mutagen.parsers import Severity
from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.findings import CODES, Finding
from prefect_mutagen.scanner.policy.policy import Policy, SeverityChange, Waiver, judge, load_policy
from prefect_mutagen.scanner.table.rows import from_row, to_row
from prefect_mutagen.scanner.verdicts import Subject
from tests.builders import gguf
from tests.dates import SOON
from tests.scanner.storing import put_local

URL = "s3://models/a/m.gguf"
SUBJECT = Subject((), 1000, "gguf", "llama", 8, "Q4_K_M", "CC-BY-NC-4.0", "", url=URL)
NOW = datetime(2027, 1, 31, 23, 59, tzinfo=UTC)
LICENSE = Policy(denied_licenses=("cc-by-nc-4.0",))


def _found(*codes: str) -> Subject:
    findings = tuple(Finding(code, CODES[code].severity, "what is wrong", URL) for code in codes)
    return replace(SUBJECT, findings=findings)


def _waiver(
    code: str = "policy/license", url: str = "s3://models/*", day: str = "2027-01-31"
) -> Waiver:
    return Waiver(code, url, "needed for research", "ana@example.org", day)


@pytest.mark.parametrize(
    ("code", "changes", "status"),
    [
        ("template/escape", [("template/escape", "warning")], "passed"),
        ("template/escape", [("template/*", "info")], "passed"),
        ("template/escape", [("template/*", "info"), ("template/escape", "error")], "failed"),
        ("template/escape", [("template/escape", "error"), ("template/*", "info")], "failed"),
        ("template/escape", [("template/unexamined", "info")], "failed"),
        ("sbom/duplicate-key", [("sbom/duplicate-key", "error")], "failed"),
        ("sbom/duplicate-key", [("sbom/*", "error")], "failed"),
        ("gguf/truncated", [("gguf/*", "info")], "failed"),
        ("gguf/truncated", [("gguf/truncated", "info")], "passed"),
        ("gguf/truncated", [("gguf/truncated", "info"), ("gguf/*", "error")], "passed"),
        ("safetensors/overlap", [("safetensors/*", "warning")], "failed"),
        ("gguf/no-tensors", [("gguf/*", "error")], "failed"),
        ("storage/timeout", [("storage/*", "info")], "unknown"),
        ("storage/timeout", [("storage/timeout", "info")], "passed"),
    ],
)
def test_severities_are_raised_and_lowered(
    code: str, changes: list[tuple[str, Severity]], status: str
) -> None:
    policy = Policy(severities=tuple(SeverityChange(*change) for change in changes))
    verdict = judge(_found(code), policy)
    assert verdict.status == status
    assert [reason.code for reason in verdict.reasons] == [code] * (status != "passed")


def test_a_changed_severity_is_the_field_that_decided() -> None:
    policy = Policy(severities=(SeverityChange("sbom/*", "error"),))
    (reason,) = judge(_found("sbom/duplicate-key"), policy).reasons
    assert (reason.policy_field, reason.value) == ("severities", "error")


@pytest.mark.parametrize("code", ["storage/denied", "scan/crashed"])
def test_nothing_makes_seen_what_was_not(code: str) -> None:
    subject = replace(_found(code), format="unknown")
    policy = Policy(severities=(SeverityChange(code, "info"),), waivers=(_waiver(code, "*", SOON),))
    assert judge(subject, policy).status == "unknown"


def test_the_fields_count_also_where_a_fault_of_storage_is_waived() -> None:
    waiver = _waiver("storage/timeout", "*", SOON)
    verdict = judge(_found("storage/timeout"), replace(LICENSE, waivers=(waiver,)), NOW)
    assert verdict.status == "failed"
    assert [reason.code for reason in verdict.reasons] == ["policy/license"]
    assert judge(_found("storage/timeout"), Policy(waivers=(waiver,)), NOW).status == "passed"


@pytest.mark.parametrize(
    ("waiver", "status"),
    [
        (_waiver(), "passed"),
        (_waiver(url=URL), "passed"),
        (_waiver(url="s3://models/?/m.gguf"), "passed"),
        (_waiver(url="s3://models/b/*"), "failed"),
        (_waiver(url="S3://MODELS/*"), "failed"),
        (_waiver(url="models/a/m.gguf"), "failed"),
        (_waiver("policy/size"), "failed"),
        (_waiver(day="2027-01-30"), "failed"),
    ],
)
def test_a_waiver_covers_one_code_in_one_place_for_a_while(waiver: Waiver, status: str) -> None:
    verdict = judge(SUBJECT, replace(LICENSE, waivers=(waiver,)), NOW)
    assert verdict.status == status
    if status == "passed":
        (waived,) = verdict.waived
        assert (waived.code, waived.policy_field) == ("policy/license", "waivers")
        assert waived.value == "until 2027-01-31, ana@example.org"
        assert "needed for research" in waived.message
        assert "CC-BY-NC-4.0" in waived.message
    else:
        assert verdict.waived == ()
        assert verdict.reasons[0].code == "policy/license"


def test_an_expired_waiver_is_a_reason_where_it_would_have_counted() -> None:
    expired = replace(LICENSE, waivers=(_waiver(day="2027-01-30"), _waiver(day="2026-01-01")))
    codes = [reason.code for reason in judge(SUBJECT, expired, NOW).reasons]
    assert codes == ["policy/license", "policy/waiver-expired"]
    reason = judge(SUBJECT, expired, NOW).reasons[1]
    assert (reason.policy_field, reason.value) == ("waivers", "2027-01-30")
    assert "ana@example.org" in reason.message
    # Mended, or covered by another: nothing to complain about.
    assert judge(replace(SUBJECT, license_spdx="MIT"), expired, NOW).status == "passed"
    both = replace(LICENSE, waivers=(*expired.waivers, _waiver()))
    assert judge(SUBJECT, both, NOW).status == "passed"


def test_other_reasons_stand_beside_a_waived_one() -> None:
    policy = replace(LICENSE, max_size_bytes=1, waivers=(_waiver(),))
    verdict = judge(_found("gguf/truncated"), policy, NOW)
    assert [reason.code for reason in verdict.reasons] == ["gguf/truncated", "policy/size"]
    assert [reason.code for reason in verdict.waived] == ["policy/license"]


def test_a_used_waiver_is_in_the_report_the_table_and_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = put_local(tmp_path, {"m.gguf": gguf().data})
    text = "require_license: true\nwaivers:\n- {code: policy/license-missing, url: '*/m.gguf', "
    text += "reason: no card yet, owner: ana, "
    text += f"expires: {SOON}}}\n"
    (tmp_path / "policy.yaml").write_text(text)
    (result,) = scan(root, policy=load_policy(text))
    assert result.passed
    (waived,) = result.to_report()["verdict"]["waived"]
    assert waived["value"] == f"until {SOON}, ana"
    row = to_row(result, new_scan(root, load_policy(text)))
    assert from_row(row).verdict == result.verdict
    del row["waived"]
    assert from_row(row).verdict == replace(result.verdict, waived=())
    assert main(["verify", root, "--policy", str(tmp_path / "policy.yaml")]) == 0
    assert "policy/license-missing: waived (no card yet)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("url", "", "needs url"),
        ("reason", " ", "needs reason"),
        ("owner", "", "needs owner"),
        ("expires", "", "needs expires"),
        ("expires", "never", "not a date"),
        ("expires", "2027-02-30", "not a date"),
        ("expires", "2027-01-31T00:00:00", "not a date"),
        ("code", "policy/licence", "did you mean policy/license"),
        ("code", "policy/*", "no finding"),
        ("code", "policy/waiver-expired", "no finding"),
    ],
)
def test_a_waiver_needs_somebody_who_answers_for_it(field: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"waiver|date|finding") as caught:
        replace(_waiver(), **{field: value})
    assert message in str(caught.value)
