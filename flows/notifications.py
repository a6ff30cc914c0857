"""Read what storages send when an object is written or deleted: addresses for scans of keys.

Understood are the notifications of Amazon S3 and of MinIO, as they are (a webhook), in messages of
SQS, in messages of SNS in those, as Lambda and EventBridge pass them on. All but EventBridge have
keys URL-encoded; addresses are decoded.

Source: the user guide of Amazon S3, "Event message structure" and "Using EventBridge"; MinIO's
documentation of bucket notifications.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

__all__ = ["Notice", "by_root", "notices_in"]

_DEPTH: Final = 4
"""Messages inside of messages: a notification in SNS in SQS, passed on by Lambda."""
_MOST: Final = 10_000
"""Notices of one message that are taken; S3 sends one, MinIO one, SQS ten at a time."""
_WANTED: Final = ("objectcreated", "objectremoved", "objectrestore:completed", "object created")
_ALSO: Final = ("object deleted", "object restore completed")
_LONGEST_KEY: Final = 3 * 1024
"""Characters of an encoded key; S3's have 1,024 bytes."""


class Notice(NamedTuple):
    """An object that was written or deleted."""

    url: str
    """Its address."""
    identity: str
    """What tells two events of one object apart: sequencer, version or ETag, and time."""


def notices_in(message: str | bytes) -> list[Notice]:
    """Return the objects that a message is about.

    Args:
        message: JSON, as a storage or a queue sends it.

    Returns:
        What was written or deleted. Empty for other events, such as the test message of S3, and for
        folders.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        content = json.loads(message)
    except (ValueError, RecursionError):
        raise ValueError("the message is no JSON") from None
    found: dict[Notice, None] = {}
    for notice in _notices(content, _DEPTH):
        found[notice] = None
        if len(found) == _MOST:
            break
    return list(found)


def _notices(content: Any, depth: int) -> Iterator[Notice]:
    if isinstance(content, list):
        for one in content:
            yield from _notices(one, depth)
    elif isinstance(content, Mapping):
        if isinstance(content.get("detail"), Mapping):
            yield from _of_event_bridge(content, content["detail"])
        elif isinstance(content.get("s3"), Mapping):
            yield from _of_record(content, content["s3"])
        if depth:
            for inner in _inside(content):
                yield from _notices(inner, depth - 1)


def _inside(content: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the messages in a message."""
    yield from (content[name] for name in ("Records", "Messages") if name in content)
    for name in ("Body", "body", "Message"):
        inner = content.get(name)
        if isinstance(inner, str):
            with suppress(ValueError, RecursionError):  # a text for people
                yield json.loads(inner)


def _of_record(record: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[Notice]:
    """Yield what a record of S3 or MinIO is about."""
    item = _part(about, "object")
    name = str(record.get("eventName", "")).lower().removeprefix("s3:")
    if name.startswith(_WANTED):
        yield from _notice(about, unquote_plus(str(item.get("key", ""))), item, record, "eventTime")


def _of_event_bridge(event: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[Notice]:
    """Yield what an event of EventBridge is about, whose keys are as they are."""
    item = _part(about, "object")
    name = str(event.get("detail-type", "")).lower()
    if event.get("source") == "aws.s3" and name.startswith(_WANTED + _ALSO):
        yield from _notice(about, str(item.get("key", "")), item, event, "time")


def _notice(
    about: Mapping[str, Any],
    key: str,
    item: Mapping[str, Any],
    event: Mapping[str, Any],
    time: str,
) -> Iterator[Notice]:
    bucket = _part(about, "bucket").get("name")
    if not isinstance(bucket, str) or not bucket or len(key) > _LONGEST_KEY:
        return
    if key.strip() and not key.endswith("/"):
        parts = [item.get(name) for name in ("sequencer", "versionId", "eTag", "etag")]
        identity = "|".join(str(part) for part in (*parts, event.get(time)) if part)
        yield Notice(f"s3://{bucket}/{key}", identity)


def _part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    return part if isinstance(part, Mapping) else {}


def by_root(notices: Iterable[Notice], roots: Iterable[str]) -> dict[str, list[Notice]]:
    """Sort notices by the root that is scanned for them.

    Args:
        notices: What was written or deleted.
        roots: The roots, as ``s3://bucket/prefix``; of nested ones, the nearest one counts.

    Returns:
        The notices of each root that has some; what lies outside of all roots is left out.
    """
    nearest = sorted({root.rstrip("/") for root in roots}, key=len, reverse=True)
    found: dict[str, list[Notice]] = {}
    for notice in notices:
        for root in nearest:
            if notice.url.startswith(f"{root}/"):
                found.setdefault(root, []).append(notice)
                break
    return found
