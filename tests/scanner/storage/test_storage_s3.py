"""What S3 alone has, held by both engines, over moto and over the synthetic server."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mutagen.scanner import StorageError, scan, verify
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.builders import gguf
from tests.scanner.storing import ENGINES, choose_engine, wait
from tests.servers import S3Server
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

GGUF = gguf().data


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each engine in turn."""
    choose_engine(monkeypatch, request.param)
    return str(request.param)


@pytest.fixture
def synthetic() -> Iterator[SyntheticS3]:
    """A server whose content and faults the test decides."""
    with SyntheticS3() as server:
        yield server


def _wanted(name: str, _: int) -> bool:
    return name.endswith((".gguf", ".safetensors", ".json"))


def test_a_prefix_is_a_folder_and_not_the_start_of_a_name(s3_server: S3Server) -> None:
    bucket = s3_server.bucket({"m/a.gguf": b"1", "models/b.gguf": b"2", "m.gguf": b"3"})
    store = open_store(f"s3://{bucket}/m", s3_server.options)
    assert [item.url for item in store.list_objects(_wanted)] == [f"s3://{bucket}/m/a.gguf"]


@pytest.mark.parametrize("folder", ["a", "code", "status", "body", "404"])
def test_a_folder_may_be_called_like_a_word_of_a_message(
    synthetic: SyntheticS3, folder: str
) -> None:
    synthetic.content = Written({f"{folder}/m.gguf": GGUF})
    store = open_store(f"s3://bucket/{folder}", synthetic.options)
    assert [item.name for item in store.list_objects(_wanted)] == ["m.gguf"]


def test_an_empty_bucket_has_nothing_and_is_no_error(s3_server: S3Server) -> None:
    store = open_store(f"s3://{s3_server.bucket()}", s3_server.options)
    assert list(store.list_objects(_wanted)) == []


@pytest.fixture(scope="module")
def large_bucket(s3_server: S3Server) -> str:
    """A bucket whose listing has more than one page of a thousand; both engines read it."""
    return s3_server.bucket({f"{number:05}.gguf": b"" for number in range(1010)})


def test_a_listing_of_several_pages(s3_server: S3Server, large_bucket: str) -> None:
    store = open_store(f"s3://{large_bucket}", s3_server.options)
    assert len(list(store.list_objects(_wanted))) == 1010


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("archive", ["GLACIER", "DEEP_ARCHIVE"])
def test_the_read_decides_whether_an_object_is_archived(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, engine: str, archive: str
) -> None:
    choose_engine(monkeypatch, engine)
    bucket = s3_server.bucket()
    client = s3_server.client()
    for name in ("cold", "restored"):
        client.put_object(Bucket=bucket, Key=f"{name}.gguf", Body=GGUF, StorageClass=archive)
    client.restore_object(Bucket=bucket, Key="restored.gguf", RestoreRequest={"Days": 5})
    cold, restored = scan(f"s3://{bucket}", storage_options=s3_server.options)
    assert [finding.code for finding in cold.findings] == ["storage/archived"]
    assert "the object is archived and not restored" in cold.findings[0].message
    assert (cold.verdict.status, cold.requests) == ("unknown", 1)
    assert (restored.verdict.status, restored.findings) == ("passed", ())
    assert verify(restored.url, restored.pin, storage_options=s3_server.options).passed


@pytest.mark.parametrize("archive", ["GLACIER_IR", "INTELLIGENT_TIERING", "STANDARD_IA"])
def test_classes_that_can_be_read_are_read(s3_server: S3Server, archive: str) -> None:
    bucket = s3_server.bucket()
    client = s3_server.client()
    client.put_object(Bucket=bucket, Key="m.gguf", Body=GGUF, StorageClass=archive)
    (result,) = scan(f"s3://{bucket}", storage_options=s3_server.options)
    assert result.passed


@pytest.mark.parametrize("engine", ENGINES)
def test_an_archived_card_is_named(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    choose_engine(monkeypatch, engine)
    bucket = s3_server.bucket({"m.gguf": GGUF})
    client = s3_server.client()
    client.put_object(Bucket=bucket, Key="README.md", Body=b"-", StorageClass="GLACIER")
    (result,) = scan(f"s3://{bucket}", storage_options=s3_server.options)
    (finding,) = result.findings
    assert finding.code == "sbom/neighbour-unread"
    assert "archived" in finding.message


@pytest.mark.parametrize("wrong", ["key", "secret"])
def test_wrong_credentials_are_said_to_be_wrong(strict_s3_server: S3Server, wrong: str) -> None:
    options = strict_s3_server.options | {wrong: "AKIAWRONGWRONGWRONG"}
    with pytest.raises(StorageError) as caught:
        list(open_store("s3://any", options).list_objects(_wanted))
    assert caught.value.code == "storage/credentials"
    assert "AKIA" not in str(caught.value)


def test_a_closed_bucket_is_said_to_be_closed(strict_s3_server: S3Server) -> None:
    with pytest.raises(StorageError) as caught:
        list(open_store("s3://closed-1", strict_s3_server.options).list_objects(_wanted))
    assert caught.value.code == "storage/denied"


def test_right_credentials_are_let_in(strict_s3_server: S3Server) -> None:
    # The signature covers the key, in an encoding of its own.
    names = ["a.gguf", "tilde~.gguf", "odd name+größe*(1)'!,;=@$.gguf", "\U0001f600.gguf"]
    bucket = strict_s3_server.bucket(dict.fromkeys(names, b"x"))
    store = open_store(f"s3://{bucket}", strict_s3_server.options)
    found = list(store.list_objects(_wanted))
    assert len(found) == len(names)
    for item in found:
        assert wait(store, store.read(item, 0, 1)).data == b"x", item.url


@pytest.mark.parametrize("folder", ["a b", "til~de", "st*r", "größe", "a+b"])
def test_prefixes_are_signed_as_they_are_sent(strict_s3_server: S3Server, folder: str) -> None:
    bucket = strict_s3_server.bucket({f"{folder}/a.gguf": b"x"})
    store = open_store(f"s3://{bucket}/{folder}", strict_s3_server.options)
    assert [item.name for item in store.list_objects(_wanted)] == ["a.gguf"]


def test_a_missing_bucket_and_a_dead_endpoint(s3_server: S3Server) -> None:
    with pytest.raises(StorageError, match="no such bucket"):
        list(open_store("s3://no-such-bucket", s3_server.options).list_objects(_wanted))
    dead = s3_server.options | {"endpoint_url": "http://127.0.0.1:9"}
    with pytest.raises(StorageError) as caught:
        list(open_store("s3://any", dead).list_objects(_wanted))
    assert caught.value.code == "storage/unreachable"


def test_no_credentials_at_all(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_MUTAGEN_ENGINE")  # what is missing is found out by s3fs
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    options = {"endpoint_url": s3_server.url}
    with pytest.raises(StorageError) as caught:
        list(open_store("s3://any", options).list_objects(_wanted))
    assert caught.value.code == "storage/credentials"


ODD_KEYS = [
    *("a.gguf", "a//b.gguf", "./dot.gguf", "x/../up.gguf", "/lead.gguf", "//two.gguf", "trail/"),
    *("mark.gguf/", "mark.gguf/in.gguf", "line\nbreak.gguf", "del\x7f.gguf", "percent%41.gguf"),
    *("größe?#&<>+*~.gguf", "back\\slash.gguf", "\U0001f600.gguf", "0", "lead.gguf", "zz.gguf"),
]


@pytest.mark.parametrize("key", ["/lead.gguf", "mark.gguf/", "a//b.gguf", "all"])
def test_odd_keys_are_listed_and_read_as_they_are(synthetic: SyntheticS3, key: str) -> None:
    # A server can be asked for no key with a carriage return or a dot segment by any client.
    keys = ODD_KEYS if key == "all" else [key]
    content = Written({name: b"" if name.endswith("/") else name.encode() for name in keys})
    content.put("empty.gguf", b"")
    synthetic.content = content
    synthetic.page = 7
    store = open_store("s3://bucket", synthetic.options)
    found = list(store.list_objects(_wanted))
    expected = {f"s3://bucket/{name}" for name in (*keys, "empty.gguf") if _wanted(name, 0)}
    assert {item.url for item in found} == expected
    assert len(found) == len(expected)
    for item in found:
        name = item.url.removeprefix("s3://bucket/")
        if item.size and "/." not in f"/{name}":
            assert wait(store, store.read(item, 0, 99)).data == name.encode()


def test_keys_that_the_fast_engine_would_confuse_are_kept_apart(synthetic: SyntheticS3) -> None:
    synthetic.content = Written(
        {"/m/x.gguf": b"one", "m/x.gguf": b"two", "m/x.gguf/": b"", "m/y.gguf": b"three"}
    )
    store = open_store("s3://bucket", synthetic.options)
    found = {item.url: item for item in store.list_objects(_wanted)}
    assert list(found) == [f"s3://bucket/{key}" for key in ("/m/x.gguf", "m/x.gguf", "m/y.gguf")]
    assert wait(store, store.read(found["s3://bucket//m/x.gguf"], 0, 9)).data == b"one"
    assert wait(store, store.read(found["s3://bucket/m/x.gguf"], 0, 9)).data == b"two"


def test_a_version_is_read_when_the_pin_names_one(synthetic: SyntheticS3) -> None:
    synthetic.content = content = Written({"m.gguf": b"first"})
    content.put("m.gguf", b"second")
    store = open_store("s3://bucket", synthetic.options)
    item = StoredObject("s3://bucket/m.gguf", 5, "version:v1")
    reply = wait(store, store.read(item, 0, 5))
    assert (reply.data, reply.size, reply.pin) == (b"first", 5, "version:v1")
    gone = StoredObject("s3://bucket/m.gguf", 5, "version:v9")
    with pytest.raises(StorageError) as caught:
        wait(store, store.read(gone, 0, 5))
    assert caught.value.code == "storage/not-found"


@pytest.mark.parametrize(
    ("kind", "known"),
    [("FULL_OBJECT", True), ("COMPOSITE", False), ("", False)],
    ids=["whole", "parts", "unsaid"],
)
def test_s3s_own_checksum_of_a_whole_object_is_looked_up(
    synthetic: SyntheticS3, kind: str, *, known: bool
) -> None:
    synthetic.content = Written({"m.gguf": GGUF})
    digest = hashlib.sha256(GGUF)
    synthetic.checksums["m.gguf"] = (kind, base64.b64encode(digest.digest()).decode())
    for level in ("lookup", "stored"):
        (result,) = scan("s3://bucket", storage_options=synthetic.options, hash=level)
        found = (digest.hexdigest(), "stored checksum") if known and level == "lookup" else ("", "")
        assert (result.sbom.sha256, result.sha256_source) == found


KEY = b"0123456789abcdef0123456789abcdef"
SSE = "x-amz-server-side-encryption-customer-"


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"requester_pays": True}, {"x-amz-request-payer": "requester"}),
        ({"anon": True, "key": None, "secret": None}, {"authorization": ""}),
        ({"token": "session"}, {"x-amz-security-token": "session"}),
        (
            {
                "s3_additional_kwargs": {
                    "SSECustomerAlgorithm": "AES256",
                    "SSECustomerKey": KEY.decode(),
                }
            },
            {
                SSE + "algorithm": "AES256",
                SSE + "key": base64.b64encode(KEY).decode(),
                SSE + "key-md5": base64.b64encode(
                    hashlib.md5(KEY, usedforsecurity=False).digest()
                ).decode(),
            },
        ),
    ],
    ids=["requester-pays", "anonymous", "session-token", "customer-key"],
)
def test_options_reach_the_server(
    synthetic: SyntheticS3, options: dict[str, object], fields: dict[str, str], engine: str
) -> None:
    synthetic.content = Written({"m.gguf": GGUF})
    (result,) = scan("s3://bucket/m.gguf", storage_options=synthetic.options | options)
    assert result.passed
    reads = [head for head in synthetic.heads if head[":line"].startswith("GET /bucket/m.gguf")]
    assert reads
    for head in reads:
        assert {name: head.get(name, "") for name in fields} == fields
        assert ("object_store" in head["user-agent"]) == (engine == "obstore")


def test_a_profile_is_looked_up(
    synthetic: SyntheticS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[team]\naws_access_key_id = TEAMKEY\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    synthetic.content = Written({"m.gguf": GGUF})
    options = {"profile": "team", "endpoint_url": synthetic.url}
    (result,) = scan("s3://bucket", storage_options=options)
    assert result.passed
    assert all("Credential=TEAMKEY/" in head["authorization"] for head in synthetic.heads)
    monkeypatch.delenv("PREFECT_MUTAGEN_ENGINE")  # what is missing is found out by s3fs
    with pytest.raises(StorageError) as caught:
        list(scan("s3://bucket", storage_options=options | {"profile": "nobody"}))
    assert caught.value.code == "storage/credentials"


def test_a_proxy_is_used(synthetic: SyntheticS3) -> None:
    synthetic.content = Written({"m.gguf": GGUF})
    options = {
        "key": "k",
        "secret": "s",
        "endpoint_url": "http://storage.invalid",
        "config_kwargs": {"proxies": {"http": synthetic.url}},
    }
    (result,) = scan("s3://bucket", storage_options=options)
    assert result.passed
    assert all(head["host"] == "storage.invalid" for head in synthetic.heads)


def test_options_without_translation_are_left_to_s3fs(
    synthetic: SyntheticS3, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic.content = Written({"m.gguf": GGUF})
    options = synthetic.options | {"cache_regions": False}
    if engine == "obstore":
        with pytest.raises(StorageError, match="has no such options"):
            open_store("s3://bucket", options)
        monkeypatch.delenv("PREFECT_MUTAGEN_ENGINE")
    (result,) = scan("s3://bucket", storage_options=options)
    assert result.passed
    assert all("object_store" not in head["user-agent"] for head in synthetic.heads)
    options["config_kwargs"] = {"nonsense": str(tmp_path)}
    with pytest.raises(StorageError) as caught:
        list(scan("s3://bucket", storage_options=options))
    assert caught.value.code == "storage/unsupported"


def test_one_get_for_each_artifact_and_nothing_else(synthetic: SyntheticS3) -> None:
    synthetic.content = Written({f"f/{number}.gguf": GGUF for number in range(9)})
    results = list(scan("s3://bucket/f/", storage_options=synthetic.options))
    assert [result.requests for result in results] == [1] * 9
    assert synthetic.counts.requests == {"LIST": 1, "GET": 9}
    assert set(synthetic.counts.keys.values()) == {1}


def test_neighbours_are_read_once_for_a_folder(synthetic: SyntheticS3) -> None:
    models = {f"f/{number}.gguf": GGUF for number in range(20)}
    synthetic.content = Written(models | {"f/config.json": b"{}", "f/README.md": b"x"})
    synthetic.latency = 0.02
    results = list(scan("s3://bucket/f/", storage_options=synthetic.options))
    assert all(result.passed for result in results)
    assert synthetic.counts.keys["f/config.json"] == synthetic.counts.keys["f/README.md"] == 1


def test_an_unknown_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_MUTAGEN_ENGINE", "steam")
    with pytest.raises(StorageError, match="neither fsspec nor obstore"):
        open_store("s3://bucket")


def test_credentials_that_cannot_be_had(
    synthetic: SyntheticS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_MUTAGEN_ENGINE")  # what is missing is found out by s3fs
    file = tmp_path / "config"
    file.write_text("[profile broken]\ncredential_process = false\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    options = {"profile": "broken", "endpoint_url": synthetic.url}
    with pytest.raises(StorageError) as caught:
        list(scan("s3://bucket", storage_options=options))
    assert caught.value.code == "storage/credentials"


def test_a_certificate_bundle_is_read_only_where_there_is_encryption(
    synthetic: SyntheticS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    if engine == "fsspec":
        pytest.skip("botocore opens it in any case")
    synthetic.content = Written({"m.gguf": GGUF})
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    (result,) = scan("s3://bucket", storage_options=synthetic.options)
    assert result.passed
    with pytest.raises(StorageError, match="has no such options"):
        open_store("s3://bucket", {"key": "k", "secret": "s"})


def test_a_bucket_that_lies_elsewhere_is_left_to_s3fs(synthetic: SyntheticS3, engine: str) -> None:
    if engine == "fsspec":
        pytest.skip("botocore asks further where it lies")
    synthetic.content = Written({"m.gguf": GGUF})
    synthetic.faults[""].append("elsewhere")
    (result,) = scan("s3://bucket", storage_options=synthetic.options)
    assert result.passed
