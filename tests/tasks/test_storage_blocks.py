from types import SimpleNamespace

import pytest
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from pydantic import SecretStr

from prefect_mutagen.tasks.block_options import options_of
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


def test_other_blocks_hold_nothing() -> None:
    assert options_of(SimpleNamespace(value="x")) is None
