"""What storages send about objects becomes addresses, whatever it is wrapped in."""

import json
from typing import Any

import pytest

from prefect_mutagen.flows.notifications import Notice, by_root, notices_in

AWS: dict[str, Any] = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "awsRegion": "us-east-1",
    "eventTime": "2026-11-27T04:00:00.000Z",
    "eventName": "ObjectCreated:Put",
    "s3": {
        "s3SchemaVersion": "1.0",
        "bucket": {"name": "models", "arn": "arn:aws:s3:::models"},
        "object": {
            "key": "llama/my+model%C3%BC%2B1.gguf",
            "size": 1024,
            "eTag": "d41d8cd98f00b204e9800998ecf8427e",
            "sequencer": "0055AED6DCD90281E5",
        },
    },
}
MINIO: dict[str, Any] = {
    "EventName": "s3:ObjectCreated:CompleteMultipartUpload",
    "Key": "models/llama/m.gguf",
    "Records": [
        {
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "eventTime": "2026-11-27T04:00:00.000Z",
            "eventName": "s3:ObjectCreated:CompleteMultipartUpload",
            "s3": {
                "bucket": {"name": "models", "arn": "arn:aws:s3:::models"},
                "object": {"key": "llama%2Fm.gguf", "eTag": "x-1", "sequencer": "17A"},
            },
        }
    ],
}
BRIDGE: dict[str, Any] = {
    "detail-type": "Object Created",
    "source": "aws.s3",
    "time": "2026-11-27T04:00:00Z",
    "detail": {
        "bucket": {"name": "models"},
        "object": {"key": "a b+c.gguf", "etag": "1", "sequencer": "2"},
    },
}
URL = "s3://models/llama/my modelü+1.gguf"


def _record(**changes: Any) -> str:
    return json.dumps({"Records": [AWS | changes]})


def _urls(message: str | bytes) -> list[str]:
    return [notice.url for notice in notices_in(message)]


PLAIN = _record()
WRAPPED = {
    "as it is": PLAIN,
    "in SNS": json.dumps({"Type": "Notification", "Message": PLAIN}),
    "in SQS": json.dumps({"Messages": [{"MessageId": "1", "Body": PLAIN}]}),
    "in SNS in SQS": json.dumps({"Messages": [{"Body": json.dumps({"Message": PLAIN})}]}),
    "in SQS by Lambda": json.dumps({"Records": [{"eventSource": "aws:sqs", "body": PLAIN}]}),
    "twice": json.dumps([json.loads(PLAIN), json.loads(PLAIN)]),
}


@pytest.mark.parametrize("message", WRAPPED.values(), ids=WRAPPED)
def test_a_notification_however_it_is_wrapped(message: str) -> None:
    (notice,) = notices_in(message)
    assert notice.url == URL
    assert "0055AED6DCD90281E5" in notice.identity


def test_minio_and_event_bridge() -> None:
    assert _urls(json.dumps(MINIO)) == ["s3://models/llama/m.gguf"]
    assert _urls(json.dumps(BRIDGE)) == ["s3://models/a b+c.gguf"], "keys there are not encoded"
    assert _urls(json.dumps(BRIDGE | {"detail-type": "Object Deleted"}))
    assert not _urls(json.dumps(BRIDGE | {"source": "aws.other"}))


@pytest.mark.parametrize(
    ("event", "taken"),
    [
        ("ObjectCreated:CompleteMultipartUpload", True),
        ("ObjectRemoved:Delete", True),
        ("ObjectRemoved:DeleteMarkerCreated", True),
        ("ObjectRestore:Completed", True),
        ("ObjectRestore:Post", False),
        ("ObjectTagging:Put", False),
        ("s3:ObjectAccessed:Get", False),
    ],
)
def test_what_changes_bytes_counts(event: str, *, taken: bool) -> None:
    assert bool(_urls(_record(eventName=event))) is taken


@pytest.mark.parametrize(
    "content",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "models"},
        {},
        [],
        7,
        None,
        {"Records": 3},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": 1}]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": 3}}}]},
        {"Records": [AWS | {"s3": {"bucket": {"name": "b"}, "object": {"key": "folder/"}}}]},
        {"Records": [AWS | {"s3": {"bucket": {"name": "b"}, "object": {"key": "x" * 4000}}}]},
        {"Body": "no JSON", "Message": "[" * 100_000},
    ],
)
def test_what_names_no_object_is_left_out(content: Any) -> None:
    assert notices_in(json.dumps(content)) == []


@pytest.mark.parametrize("message", ["", "{", "[" * 100_000, b"\xff"])
def test_what_is_no_json_is_refused(message: str | bytes) -> None:
    with pytest.raises(ValueError, match="no JSON"):
        notices_in(message)


def test_messages_are_bounded() -> None:
    nested = PLAIN
    for _ in range(20):
        nested = json.dumps({"Message": nested})
    assert notices_in(nested) == []
    many = [AWS | {"eventTime": str(number)} for number in range(11_000)]
    assert len(notices_in(json.dumps({"Records": many}))) == 10_000


def test_the_nearest_root_counts() -> None:
    urls = ["s3://b/x.gguf", "s3://b/team/y.gguf", "s3://b/team-2/z.gguf", "s3://c/w.gguf"]
    found = by_root([Notice(url, "") for url in urls], ["s3://b", "s3://b/team/"])
    assert {root: [notice.url for notice in some] for root, some in found.items()} == {
        "s3://b": ["s3://b/x.gguf", "s3://b/team-2/z.gguf"],
        "s3://b/team": ["s3://b/team/y.gguf"],
    }
