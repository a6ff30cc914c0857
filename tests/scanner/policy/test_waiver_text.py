"""The waiver to paste lets this model pass and no other; its texts are what they were."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from prefect_mutagen.scanner import Policy, ScanResult
from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.policy.policy import Waiver, judge, load_policy
from prefect_mutagen.scanner.policy.policy_text import load_yaml
from prefect_mutagen.scanner.policy.waiver_text import (
    entry_lines,
    flow_entry,
    scalar,
    waiver_lines,
)
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


HOSTILE = (
    *("no", "~", "null", "1:30", "010", "2027-01-31", "- a", "a: b", "a #b", "#", "'", '"', "\\"),
    *("{a: 1}", "[a]", "&a", "*a", "!!int 1", "|", ">", "%a", "@a", "`a", "? a", "...", "---"),
    *("two\nlines", "tab\there", "größe 模型 \U0001f9ea", "turned\u202egnihton", "\x85\u2028"),
    *(" a ", "a:", ":", "=", "<<", "\ufeff", "\x7f", "\xa0"),
)


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_come_back_as_they_were(text: str) -> None:
    for quoted in (False, True):
        said = scalar(text, quoted=quoted)
        assert said.isprintable()
        assert load_yaml(f"- {{a: {scalar(text, quoted=True)}}}\n- {said}\n") == [{"a": text}, text]
    fields = ("gguf/truncated", text, text, text, "2027-01-31")
    names = ("code", "url", "reason", "owner", "expires")
    expected = [dict(zip(names, fields, strict=True))]
    assert load_yaml("\n".join(entry_lines(*fields))) == expected
    assert load_yaml(f"[{flow_entry(*fields)}]") == expected


def test_any_texts_come_back_as_they_were() -> None:
    drawn = random.Random(17)
    letters = "".join({*"".join(HOSTILE)}) + "aZ0 ,"
    for _ in range(500):
        text = "".join(drawn.choice(letters) for _ in range(drawn.randint(1, 12)))
        assert load_yaml(f"- a: {scalar(text)}\n") == [{"a": text}]
