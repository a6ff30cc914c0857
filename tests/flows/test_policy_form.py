"""Prefect's form of a policy: what it draws well, and nothing that it draws badly."""

import json
from typing import Any

import pytest
from prefect import Flow
from prefect.exceptions import ParameterTypeError

from prefect_mutagen.flows import run_agent, scan_models
from prefect_mutagen.scanner import Policy


@pytest.mark.parametrize("flow", [scan_models, run_agent], ids=lambda flow: flow.name)
def test_every_field_of_the_policy_is_in_the_form(flow: Flow[..., Any]) -> None:
    schema = flow.parameters.model_dump()
    policy = schema["definitions"]["Policy"]
    checked = policy.get("then", policy)["properties"]
    assert checked.keys() == Policy().to_dict().keys()
    for name in ("Policy", "Waiver", "SeverityChange", "BaseLicense", "Signer", "Owner"):
        text = json.dumps(schema["definitions"][name])
        for word in ("anyOf", "oneOf", "null", "additionalItems"):
            assert f'"{word}"' not in text, (name, word)
    waiver = {"code": "policy/license", "url": "*", "reason": "r", "owner": "o"}
    given = {"source": "/m", "url": "/m", "command": ["true"]}
    names = {name: given[name] for name in schema["properties"] if name in given}
    fine = {"waivers": [{**waiver, "expires": "2027-01-31"}]}
    validated = flow.validate_parameters({**names, "policy": fine})
    assert validated["policy"].waivers[0].owner == "o"
    with pytest.raises(ParameterTypeError, match="expires"):
        flow.validate_parameters({**names, "policy": {"waivers": [waiver]}})
