"""A secret in an address comes out nowhere: no message, no result, no table, no database."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_mutagen.flows import AgentLaunch, run_agent, scan_models
from prefect_mutagen.flows.scan import AgentsNotStarted
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.secret_parts import (
    WITHOUT_SECRETS,
    holds_secrets,
    refuse_secrets,
    without_secrets,
    without_secrets_in,
)
from prefect_mutagen.tasks import list_artifacts, scan_batch, write_table
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer, S3Server

SECRET = "hunter2hunter2"  # noqa: S105 - nobody's
KEY = "AKIAIOSFODNN7EXAMPLE"
HOST = "127.0.0.1:9"
FORMS = (
    # in the query of a storage whose addresses have none
    f"s3://b/a?sig={SECRET}",
    f"s3://b/a?SIG={SECRET}",
    f"s3://b/a?X-Amz-Signature={SECRET}",
    f"s3://b/a?X-Amz-Security-Token={SECRET}",
    f"s3://b/a?AWSAccessKeyId={SECRET}",
    f"s3://b/a?versionId=1&token={SECRET}",
    f"gs://b/a?X-Goog-Signature={SECRET}",
    f"gs://b/a?GoogleAccessId=x&Signature={SECRET}",
    f"az://c/a?sv=2024-01-01&se=x&sig={SECRET}",
    f"az://c/a?SharedAccessSignature={SECRET}",
    f"abfs://c@acct/b?sig={SECRET}",
    f"hf://owner/name/m?token={SECRET}",
    f"oss://b/a?OSSAccessKeyId={SECRET}",
    f"file:///a?token={SECRET}",
    f"s3://b/a?key={SECRET}",
    # as a parameter of a path or a fragment
    f"s3://b/a;token={SECRET}",
    f"https://{HOST}/a;token={SECRET}",
    f"https://{HOST}/a#token={SECRET}",
    f"https://{HOST}/a#access_token={SECRET}",
    f"s3://b/a#token={SECRET}",
    # encoded, once or more
    f"https://{HOST}/a%3Fsig%3D{SECRET}",
    f"https://{HOST}/a%253Fsig%253D{SECRET}",
    f"https://{HOST}/a%25253Fsig%25253D{SECRET}",
    f"s3://b/a%3fsig%3d{SECRET}",
    f"s3://b/a?%73ig={SECRET}",
    f"s3%3A%2F%2F{KEY}%3A{SECRET}%40b",
    f"https://u%3A{SECRET}%40{HOST}/a",
    # as a user, where the storage knows users and where it does not
    f"s3://{KEY}:{SECRET}@b",
    f"s3://{KEY}:{SECRET}@b/t",
    f"s3://{KEY}:wJal/{SECRET}/x@b/k",
    f"s3://{KEY}/{SECRET}@b",
    f"s3://{KEY}/{SECRET}@b/k",
    f"s3a://{KEY}:{SECRET}@b/k",
    f"gs://u:{SECRET}@b/k",
    f"abfss://c:{SECRET}@acct/x",
    f"hf://u:{SECRET}@owner/name",
    f"https:/u:{SECRET}@{HOST}",
    f"https:/u:{SECRET}@{HOST}/a",
    f"//u:{SECRET}@{HOST}",
    f"//u:{SECRET}@{HOST}/a",
    f"ftp://u:{SECRET}@{HOST}/a",
    f"sftp://u:{SECRET}@{HOST}/a",
    f"webhdfs://u:{SECRET}@{HOST}/a",
    # in a link of a chain
    f"zip://x.gguf::http://u:{SECRET}@{HOST}/a.zip",
    f"zip://x.gguf::https://{HOST}/a.zip?sig={SECRET}",
    f"simplecache::s3://{KEY}:{SECRET}@b/a",
    f"filecache::zip://x::ftp://u:{SECRET}@{HOST}/a",
    f"reference::https://{HOST}/a?sig={SECRET}",
    # in a web address, where it may be used, and is not shown
    f"http://u:{SECRET}@{HOST}/a",
    f"http://{SECRET}@{HOST}/a",
    f"http://:{SECRET}@{HOST}/a",
    f"http://u:p@ss{SECRET}@{HOST}/a",
    f"HTTP://u:{SECRET}@{HOST}/a",
    f" http://u:{SECRET}@{HOST}/a",
    f"http://u:{SECRET}@[::1]:9/a",
    f"http://{HOST}/a?sig={SECRET}",
    f"http://{HOST}/a?{SECRET}",
    f"http://{HOST}/a?x={SECRET}",
    f"http://{HOST}/a?download=true&sig={SECRET}",
    f"http://{HOST}/a?download=true;sig={SECRET}",
    f"http://{HOST}/a?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}",
    f"http://{HOST}?sig={SECRET}",
    f"http://{HOST}/a?api_key={SECRET}",
)
HONEST = (
    *("models", "./a@b:c", "a:b", "~/x", "/models/a", "/models/a?token=b.gguf"),
    *("s3://bucket", "s3://Bucket/key", "s3://bucket/a@b/c", "s3://bucket/a:b@c"),
    *("s3://bucket/a?x=1", "s3://bucket/a?versionId=abc.DEF_1", "s3://bucket/a%20b"),
    "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/x/a@b",
    *("hf://owner/name@main/x.gguf", "hf://owner/name@refs%2Fpr%2F1/x", "hf://gpt2@main/x"),
    "https://hub.example/o/n/resolve/main/a.gguf?download=true",
    "https://hub.example/o/n/resolve/main/a.gguf",
    *("https://h:8080/a@b/c", "https://h:8080", "http://[::1]:8000/a@b"),
    *("abfss://c@acct.dfs.core.example/x/y@z", "az://c/a@b", "gs://b/a#1", "gs://b/a b"),
    *("zip://a@b.gguf::s3://b/a.zip", "zip://x::https://h/a.zip", "memory://a/b", "file:///a/b"),
    "https://h/a?revision=main&download=true",
)


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_wherever_it_stands(form: str) -> None:
    assert holds_secrets(form)
    with pytest.raises(ValueError, match="put the credentials into a storage block") as refused:
        refuse_secrets(form)
    for text in (str(refused.value), without_secrets(form), without_secrets_in(f"at {form}: no.")):
        assert SECRET not in text
    assert not re.search(WITHOUT_SECRETS, form)  # as JSON Schema applies it
    try:
        address = Address.parse(form)
    except StorageError as problem:
        assert SECRET not in str(problem) + repr(problem)  # noqa: PT017 - both outcomes are fine
    else:
        assert SECRET not in address.text + repr(address) + str(address)


@pytest.mark.parametrize("address", HONEST)
def test_an_address_without_secrets_is_itself(address: str) -> None:
    assert without_secrets(address) == address
    assert without_secrets_in(f"{address}: no such object") == f"{address}: no such object"
    refuse_secrets(address)
    Address.parse(address)
    assert re.search(WITHOUT_SECRETS, address)


@pytest.mark.parametrize(
    "text",
    [
        "s3://b/" + "::s3://b" * 1000,
        "://" * 2700,
        "s3://b/" + ";sig" * 2000,
        "s3://b/" + "x" * 10**6,
    ],
    ids=["chain", "schemes", "parameters", "long"],
)
def test_looking_for_secrets_ends(text: str) -> None:
    begun = time.process_time()
    without_secrets(text)
    assert time.process_time() - begun < 20


def _commands(form: str, folder: Path) -> Iterator[list[str]]:
    yield [form]
    formats = ("json", "report", "jsonl", "table", "sarif")
    yield ["scan", form, "--format", formats[FORMS.index(form) % len(formats)]]
    yield ["scan", str(folder / "m"), "--table", form]
    yield ["scan", form, "--table", str(folder / "table")]
    yield ["scan", str(folder / "m"), "--inventory", form]
    yield ["scan", str(folder / "m"), form]
    yield ["scan", str(folder / "m"), "--format", form]
    yield ["verify", form]
    yield ["verify", str(folder / "m"), form]
    yield ["verify", str(folder / "m"), "--policy", form]
    yield ["exec", form, "--", "true"]
    yield ["query", "FROM artifacts", "--table", form]
    yield ["query", f"FROM read_parquet('{form}')", "--table", str(folder / "table")]
    yield ["deployments", str(folder / "d"), "--source", form]
    yield ["deployments", str(folder / "d"), "--table", form]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_no_command_repeats_a_secret(
    form: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    put_local(tmp_path / "m", {"a.gguf": gguf().data})
    assert main(["scan", str(tmp_path / "m"), "--table", str(tmp_path / "table")]) == 0
    for words in _commands(form, tmp_path):
        try:
            assert main(words) != 0, words
        except StorageError:  # "scan" of one of two roots
            pytest.fail(f"a traceback: {words}")
        out, err = capfd.readouterr()
        assert SECRET not in out + err + caplog.text, words
        assert "Traceback" not in err
    for path in tmp_path.rglob("*"):
        assert SECRET not in str(path)
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


@pytest.mark.parametrize("command", ["scan", "verify"])
def test_a_process_repeats_no_secret(command: str) -> None:
    forms = [FORMS[0], f"s3://{KEY}:{SECRET}@b/t", f"http://u:{SECRET}@{HOST}/a"]
    for form in forms[: 3 if command == "scan" else 2]:
        done = subprocess.run(
            [sys.executable, "-m", "prefect_mutagen.scanner.commands.cli", command, form],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["key", "secret", "token"])
@pytest.mark.parametrize("command", ["scan", "verify", "query", "table"])
@pytest.mark.parametrize("end", ["\n", "\r", "\0"])
def test_credentials_with_a_line_end_are_one_sentence(
    option: str, command: str, end: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put_local(tmp_path / "m", {"a.gguf": gguf().data})
    options = {"key": "k", "secret": "s", "endpoint_url": f"http://{HOST}"}
    options[option] = SECRET + end
    words = {
        "scan": ["scan", "s3://b/x"],
        "verify": ["verify", "s3://b/x"],
        "query": ["query", "FROM scans", "--table", "s3://b/t"],
        "table": ["scan", "s3://b/x", "--table", "s3://b/t"],
    }[command]
    assert main([*words, "--storage-options", json.dumps(options)]) == 2
    err = capfd.readouterr().err
    assert SECRET not in err
    assert len(err.splitlines()) == 1
    assert f"{option} contains a line break" in err or command == "query"


def test_a_variable_with_a_line_end_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"{SECRET}\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert main(["scan", "s3://b/x"]) == 2
    err = capfd.readouterr().err
    assert SECRET not in err
    assert err.startswith("prefect-mutagen: s3://b/x: AWS_ACCESS_KEY_ID contains a line break")


def _schema(flow: Any) -> dict[str, Any]:
    schema: dict[str, Any] = flow.parameters.model_dump()
    return schema


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_of_the_flows_refuse_a_secret(form: str) -> None:
    for flow, name in ((scan_models, "source"), (scan_models, "table"), (run_agent, "url")):
        (errors,) = _errors(flow, {name: form})
        assert errors.validator == "const"
    (inside,) = _errors(scan_models, {"select": {"inventory": form}})
    assert inside.validator == "const"


def test_the_forms_of_the_flows_accept_honest_addresses() -> None:
    for address in HONEST:
        assert not list(_errors(scan_models, {"source": address, "table": address}))
        assert not list(_errors(run_agent, {"url": address}))
    assert not list(_errors(scan_models, {"storage": "aws-credentials/models"}))
    assert list(_errors(scan_models, {"storage": json.dumps({"key": "k", "secret": SECRET})}))


def _errors(flow: Any, values: dict[str, Any]) -> Iterator[Any]:
    schema = {**_schema(flow), "required": []}
    yield from jsonschema.Draft202012Validator(schema).iter_errors(values)


@pytest.mark.parametrize("form", [FORMS[0], *FORMS[-4:], f"http://u:{SECRET}@{HOST}/a"])
def test_single_tasks_refuse_a_secret(form: str) -> None:
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: list_artifacts.fn(form),
        lambda: scan_batch.fn([], form),
        lambda: write_table.fn(form, [], "/m"),
        lambda: write_table.fn("/t", [], form),
    )
    for attempt in attempts:
        with pytest.raises((ValueError, StorageError)) as refused:
            attempt()
        assert SECRET not in str(refused.value)


@pytest.fixture
def prefect(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    with temporary_settings({PREFECT_API_URL: prefect_server.api}):
        yield prefect_server


def _stored(server: PrefectServer) -> bytes:
    APILogWorker.instance().drain_all(timeout=20)
    found = [path.read_bytes() for path in Path(server.home).glob("prefect.db*")]
    assert found
    return b"".join(found)


@pytest.mark.server
def test_prefect_never_stores_a_secret(
    prefect: PrefectServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = put_local(tmp_path / "m", {"a.gguf": gguf().data})
    _deploy_and_attack(prefect)
    flow: Any = scan_models
    agent: Any = run_agent
    for form in FORMS[::4]:
        calls: tuple[tuple[Any, dict[str, Any]], ...] = (
            (flow, {"source": form}),
            (flow, {"source": model, "table": form}),
            (flow, {"source": model, "select": {"inventory": form}}),
            (flow.with_options(name="other"), {"source": form}),
            (agent, {"command": ["true"], "url": form}),
            (flow, {"source": model, "storage": form}),
        )
        for call, parameters in calls:
            with pytest.raises(ValueError, match="clear text") as refused:
                call(**parameters)
            assert SECRET not in str(refused.value)
    assert SECRET not in caplog.text
    scan_models(model)
    stored = _stored(prefect)
    assert model.encode() in stored  # it is the database of these runs
    assert SECRET.encode() not in stored


def _deploy_and_attack(server: PrefectServer) -> None:
    """Register the flows as deployments, and ask the API for runs with secrets."""
    with server.connect() as client:
        for flow, name in ((scan_models, "source"), (run_agent, "url")):
            created = client.post("/flows/", json={"name": flow.name}).json()
            body = {
                "name": "attacked",
                "flow_id": created["id"],
                "parameter_openapi_schema": _schema(flow),
                "enforce_parameter_schema": True,
            }
            deployment = client.post("/deployments/", json=body).json()["id"]
            path = f"/deployments/{deployment}/create_flow_run"
            rest = {"command": ["true"]} if flow is run_agent else {}
            for form in FORMS:
                reply = client.post(path, json={"parameters": {name: form, **rest}})
                assert reply.status_code in {409, 422}, (form, reply.text)
            for address in HONEST[:6]:
                reply = client.post(path, json={"parameters": {name: address, **rest}})
                assert reply.status_code == 201, reply.text


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_a_key_that_looks_like_a_secret_starts_nothing_and_stops_nothing(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", json.dumps(s3_server.options))
    bucket = s3_server.bucket({"m/a?sig=1.gguf": gguf().data, "n/b.gguf": gguf().data})
    agent = AgentLaunch(command=["touch", str(tmp_path / "ran")])
    with pytest.raises(AgentsNotStarted, match="looks like one with a secret") as problem:
        scan_models(f"s3://{bucket}/", agents=[agent])
    assert problem.value.summary is not None
    states = sorted(run.state for run in problem.value.summary.agents)
    assert states == ["completed", "refused"]
    assert (tmp_path / "ran").exists()
