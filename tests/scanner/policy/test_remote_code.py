"""``remote_code`` and ``allowed_code``: what is refused, and what a pin never covers."""

from typing import Any

import pytest

from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.policy.policy import Policy, judge
from prefect_mutagen.scanner.verdicts import Reason, Subject

GOOD, OTHER = "a" * 64, "b" * 64
OWN = {"code": [{"path": "m.py", "sha256": GOOD, "reached_by": ["config.json:auto_map.A"]}]}
TWO = {"code": [*OWN["code"], {"path": "n.py", "sha256": OTHER, "reached_by": ["m.py"]}]}
MISSING = {"code": [{"path": "m.py", "sha256": "", "reached_by": ["x"], "problem": "not there"}]}


def _elsewhere(kind: str) -> dict[str, Any]:
    return {"code_elsewhere": [{"kind": kind, "place": "config.json:key", "text": "me/x--m.C"}]}


def _reasons(policy: Policy, facts: dict[str, Any]) -> tuple[Reason, ...]:
    subject = Subject((), 1, "gguf", None, None, None, None, "", facts=facts)
    verdict = judge(subject, policy)
    assert verdict.status == ("failed" if verdict.reasons else "passed")
    assert {reason.code for reason in verdict.reasons} <= {"policy/remote-code"}
    return verdict.reasons


PINNED = Policy(remote_code="pinned", allowed_code=(GOOD.upper(),))


@pytest.mark.parametrize(
    ("policy", "facts", "value"),
    [
        (Policy(remote_code="refuse"), OWN, "1"),
        (Policy(remote_code="refuse"), MISSING, "1"),
        (Policy(remote_code="refuse"), {**TWO, **_elsewhere("kernel")}, "3"),
        (Policy(remote_code="refuse"), _elsewhere("imported-name"), "1"),
        (Policy(remote_code="pinned"), OWN, GOOD),
        (PINNED, TWO, OTHER),
        (PINNED, MISSING, "none"),
        (PINNED, _elsewhere("other-repository"), "me/x--m.C"),
        (PINNED, _elsewhere("kernel"), "me/x--m.C"),
        (PINNED, _elsewhere("imported-name"), "me/x--m.C"),
        (PINNED, _elsewhere("outside"), "me/x--m.C"),
    ],
)
def test_code_that_is_not_allowed_fails(policy: Policy, facts: dict[str, Any], value: str) -> None:
    (reason,) = _reasons(policy, facts)
    assert (reason.policy_field, reason.value) == ("remote_code", value)
    assert reason.message.isprintable()


@pytest.mark.parametrize(
    ("policy", "facts"),
    [
        (Policy(), {**TWO, **_elsewhere("kernel")}),
        (Policy(remote_code="refuse"), {}),
        (Policy(remote_code="pinned"), {}),
        (PINNED, OWN),
        (PINNED, {"chat_templates": []}),
    ],
)
def test_the_rest_passes(policy: Policy, facts: dict[str, Any]) -> None:
    assert _reasons(policy, facts) == ()


def test_code_elsewhere_is_never_covered_and_says_so() -> None:
    facts = {**OWN, **_elsewhere("imported-name")}
    (reason,) = _reasons(PINNED, facts)
    assert "no pin covers" in reason.message
    assert "a module that is imported by name" in reason.message


def test_unexamined_code_is_unknown_rather_than_failed() -> None:
    finding = make_finding("code/unexamined", "m.py is code that was not examined", url="/m")
    subject = Subject((finding,), 1, "gguf", None, None, None, None, "", facts=OWN)
    assert judge(subject, Policy()).status == "unknown"
    assert judge(subject, Policy(remote_code="refuse")).status == "unknown"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"remote_code": "pinned", "allowed_code": ("abc",)}, "allowed_code is not a SHA-256"),
        ({"allowed_code": (GOOD,)}, "allowed_code has no effect"),
        ({"remote_code": "refuse", "allowed_code": (GOOD,)}, "allowed_code has no effect"),
    ],
)
def test_fields_that_would_do_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Policy(**fields)
