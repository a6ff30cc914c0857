"""Why a model is refused, and that the waiver on the page lets this model pass and no other."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import yaml

from prefect_mutagen.scanner import Policy, ScanResult
from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.outputs.page.reasons import (
    exemptions_of,
    policy_line,
    waiver_lines,
    whys_of,
)
from prefect_mutagen.scanner.policy.policy import Waiver, judge, load_policy
from tests.report_tables import NOW, model

TODAY = datetime.now(UTC).date()


def _refused(url: str, *codes: str, policy: Policy | None = None) -> ScanResult:
    """Return a model at an address with findings, judged."""
    findings = tuple(make_finding(code, f"{code} is the case", url=url) for code in codes)
    result = replace(model(1, NOW), url=url, findings=findings)
    return replace(result, verdict=judge(result.subject(), policy or Policy()))


def _filled_in(lines: tuple[str, ...]) -> Policy:
    """Fill in what a person has to, and load the policy."""
    text = "\n".join(lines)
    expires = (TODAY + timedelta(days=9)).isoformat()
    for name, value in (("reason", "tried"), ("owner", "me"), ("expires", expires)):
        text = text.replace(f"    {name}:", f"    {name}: {value}")
    return load_policy(text)


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("s3://models/a.gguf", "s3://models/b.gguf"),
        ("s3://models/[a]*?.gguf", "s3://models/a.gguf"),
        ("s3://models/x: {y} #z'\".gguf", "s3://models/x"),
        ("/models/größe 模型 \U0001f9ea.gguf", "/models/gr.gguf"),
        ("/models/turned\u202efugg.gguf", "/models/turnedfugg.gguf"),
        ("/models/line\nbreak\x1b[31m.gguf", "/models/line"),
        ("/models/caf\udce9.gguf", "/models/cafee.gguf"),
        ("https://Host:443/a%20b.gguf", "https://host/a b.gguf"),
    ],
)
def test_a_waiver_lets_pass_what_it_is_for(url: str, other: str) -> None:
    codes = ("gguf/truncated", "template/escape")
    lines = waiver_lines(_refused(url, *codes))
    with pytest.raises(ValueError, match="waivers"):
        load_policy("\n".join(lines))  # until a person has filled it in
    policy = _filled_in(lines)
    assert [waiver.code for waiver in policy.waivers] == list(codes)
    assert _refused(url, *codes, policy=policy).passed
    assert not _refused(other, *codes, policy=policy).passed
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("url", ["s3://models/a/../b.gguf", "https://host/a/%2e%2e/b.gguf"])
def test_there_is_no_waiver_that_would_not_help(url: str) -> None:
    assert waiver_lines(_refused(url, "gguf/truncated")) == ()
    waiver = Waiver("gguf/truncated", url, "tried", "me", TODAY.isoformat())
    assert not _refused(url, "gguf/truncated", policy=Policy(waivers=(waiver,))).passed


def test_what_was_not_read_cannot_be_waived() -> None:
    result = _refused("s3://models/a.gguf", "storage/denied")
    unread = replace(result, sbom=replace(result.sbom, format="unknown"))
    assert waiver_lines(unread) == ()
    assert waiver_lines(result)


def test_an_expired_waiver_is_written_anew_once() -> None:
    waiver = Waiver("gguf/truncated", "*", "tried", "me", "2020-01-01")
    result = _refused("/a.gguf", "gguf/truncated", policy=Policy(waivers=(waiver,)))
    assert [reason.code for reason in result.verdict.reasons][1] == "policy/waiver-expired"
    (entry,) = yaml.safe_load("\n".join(waiver_lines(result)))["waivers"]
    assert entry["code"] == "gguf/truncated"


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
