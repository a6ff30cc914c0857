"""Any text is a policy or is refused with a sentence; any policy judges."""

from dataclasses import fields, replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mutagen.scanner.findings import CODES, Finding
from prefect_mutagen.scanner.policy.policy import Policy, SeverityChange, judge, load_policy
from prefect_mutagen.scanner.verdicts import Subject
from tests.property.hostile_texts import yaml_values

NAMES = st.sampled_from([field.name for field in fields(Policy)]) | st.text(max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=10) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
SUBJECT = Subject((), 1, "gguf", None, None, None, None, "", url="/m.gguf")
CODES_OF_FINDINGS = sorted(code for code in CODES if not code.startswith("policy/"))


def _load(text: str) -> None:
    try:
        policy = load_policy(text)
    except ValueError as problem:
        _assert_sentence(problem)
        return
    assert load_policy(yaml.safe_dump(policy.to_dict())) == policy
    assert judge(SUBJECT, policy).status in {"passed", "failed"}


def _assert_sentence(refusal: ValueError) -> None:
    assert type(refusal) is ValueError
    assert str(refusal).startswith(("the policy", "policy", "field"))
    assert "\n" not in str(refusal)


@given(st.text(max_size=100))
def test_any_text(text: str) -> None:
    _load(text)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_fields(values: dict[str, object]) -> None:
    _load(yaml.safe_dump(values, allow_unicode=True))


@settings(max_examples=50)
@given(NAMES, yaml_values(deepest=40))
def test_any_value_as_a_person_may_write_it(name: str, value: str) -> None:
    _load(f"{name}: {value}")


@pytest.mark.parametrize("format_", ["gguf", "unknown"])
@given(st.lists(st.sampled_from(CODES_OF_FINDINGS), max_size=4), st.data())
def test_nothing_but_its_own_name_makes_a_structural_error_pass(
    format_: str, codes: list[str], data: st.DataObject
) -> None:
    named = data.draw(st.lists(st.sampled_from(CODES_OF_FINDINGS), max_size=3))
    families = sorted({f"{code.partition('/')[0]}/*" for code in CODES_OF_FINDINGS})
    changes = tuple(SeverityChange(code, "info") for code in (*families, *named))
    findings = tuple(Finding(code, CODES[code].severity, "x") for code in codes)
    subject = replace(SUBJECT, findings=findings, format=format_)
    verdict = judge(subject, Policy(severities=changes))
    structural = ("gguf/", "safetensors/", "set/", "storage/", "scan/")
    errors = [code for code in codes if CODES[code].severity == "error"]
    standing = [code for code in errors if code.startswith(structural) and code not in named]
    unseen = [code for code in errors if code.startswith(("storage/", "scan/"))]
    if standing or (unseen and format_ == "unknown"):
        assert verdict.status != "passed"
    else:
        assert verdict.status == "passed"
