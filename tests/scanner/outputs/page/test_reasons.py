"""Why a model is refused, and what it passes by."""

from dataclasses import replace
from datetime import date

from prefect_mutagen.scanner import Policy, ScanResult
from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.outputs.page.reasons import (
    exemptions_of,
    policy_line,
    whys_of,
)
from prefect_mutagen.scanner.policy.policy import Waiver, judge
from tests.report_tables import NOW, model


def _refused(url: str, *codes: str, policy: Policy | None = None) -> ScanResult:
    """Return a model at an address with findings, judged."""
    findings = tuple(make_finding(code, f"{code} is the case", url=url) for code in codes)
    result = replace(model(1, NOW), url=url, findings=findings)
    return replace(result, verdict=judge(result.subject(), policy or Policy()))


def test_a_reason_has_its_byte_value_and_line() -> None:
    policy = Policy(denied_licenses=("apache-*",), max_size_bytes=10)
    result = _refused("/a.gguf", "gguf/truncated", policy=policy)
    result = replace(result, findings=(replace(result.findings[0], offset=1234),))
    first, *others = whys_of(result, policy.to_dict())
    assert (first.code, first.offset, first.line) == ("gguf/truncated", 1234, "fail_on: error")
    assert first.remedy
    lines = {why.code: (why.line, why.value) for why in others}
    assert lines["policy/license"] == ("denied_licenses: [apache-*]", "Apache-2.0")
    assert lines["policy/size"][0] == "max_size_bytes: 10"


def test_a_byte_that_the_message_names_is_not_said_twice() -> None:
    result = _refused("/a.gguf", "gguf/truncated")
    message = "it ends at byte 1234"
    finding = replace(result.findings[0], offset=1234, message=message)
    reason = replace(result.verdict.reasons[0], message=message)
    verdict = replace(result.verdict, reasons=(reason,))
    (why,) = whys_of(replace(result, findings=(finding,), verdict=verdict), {})
    assert why.offset is None


def test_the_line_of_a_policy() -> None:
    severities = [{"code": "sbom/*", "severity": "error"}, {"code": "gguf/x", "severity": "info"}]
    line = policy_line("severities", {"severities": severities}, "sbom/license-unknown")
    assert line == "severities: [{code: sbom/*, severity: error}]"
    assert policy_line("fail_on", {}) == "fail_on"
    assert len(policy_line("denied_licenses", {"denied_licenses": ["x" * 50] * 50})) == 400


def test_a_waiver_says_how_long_it_lasts() -> None:
    waiver = Waiver("gguf/truncated", "*", "a (b): c", "team, us", "2026-12-05")
    result = replace(
        _refused("/a.gguf", "gguf/truncated"),
        verdict=judge(
            _refused("/a.gguf", "gguf/truncated").subject(), Policy(waivers=(waiver,)), NOW
        ),
    )
    (one,) = exemptions_of(result, date(2026, 11, 27))
    assert (one.until, one.days_left, one.owner) == ("2026-12-05", 8, "team, us")
    assert one.message.endswith("gguf/truncated is the case")
