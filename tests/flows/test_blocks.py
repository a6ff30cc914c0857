"""Blocks on a real server: registered, named by parameters, changed between scans."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prefect import get_client
from prefect.blocks.core import Block
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from pydantic import ValidationError

import prefect_mutagen
from prefect_mutagen.flows import AgentLaunch, run_agent, scan_models
from prefect_mutagen.flows.blocks import ModelPolicy, ModelRoot, ModelTable
from prefect_mutagen.flows.named_blocks import named_policy, named_root, named_table
from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.policy.overrides import PolicyOverride
from prefect_mutagen.tasks.scan_selection import ScanSelection
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer, S3Server

TYPES: list[type[Block]] = [ModelPolicy, ModelRoot, ModelTable]
ROOT = Path(__file__).parent.parent.parent
GGUF = gguf().data
UNLICENSED = Policy(require_license=True)


@pytest.mark.parametrize("block", TYPES)
class TestBlocks(BlockStandardTestSuite):
    @pytest.fixture
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        given: type[Block] = request.param
        return given

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        name = str(block._logo_url).rpartition("/main/")[2]
        with Image.open(ROOT / name) as image:
            assert image.width == image.height == 256

    def test_the_documentation_is_there(self, block: type[Block]) -> None:
        page = ROOT / str(block._documentation_url).rpartition("/main/")[2]
        assert f"## {block.get_block_type_name()}" in page.read_text()


def test_the_face_names_the_types_before_prefect_is_imported() -> None:
    code = (
        "import sys, prefect_mutagen\n"
        "assert {'ModelPolicy', 'ModelRoot', 'ModelTable'} <= set(dir(prefect_mutagen))\n"
        "assert 'prefect' not in sys.modules\n"
        "from prefect_mutagen import ModelPolicy\n"
        "assert 'prefect' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert prefect_mutagen.ModelPolicy is ModelPolicy
    with pytest.raises(AttributeError, match="ModelPolcy"):
        prefect_mutagen.ModelPolcy  # noqa: B018 - it is asked for


@pytest.mark.server
def test_the_command_registers_the_types(prefect: PrefectServer) -> None:
    command = [sys.executable, "-m", "prefect", "block", "register", "-m", "prefect_mutagen"]
    environment = os.environ | prefect.client_environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with get_client(sync_client=True) as client:
        for block in TYPES:
            found = client.read_block_type_by_slug(block.get_block_type_slug())
            assert found.description
            assert found.code_example
            assert "registered" in done.stdout.lower()


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_a_policy_comes_back_as_it_was_saved() -> None:
    overrides = [PolicyOverride("s3://models/lab", Policy(denied_licenses=("mit",)))]
    saved = ModelPolicy(policy=UNLICENSED, overrides=overrides)
    saved.save("as-saved", overwrite=True)
    loaded = named_policy(Policy(), "as-saved")
    assert loaded == saved.to_policy() == named_policy(Policy(), "model-policy/as-saved")
    assert loaded.at("s3://models/lab/a.gguf").denied_licenses == ("mit",)
    with pytest.raises(ValueError, match="leave one of them empty"):
        named_policy(UNLICENSED, "as-saved")


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_scans_by_the_names_of_blocks(tmp_path: Path) -> None:
    root = put_local(tmp_path / "m", {"a.gguf": GGUF, "lab/b.gguf": GGUF, "old.gguf": GGUF})
    table = str(tmp_path / "table")
    ModelPolicy(policy=UNLICENSED).save("changing", overwrite=True)
    ModelRoot(address=root, select=ScanSelection(exclude=["old.gguf"])).save("m", overwrite=True)
    ModelTable(address=table).save("t", overwrite=True)
    started = tmp_path / "started"
    agent = AgentLaunch(command=["sh", "-c", f'echo "$MUTAGEN_URL" >> {started}'])

    def scan() -> Any:
        return scan_models(
            "model-root/m", table="model-table/t", policy_block="changing", agents=[agent]
        )

    first = scan()
    assert (first.source, first.artifacts, first.counts["failed"]) == (root, 2, 2)
    assert not started.exists()
    # The block changes, and what is below one prefix passes without being read again.
    override = PolicyOverride(f"{root}/lab", Policy())
    ModelPolicy(policy=UNLICENSED, overrides=[override]).save("changing", overwrite=True)
    second = scan()
    assert second.examined == 0
    assert second.passed == [f"{root}/lab/b.gguf"]
    assert started.read_text() == f"{root}/lab/b.gguf\n"
    assert [run.state for run in second.agents] == ["completed"]
    # It is verified under the same policy: elsewhere the command does not start.
    state: Any = run_agent(["true"], f"{root}/a.gguf", policy_block="changing", return_state=True)
    assert state.name == "Refused"


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"policy_block": "prodction"}, "of this type there are .*did you mean production"),
        ({"policy_block": "model-table/production"}, "does not exist: there is no model-table"),
        ({"table": "model-table/t2"}, "there is no model-table block yet; prefect block register"),
        ({"source": "model-root/prod"}, "'model-root/prod' does not exist"),
        ({"more_sources": ["model-root/prod"]}, "'model-root/prod' does not exist"),
        ({"source": "s3-bucket/none"}, "'s3-bucket/none' does not exist"),
    ],
)
def test_a_misspelt_name_ends_the_run_at_once(
    parameters: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    ModelPolicy().save("production", overwrite=True)
    with get_client(sync_client=True) as client:
        for found in client.read_block_documents():
            if found.block_type and found.block_type.slug in ("model-table", "model-root"):
                client.delete_block_document(found.id)
    root = put_local(tmp_path, {"a.gguf": GGUF})
    state: Any = scan_models(**{"source": root} | parameters, return_state=True)
    assert state.is_failed()
    with pytest.raises(ValueError, match=sentence) as caught:
        state.result()
    assert "\n" not in str(caught.value)


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_a_block_that_is_no_valid_policy_any_more() -> None:
    ModelPolicy().save("stale", overwrite=True)
    with get_client(sync_client=True) as client:
        found = client.read_block_document_by_name("stale", "model-policy")
        client.update_block_document(
            found.id,
            _update(found, {"policy": {"denied_licences": ["mit"]}, "overrides": []}),
        )
    with pytest.raises(ValueError, match=r"is invalid: .*no field 'denied_licences'") as caught:
        named_policy(Policy(), "stale")
    assert caught.value.__cause__ is None


def _update(found: Any, data: dict[str, Any]) -> Any:
    from prefect.client.schemas.actions import BlockDocumentUpdate

    return BlockDocumentUpdate(
        block_schema_id=found.block_schema_id, data=data, merge_existing_data=False
    )


def test_an_address_with_a_secret_is_refused() -> None:
    for kind in (ModelRoot, ModelTable):
        with pytest.raises(ValidationError, match=r"secret|credentials"):
            kind(address="https://user:hunter2@host/models")


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_blocks_of_others_are_roots_and_tables(s3_server: S3Server) -> None:
    aws = pytest.importorskip("prefect_aws")
    bucket = s3_server.bucket({"m/a.gguf": GGUF, "m/old/b.gguf": GGUF})
    settings: dict[str, Any] = {"client_kwargs": {"endpoint_url": s3_server.url}}
    settings |= {"key": s3_server.key, "secret": s3_server.secret}
    RemoteFileSystem(basepath=f"s3://{bucket}/m", settings=settings).save("r", overwrite=True)
    ModelTable(address=f"s3://{bucket}/table", storage="remote-file-system/r").save(
        "s3", overwrite=True
    )
    parameters = aws.AwsClientParameters(endpoint_url=s3_server.url)
    credentials = aws.AwsCredentials(
        aws_access_key_id=s3_server.key,
        aws_secret_access_key=s3_server.secret,
        region_name="us-east-1",
        aws_client_parameters=parameters,
    )
    credentials.save("test", overwrite=True)
    aws.S3Bucket(bucket_name=bucket, bucket_folder="m", credentials=credentials).save(
        "m", overwrite=True
    )
    ModelRoot(address=f"s3://{bucket}/m", storage="aws-credentials/test").save("s3", overwrite=True)
    for source in ("remote-file-system/r", "s3-bucket/m", "model-root/s3"):
        summary = scan_models(source, table="model-table/s3")
        assert (summary.source, summary.artifacts) == (f"s3://{bucket}/m", 2)
    assert summary.examined == 0, "they are one root in one table"


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_what_the_run_states_takes_the_place_of_the_block(tmp_path: Path) -> None:
    LocalFileSystem(basepath=str(tmp_path)).save("here", overwrite=True)
    own = ScanSelection(include=["*.gguf"])
    ModelRoot(address="/m", storage="aws-credentials/a", select=own).save("own", overwrite=True)
    given = ScanSelection(exclude=["b*"])
    root = named_root("model-root/own", "", ScanSelection())
    assert (root.address, root.storage, root.select) == ("/m", "aws-credentials/a", own)
    root = named_root("model-root/own", "aws-credentials/b", given)
    assert (root.storage, root.select) == ("aws-credentials/b", given)
    assert named_root("local-file-system/here", "", given).address == str(tmp_path)
    for path in ("./model-root/own", "model-root/own/below", "/model-root", "model-root/", ""):
        assert named_root(path, "", given).address == path
        assert named_table(path).address == path
