import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.policy.policy import Policy, judge, load_policy
from prefect_mutagen.scanner.verdicts import Subject

SUBJECT = Subject(
    findings=(),
    size_bytes=1000,
    format="gguf",
    architecture="llama",
    parameter_count=8_000_000_000,
    quantization="Q4_K_M",
    license_spdx="Apache-2.0",
    sha256="",
)


def _finding(code: str, severity: str) -> Finding:
    return Finding(code, severity, "what is wrong", "/m/x.gguf")  # type: ignore[arg-type]


def test_nothing_wrong_passes() -> None:
    assert judge(SUBJECT, Policy()).status == "passed"


@pytest.mark.parametrize(
    ("policy", "field", "value"),
    [
        (Policy(allowed_formats=("safetensors",)), "allowed_formats", "gguf"),
        (Policy(allowed_types=("adapter", "mmproj")), "allowed_types", "model"),
        (Policy(allowed_architectures=("mistral",)), "allowed_architectures", "llama"),
        (Policy(denied_architectures=("LLaMA",)), "denied_architectures", "llama"),
        (Policy(allowed_quantizations=("q8_0",)), "allowed_quantizations", "Q4_K_M"),
        (Policy(denied_quantizations=("Q4_K_M",)), "denied_quantizations", "Q4_K_M"),
        (Policy(allowed_licenses=("mit",)), "allowed_licenses", "Apache-2.0"),
        (Policy(denied_licenses=("apache-2.0",)), "denied_licenses", "Apache-2.0"),
        (Policy(max_parameters=7_000_000_000), "max_parameters", "8000000000"),
        (Policy(max_size_bytes=999), "max_size_bytes", "1000"),
        (Policy(require_sha256=True), "require_sha256", "none"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_field_refuses_and_says_which_value_it_met(
    policy: Policy, field: str, value: str
) -> None:
    verdict = judge(SUBJECT, policy)
    assert verdict.status == "failed"
    (reason,) = verdict.reasons
    assert (reason.policy_field, reason.value) == (field, value)
    assert reason.code.startswith("policy/")
    assert reason.message


@pytest.mark.parametrize(
    "policy",
    [
        Policy(allowed_formats=("gguf", "safetensors")),
        Policy(allowed_types=("Model",)),
        Policy(allowed_architectures=("LLAMA",)),
        Policy(allowed_licenses=("mit", "apache-2.0"), require_license=True),
        Policy(denied_licenses=("mit",)),
        Policy(max_parameters=8_000_000_000, max_size_bytes=1000),
    ],
)
def test_each_field_lets_through_what_it_allows(policy: Policy) -> None:
    assert judge(SUBJECT, policy).status == "passed"


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"type": "imatrix"}, "imatrix"),
        ({"type": "mmproj", "adapter": {"rank": 8}}, "mmproj"),
        ({"adapter": {"rank": 8}}, "adapter"),
    ],
)
def test_only_models_may_be_asked_for(facts: dict[str, Any], kind: str) -> None:
    subject = replace(SUBJECT, facts=facts)
    (reason,) = judge(subject, Policy(allowed_types=("model",))).reasons
    assert (reason.code, reason.value) == ("policy/type", kind)
    assert judge(subject, Policy(allowed_types=("model", kind))).status == "passed"


@pytest.mark.parametrize("stated", [None, "NOASSERTION"])
def test_no_licence_fails_where_one_is_asked_for(stated: str | None) -> None:
    subject = replace(SUBJECT, license_spdx=stated)
    assert judge(subject, Policy()).status == "passed"
    assert judge(subject, Policy(denied_licenses=("mit",))).status == "passed"
    for policy in (Policy(require_license=True), Policy(allowed_licenses=("mit",))):
        (reason,) = judge(subject, policy).reasons
        assert reason.code == "policy/license-missing"


def test_an_unknown_number_of_parameters_is_over_any_limit() -> None:
    (reason,) = judge(replace(SUBJECT, parameter_count=None), Policy(max_parameters=1)).reasons
    assert (reason.code, reason.value) == ("policy/parameters", "none")


def test_what_is_not_stated_is_not_among_the_allowed() -> None:
    subject = replace(SUBJECT, architecture=None)
    assert judge(subject, Policy(allowed_architectures=("llama",))).status == "failed"
    assert judge(subject, Policy(denied_architectures=("llama",))).status == "passed"


def test_errors_fail_and_warnings_only_when_asked() -> None:
    error = replace(SUBJECT, findings=(_finding("gguf/truncated", "error"),))
    warning = replace(SUBJECT, findings=(_finding("gguf/bad-bool", "warning"),))
    info = replace(SUBJECT, findings=(_finding("gguf/no-tensors", "info"),))
    assert judge(error, Policy()).status == "failed"
    assert judge(warning, Policy()).status == "passed"
    assert judge(warning, Policy(fail_on="warning")).status == "failed"
    assert judge(info, Policy(fail_on="warning")).status == "passed"


def test_what_was_not_seen_is_unknown_whatever_else_is_wrong() -> None:
    findings = (_finding("gguf/truncated", "error"), _finding("storage/timeout", "error"))
    assert judge(replace(SUBJECT, findings=findings), Policy()).status == "unknown"


def test_all_reasons_are_given() -> None:
    policy = Policy(
        allowed_formats=("safetensors",), max_size_bytes=1, denied_licenses=("apache-2.0",)
    )
    assert len(judge(SUBJECT, policy).reasons) == 3


def test_a_policy_is_read_from_yaml_and_json() -> None:
    expected = Policy(allowed_licenses=("mit",), max_size_bytes=10)
    assert load_policy("allowed_licenses: [mit]\nmax_size_bytes: 10\n") == expected
    assert load_policy(json.dumps(expected.to_dict())) == expected
    assert load_policy("{}") == Policy()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("allowed_license: [mit]", "no field 'allowed_license'; did you mean allowed_licenses"),
        ("zzz: 1", "no field 'zzz'"),
        ("max_size_bytes: many", "policy field max_size_bytes"),
        ("fail_on: never", "policy field fail_on"),
        ("max_size_bytes: -1", "max_size_bytes is less than 0"),
        ("allowed_sources: [models]", "neither an address nor an absolute path"),
        ("allowed_templates: [abc]", "not a SHA-256"),
        ("mit: [a]\nmit: [b]", "duplicate key 'mit' in line 2"),
        ("waivers: {a: b}", "policy field waivers"),
        ("severities: [{code: template/escap, severity: info}]", "did you mean template/escape"),
        ("severities: [{code: smob/*, severity: info}]", "did you mean sbom/*"),
        ("severities: [{code: policy/license, severity: info}]", "no finding 'policy/license'"),
        ("severities: [{cod: sbom/*}]", "severities.0 of the policy has no field 'cod'; did"),
        ("base_licenses: [{model: '', license: mit}]", "needs model and license"),
        ("- a", "not a mapping of fields"),
        ("[" * 5000, "nested too deeply"),
        ("a: [", "not YAML in line 1"),
        ("fail_on: error\nmax_size_bytes: !!int ''", "the policy's line 2: ''"),
        ("max_size_bytes: !!int x", "the policy's line 1: 'x'"),
        ("max_parameters: !!float ''", "the policy's line 1: ''"),
        (f"max_parameters: {'1:' * 200}1.0", "the policy's line 1: '1:1:1"),
        (f"max_parameters: {'9' * 5000}", "the policy's line 1: '9999"),
        ("require_sha256: !!bool x", "the policy's line 1: 'x'"),
        ("waivers: [!!binary 'ß']", "not YAML in line 1"),
        ("? [a, b]\n: c", "not YAML in line 1"),
        ("require_sha256: !!python/name:os.system x", "not YAML in line 1"),
        ("require_sha256: !own x", "not YAML in line 1"),
        ("fail_on: \x00", "not YAML"),
        (
            'fail_on: error\nrequire_sha256: "\\UFFFFFFFF"',
            "line 2 has a number that YAML cannot take",
        ),
        ('fail_on: "\\U00110000"', "line 1 has a number that YAML cannot take"),
        ("allowed_licenses: !!map no", "not YAML in line 1"),
        ("allowed_licenses: !!map [no]", "not YAML in line 1"),
    ],
)
def test_a_wrong_policy_is_refused_with_the_field_at_fault(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="polic") as caught:
        load_policy(text)
    assert message in str(caught.value)


def test_a_date_in_yaml_stays_as_it_is_written() -> None:
    text = "waivers: [{code: template/escape, url: '*', reason: r, owner: o, expires: 2027-01-31}]"
    (waiver,) = load_policy(text).waivers
    assert waiver.expires == "2027-01-31"
    assert load_policy(json.dumps(load_policy(text).to_dict())).waivers == (waiver,)


def test_prefects_form_gets_plain_fields_with_defaults_and_descriptions() -> None:
    schema = TypeAdapter(Policy).json_schema()
    for name, field in schema["properties"].items():
        assert "default" in field, name
        assert field["description"], name
    for record in (schema, *schema["$defs"].values()):
        assert record["additionalProperties"] is False
        assert all(field["description"] for field in record["properties"].values())
    for word in ("anyOf", "oneOf", "null", "additionalItems"):
        assert f'"{word}"' not in json.dumps(schema)
    with pytest.raises(ValidationError):
        TypeAdapter(Policy).validate_python({"alowed_licenses": []})
