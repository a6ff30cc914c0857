"""The form of the scanning flows: fields in the order of questions, and all that the API checks."""

import inspect
import json
from typing import Any

import httpx
import pytest
from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate

from prefect_mutagen.flows import ScanAdvanced, scan_models, scan_shards
from prefect_mutagen.scanner import Policy
from tests.servers import PrefectServer

FLOWS = [scan_models, scan_shards]
DESIGNED = (
    *("source", "policy", "table", "storage", "hash", "rescan", "gate", "agents"),
    *("max_task_runs", "concurrency"),
)


def _schema(flow: Flow[..., Any]) -> dict[str, Any]:
    """The schema, as deployments get it."""
    schema: dict[str, Any] = parameter_schema(flow).model_dump_for_openapi()
    return schema


def _in_order(flow: Flow[..., Any]) -> list[str]:
    properties = _schema(flow)["properties"]
    return sorted(properties, key=lambda name: properties[name]["position"])


def test_python_keeps_the_order_that_programs_rely_on() -> None:
    assert tuple(inspect.signature(scan_models.fn).parameters)[: len(DESIGNED)] == DESIGNED


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_what_a_person_asks_first_comes_first(flow: Flow[..., Any]) -> None:
    order = [name for name in _in_order(flow) if name != "more_sources"]
    assert order[:4] == ["source", "policy_block", "table", "agents"]
    assert order[-2:] == ["advanced", "policy"], "the boxes that are seldom opened come last"
    assert set(order) == set(inspect.signature(flow.fn).parameters) - {"more_sources"}
    assert flow.with_options(retries=1).parameters == flow.parameters


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_every_field_has_a_title_and_a_sentence(flow: Flow[..., Any]) -> None:
    schema = _schema(flow)
    models = [schema["definitions"][name] for name in ("ScanSelection", "ScanAdvanced", "Policy")]
    for fields in (schema, *models):
        for name, field in fields["properties"].items():
            reference = field.get("$ref", "").rpartition("/")[2]
            about = schema["definitions"].get(reference, {}) | field
            assert about["description"].strip(), name
            assert "_" not in about["title"], name
            assert about["title"] != name


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_fields_that_are_not_drawn_are_checked_all_the_same(flow: Flow[..., Any]) -> None:
    schema = _schema(flow)
    policy = schema["definitions"]["Policy"]
    checked = policy["then"]["properties"]
    assert checked.keys() == Policy().to_dict().keys()
    drawn = {name for name, schema in checked.items() if schema is True}
    assert drawn == policy["properties"].keys()
    assert len(drawn) <= 10
    required: dict[str, Any] = {"source": "/m", "table": "/t"}

    def wrong(policy: dict[str, Any]) -> str:
        given = json.loads(json.dumps(required | {"policy": policy}))
        problems = validate(given, schema, raise_on_error=False, preprocess=False)
        return "; ".join(problem.message for problem in problems)

    assert not wrong(Policy().to_dict())
    assert not wrong({"max_parameters": 5, "denied_licenses": ["mit"]})
    assert "is not of type 'integer'" in wrong({"max_parameters": "many"})
    assert "is not one of" in wrong({"remote_code": "perhaps"})
    assert "('max_parameter' was unexpected)" in wrong({"max_parameter": 5})


@pytest.mark.server
def test_the_api_has_the_same_form(prefect: PrefectServer) -> None:
    deployment: Any = RunnerDeployment.from_flow(scan_models, name="form")
    identity = deployment.apply()
    with prefect.connect() as http:
        found = http.get(f"/deployments/{identity}").json()["parameter_openapi_schema"]
        assert found["properties"]["source"]["title"] == "Models"
        assert found["properties"]["policy"]["position"] == len(found["properties"]) - 1
        answers = [
            _start(http, identity, parameters)
            for parameters in (
                {"source": "/m", "concurrency": 0},
                {"source": "/m", "advanced": {"keep_days": -1}},
                {"source": "/m", "policy": {"max_parameters": "many"}},
                {"source": "/m", "more_sources": ["https://a:b@host/m"]},
            )
        ]
    assert [answer.status_code for answer in answers] == [409] * 4
    assert "minimum" in answers[0].text
    assert "minimum" in answers[1].text
    assert "many" in answers[2].text


def _start(http: httpx.Client, deployment: Any, parameters: dict[str, Any]) -> httpx.Response:
    return http.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters})


def test_what_is_seldom_set_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        ScanAdvanced(max_agent_runs=-1)
    with pytest.raises(ValueError, match="'wait', 'skip' or 'scan'"):
        ScanAdvanced(if_busy="sometimes")  # type: ignore[arg-type]
    assert ScanAdvanced(keep_days=3).retention.keep_days == 3
