"""Policies that look like a rule and are none: each is refused with a sentence, wherever it enters.

A rule without effect is worse than none, because somebody relies on it. Beside the attempts stand
honest policies that are written much alike and must be taken.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError

from prefect_mutagen.flows import run_agent, scan_models
from prefect_mutagen.scanner import Policy, scan
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.policy.policy import Waiver, load_policy
from tests.builders import STRING, gguf
from tests.dates import SOON
from tests.scanner.storing import put_local

TODAY = datetime.now(UTC).date()
WAIVER = {"code": "policy/license", "url": "*", "reason": "r", "owner": "ana", "expires": SOON}


def _waiver(**changed: str) -> str:
    return json.dumps({"waivers": [WAIVER | changed]})


FILES = {
    # A write that was cut, or a variable that was empty.
    "nothing": ("", "the policy is empty"),
    "blanks": (" \n\n", "the policy is empty"),
    "byte order mark": ("\ufeff", "the policy is empty"),
    "comment": ("# licences that we accept\n", "the policy is empty"),
    "mark of a document": ("---\n", "the policy is empty"),
    "directive": ("%YAML 1.2\n---\n", "the policy is empty"),
    "null": ("null", "the policy is empty"),
    "tilde": ("~", "the policy is empty"),
    "empty text": ('""', "not a mapping"),
    "cut in a name": ("denied_licen", "not a mapping"),
    "empty list": ("[]", "not a mapping"),
    "field without value": ("denied_licenses:\n", "denied_licenses"),
    "field with an empty text": ('denied_licenses: ""', "denied_licenses"),
    "limit with an empty text": ('max_parameters: ""', "max_parameters"),
    "choice with an empty text": ('fail_on: ""', "fail_on"),
    "switch with an empty text": ('require_license: ""', "require_license"),
    # Entries that match nothing.
    "empty licence": ("denied_licenses: ['']", "entry of denied_licenses is empty"),
    "blank licence": ("denied_licenses: ['  ']", "entry of denied_licenses is empty"),
    "zero-width space": ('denied_licenses: ["\\u200b"]', "entry of denied_licenses is empty"),
    "Hangul filler": ('denied_licenses: ["\\u3164"]', "entry of denied_licenses is empty"),
    "soft hyphen": ('denied_architectures: ["\\u00ad"]', "denied_architectures is empty"),
    "empty quantization": ("denied_quantizations: ['']", "denied_quantizations is empty"),
    "empty publisher": ("allowed_publishers: ['']", "allowed_publishers is empty"),
    "no word of a licence": ("denied_licenses: ['--']", "names no licence"),
    "licence that is a switch": ("denied_licenses: [no]", "names no licence"),
    "licence none": ("denied_licenses: [none]", "names no licence"),
    "placeholder": ("denied_licenses: ['{{ denied }}']", "placeholder"),
    "shell placeholder": ("denied_architectures: ['${DENIED}']", "placeholder"),
    "blank beside an address": ("allowed_sources: [' s3://models']", "blank"),
    "quantization with a hyphen": ("denied_quantizations: [Q2-K]", "did you mean Q2_K?"),
    "quantization glued": ("denied_quantizations: [q4km]", "did you mean Q4_K_M?"),
    "quantization of no file": ("denied_quantizations: [Q9_K]", "no known name"),
    "quantization pattern": ("denied_quantizations: ['Q2*']", "has a wildcard"),
    "architecture with a slip": ("denied_architectures: [lama]", "did you mean llama?"),
    "architecture turned round": ("denied_architectures: [mistarl]", "did you mean mistral?"),
    "architecture pattern": ("denied_architectures: ['llama*']", "has a wildcard"),
    "kind with a slip": ("allowed_types: [modle]", "did you mean model?"),
    "format with a slip": ("allowed_formats: [ggfu]", "allowed_formats"),
    "licence with a slip": ("denied_licenses: [apach-2.0]", "did you mean Apache-2.0?"),
    "licence of no version": ("denied_licenses: [cc-by-nc-5.0]", "did you mean CC-BY-NC-4.0?"),
    "licence of a later version": ("denied_licenses: [gpl-4]", "did you mean GPL-3.0"),
    "pattern with a slip": ("denied_licenses: [cc-by-cn-*]", "did you mean CC-BY-NC"),
    "base licence with a slip": (
        "base_licenses: [{model: o/m, license: apach-2.0}]",
        "did you mean Apache-2.0?",
    ),
    "base licence that is none": ("base_licenses: [{model: o/m, license: none}]", "no licence"),
    "invisible base model": (
        'base_licenses: [{model: "\\u200b", license: mit}]',
        "needs model and license",
    ),
    # Numbers that readers of YAML take differently, and names that no field has.
    "octal": ("max_parameters: 010", "'010' is not the same number"),
    "octal with a sign": ("max_parameters: +010", "'+010' is not the same number"),
    "octal in JSON": ('{"max_size_bytes": 0777}', "'0777' is not the same number"),
    "sexagesimal": ("max_size_bytes: 1:30", "'1:30' is not the same number"),
    "sexagesimal with a point": ("max_size_bytes: 1:30.0", "'1:30.0' is not the same"),
    "hexadecimal": ("max_parameters: 0x10", "'0x10' is not the same number"),
    "binary": ("max_parameters: 0b11", "'0b11' is not the same number"),
    "switch as a number": ("max_parameters: yes", "max_parameters"),
    "truth as a number": ("max_parameters: true", "max_parameters is not a whole number"),
    "number with a letter": ("max_parameters: 7B", "max_parameters"),
    "field with a slip": ("denied_license: [mit]", "did you mean denied_licenses?"),
    "field in capitals": ("DENIED_LICENSES: [mit]", "did you mean denied_licenses?"),
    "field with an invisible letter": (
        '"denied_licenses\\u200b": [mit]',
        "did you mean denied_licenses?",
    ),
    "field of a waiver with a slip": ("waivers: [{cod: x}]", "did you mean code?"),
    "policy in a policy": ("policy: {denied_licenses: [mit]}", "no field 'policy'"),
    "field twice": ("denied_licenses: [mit]\ndenied_licenses: [wtfpl]", "duplicate key"),
    # Waivers for ever, by nobody.
    "waiver until 9999": (_waiver(expires="9999-12-31"), "more than five years"),
    "waiver until 2999": (_waiver(expires="2999-01-31"), "more than five years"),
    "waiver for six years": (
        _waiver(expires=(TODAY + timedelta(days=6 * 366)).isoformat()),
        "more than five years",
    ),
    "waiver until a week": (_waiver(expires="2027-W01-1"), "not a date"),
    "waiver until other digits": (_waiver(expires="\uff12\uff10\uff12\uff17-01-31"), "not a date"),
    "waiver by a zero-width space": (_waiver(owner="\u200b"), "needs owner"),
    "waiver by a Hangul filler": (_waiver(owner="\u3164"), "needs owner"),
    "waiver by a dot": (_waiver(owner="."), "owner of a waiver has no letter"),
    "waiver for an invisible reason": (_waiver(reason="\u2060\ufeff"), "needs reason"),
    "waiver for a dash": (_waiver(reason="-"), "reason of a waiver has no letter"),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_a_file_without_effect_is_refused(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = put_local(tmp_path / "root", {"m.gguf": gguf().data})
    policy = tmp_path / "policy.yaml"
    policy.write_text(text, encoding="utf-8")
    assert main(["verify", f"{root}/m.gguf", "--policy", str(policy)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert said.count("\n") == 1


PARAMETERS: dict[str, tuple[Any, str]] = {
    "an empty text": ("", "dictionary"),
    "nothing": (None, "dictionary"),
    "a text of JSON": ("{}", "dictionary"),
    "an empty licence": ({"denied_licenses": [""]}, "denied_licenses is empty"),
    "an invisible licence": ({"denied_licenses": ["\u2062"]}, "denied_licenses is empty"),
    "an empty text for a list": ({"denied_licenses": ""}, "denied_licenses"),
    "nothing for a list": ({"denied_licenses": None}, "denied_licenses"),
    "an empty text for a limit": ({"max_parameters": ""}, "max_parameters"),
    "a truth for a limit": ({"max_parameters": True}, "not a whole number"),
    "a field with a slip": ({"denied_license": ["mit"]}, "did you mean denied_licenses"),
    "a nested slip": ({"waivers": [{**WAIVER, "onwer": "x"}]}, "did you mean owner"),
    "a quantization": ({"denied_quantizations": ["Q2-K"]}, "did you mean Q2_K"),
    "an architecture": ({"denied_architectures": ["lama"]}, "did you mean llama"),
    "a placeholder": ({"allowed_publishers": ["{{ owners }}"]}, "placeholder"),
    "a waiver for ever": ({"waivers": [{**WAIVER, "expires": "9999-12-31"}]}, "five years"),
    "a waiver by nobody": ({"waivers": [{**WAIVER, "owner": "\u200b"}]}, "needs owner"),
}


@pytest.mark.parametrize("flow", [scan_models, run_agent], ids=lambda flow: flow.name)
@pytest.mark.parametrize(("policy", "message"), PARAMETERS.values(), ids=PARAMETERS)
def test_a_parameter_without_effect_is_refused(flow: Any, policy: Any, message: str) -> None:
    needed = {"source": "/m"} if flow is scan_models else {"url": "/m", "command": ["true"]}
    with pytest.raises(ParameterTypeError) as caught:
        flow.validate_parameters({**needed, "policy": policy})
    assert message in str(caught.value)


OBJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "a text for a list": ({"denied_licenses": "mit"}, "denied_licenses is not a list"),
    "a number for a licence": ({"denied_licenses": (2.0,)}, "is not a text"),
    "another word for a severity": ({"fail_on": "warnings"}, "did you mean warning?"),
    "another word for code": ({"remote_code": "refused"}, "did you mean refuse?"),
    "another format": ({"allowed_formats": ("safetensor",)}, "did you mean safetensors?"),
    "a truth for a limit": ({"max_size_bytes": True}, "not a whole number"),
    "a text for a limit": ({"max_size_bytes": "10"}, "not a whole number"),
}


@pytest.mark.parametrize(("fields", "message"), OBJECTS.values(), ids=OBJECTS)
def test_an_object_without_effect_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Policy(**fields)


HONEST = {
    "the default": ("{}", {}),
    "the default, with a comment": ("# anything\n{}\n", {}),
    "a family without a version": ("denied_licenses: [cc-by-nc]", {}),
    "patterns": ("denied_licenses: ['cc-by-nc-*', '*gpl*', 'acme-*', '*']", {}),
    "licences of one's own": ("allowed_licenses: [acme-internal, LicenseRef-gpl-4]", {}),
    "a model licence yet to come": ("denied_licenses: [llama5, qwen]", {}),
    "another script": ("denied_licenses: [非商用, Лицензия Акме]", {}),
    "expressions": ("denied_licenses: ['GPL-3.0-only WITH GCC-exception-3.1']", {}),
    "quantizations in small letters": ("denied_quantizations: [q2_k, IQ1_S, none, fp8]", {}),
    "quantizations that writers name": ("allowed_quantizations: [gptq-4bit, hqq-3bit]", {}),
    "an architecture yet to come": ("denied_architectures: [zorblax, qwen9, llama7]", {}),
    "architectures of all kinds": ("allowed_architectures: [qwen2_moe, qwen2moe, t5, phi]", {}),
    "kinds that a file may state": ("allowed_types: [model, embedding-table]", {}),
    "digits in groups": ("max_parameters: 7_000_000_000", {"max_parameters": 7_000_000_000}),
    "a number with a zero in it": ("max_parameters: 1000", {"max_parameters": 1000}),
    "nought": ("max_parameters: 0", {"max_parameters": 0}),
    "a text with leading zeros": ("max_parameters: '010'", {"max_parameters": 10}),
    "yes for a switch": ("require_license: yes", {"require_license": True}),
    "off for a switch": ("licenses_of_base: off", {"licenses_of_base": False}),
    "an owner called no": (_waiver(owner="no"), {}),
    "a waiver for a year": (_waiver(expires=(TODAY + timedelta(days=366)).isoformat()), {}),
    "a waiver for four years": (_waiver(expires=(TODAY + timedelta(days=4 * 366)).isoformat()), {}),
    "a waiver that has expired": (_waiver(expires="2020-01-01"), {}),
    "an owner in another script": (_waiver(owner="田中"), {}),
}


@pytest.mark.parametrize(("text", "fields"), HONEST.values(), ids=HONEST)
def test_an_honest_policy_is_taken(text: str, fields: dict[str, Any]) -> None:
    policy = load_policy(text)
    for name, value in fields.items():
        assert getattr(policy, name) == value
    again = json.loads(json.dumps(policy.to_dict()))
    assert load_policy(json.dumps(again)) == policy
    assert scan_models.validate_parameters({"source": "/m", "policy": again})["policy"] == policy


def test_yes_and_no_are_words_where_a_text_is_asked_for() -> None:
    text = f"waivers: [{{code: policy/license, url: '*', reason: yes, owner: no, expires: {SOON}}}]"
    assert load_policy(text).waivers == (Waiver("policy/license", "*", "yes", "no", SOON),)


@pytest.mark.parametrize("entry", ["qwen2_moe", "Qwen2MoE"])
def test_an_architecture_is_denied_in_the_spelling_of_either_format(
    entry: str, tmp_path: Path
) -> None:
    header = gguf([("general.architecture", STRING, "qwen2moe")])
    root = put_local(tmp_path, {"m.gguf": header.data})
    (result,) = scan(root, policy=Policy(denied_architectures=(entry,)))
    assert [reason.code for reason in result.verdict.reasons] == ["policy/architecture"]
