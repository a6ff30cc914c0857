from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from pydantic import Secret, SecretStr

from prefect_mutagen.tasks.block_options import address_of, options_of
from prefect_mutagen.tasks.storage_blocks import storage_options


def test_without_a_block_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert storage_options("") == {}
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", '{"anon": true}')
    assert storage_options("") == {"anon": True}


def test_prefects_own_blocks() -> None:
    block = RemoteFileSystem(basepath="s3://models", settings={"key": "k", "secret": "s"})
    assert options_of(block) == {"key": "k", "secret": "s"}
    assert options_of(LocalFileSystem(basepath="/m")) == {}


def test_credentials_blocks_of_prefect_aws() -> None:
    aws = SimpleNamespace(
        aws_access_key_id="k",
        aws_secret_access_key=SecretStr("s"),
        aws_session_token=None,
        profile_name=None,
        region_name="eu-central-1",
        aws_client_parameters=SimpleNamespace(
            endpoint_url="http://127.0.0.1:9000", use_ssl=None, verify=True
        ),
    )
    expected = {
        "key": "k",
        "secret": "s",
        "client_kwargs": {
            "region_name": "eu-central-1",
            "endpoint_url": "http://127.0.0.1:9000",
            "verify": True,
        },
    }
    assert options_of(aws) == expected
    assert options_of(SimpleNamespace(credentials=aws, bucket_name="models")) == expected
    minio = SimpleNamespace(minio_root_user="u", minio_root_password=SecretStr("p"))
    assert options_of(minio) == {"key": "u", "secret": "p"}


def _google(**fields: Any) -> SimpleNamespace:
    given = {"service_account_info": None, "service_account_file": None, "project": None}
    return SimpleNamespace(**given | fields)


ACCOUNT = {"type": "service_account", "private_key": "k"}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (_google(), {}),
        (
            _google(service_account_info=Secret(ACCOUNT), project="p"),
            {"token": ACCOUNT, "project": "p"},
        ),
        (_google(service_account_file=Path("/key.json")), {"token": "/key.json"}),
    ],
    ids=["environment", "dictionary", "file"],
)
def test_credentials_blocks_of_prefect_gcp(block: Any, expected: dict[str, Any]) -> None:
    assert options_of(block) == expected
    bucket = SimpleNamespace(bucket="models", bucket_folder="/llama/", gcp_credentials=block)
    assert options_of(bucket) == expected
    assert address_of(bucket) == "gs://models/llama"


def _azure(**fields: Any) -> SimpleNamespace:
    names = ("connection_string", "account_url", "client_id", "tenant_id", "client_secret")
    return SimpleNamespace(**dict.fromkeys(names) | fields)


HOST = "https://acct.blob.core.windows.net"
KEYED = "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5PQ==;"
LOCAL = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=k;BlobEndpoint=http://127.0.0.1:1/a"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            _azure(connection_string=SecretStr(f"{KEYED}EndpointSuffix=core.windows.net")),
            {"account_name": "acct", "account_key": "a2V5PQ=="},
        ),
        (_azure(connection_string=SecretStr(LOCAL)), {"connection_string": LOCAL}),
        (_azure(account_url=HOST), {"account_name": "acct", "anon": False}),
        (
            _azure(account_url=HOST, client_id="c", tenant_id="t", client_secret=SecretStr("s")),
            {"account_name": "acct", "client_id": "c", "tenant_id": "t", "client_secret": "s"},
        ),
        (
            _azure(account_url="https://acct.blob.example.org"),
            {
                "account_name": "acct",
                "account_host": "acct.blob.example.org",
                "anon": False,
            },
        ),
    ],
    ids=["key", "endpoint", "environment", "principal", "other-cloud"],
)
def test_credentials_blocks_of_prefect_azure(block: Any, expected: dict[str, Any]) -> None:
    assert options_of(block) == expected
    container = SimpleNamespace(container_name="models", base_folder=None, credentials=block)
    assert options_of(container) == expected
    assert address_of(container) == "az://models"


@pytest.mark.parametrize(
    ("module", "name", "fields"),
    [
        ("prefect_gcp", "GcpCredentials", {"service_account_info", "service_account_file"}),
        ("prefect_gcp.cloud_storage", "GcsBucket", {"bucket", "bucket_folder", "gcp_credentials"}),
        (
            "prefect_azure",
            "AzureBlobStorageCredentials",
            {"connection_string", "account_url", "client_id", "tenant_id", "client_secret"},
        ),
        (
            "prefect_azure.blob_storage",
            "AzureBlobStorageContainer",
            {"container_name", "base_folder", "credentials"},
        ),
        ("prefect_aws", "S3Bucket", {"bucket_name", "bucket_folder", "credentials"}),
    ],
)
def test_blocks_have_the_fields_that_are_read(module: str, name: str, fields: set[str]) -> None:
    found = pytest.importorskip(module, reason=f"{module} is not installed")
    assert fields <= getattr(found, name).model_fields.keys()


def test_addresses_of_blocks() -> None:
    assert address_of(RemoteFileSystem(basepath="s3://models/a")) == "s3://models/a"
    assert address_of(LocalFileSystem(basepath="/m")) == "/m"
    assert address_of(SimpleNamespace(bucket_name="b", bucket_folder="")) == "s3://b"
    assert address_of(SimpleNamespace(value="x")) == ""


def test_other_blocks_hold_nothing() -> None:
    assert options_of(SimpleNamespace(value="x")) is None
