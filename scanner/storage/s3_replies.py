"""What the error codes of S3 mean for a caller, whichever engine carried them.

The codes are those of Amazon's API reference, "Error responses". Servers that speak S3's language
use the same.
"""

from typing import Final

from prefect_mutagen.scanner.storage.errors import StorageError

__all__ = ["ARCHIVED", "reply_error"]

ARCHIVED: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read before they are restored."""

_CREDENTIALS: Final = ("storage/credentials", "the credentials are not accepted")
_DENIED: Final = ("storage/denied", "access denied")
_THROTTLED: Final = ("storage/throttled", "the storage asks to slow down")
_MISSING: Final = ("storage/not-found", "there is no such object")
_CHANGED: Final = ("storage/changed-during-scan", "the object was replaced meanwhile")
_LATE: Final = ("storage/timeout", "the storage did not answer in time")
_REPLIES: Final = {
    "NoSuchKey": _MISSING,
    "NoSuchVersion": _MISSING,
    "404": _MISSING,
    "NoSuchBucket": ("storage/not-found", "there is no such bucket"),
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "401": _CREDENTIALS,
    "RequestTimeTooSkewed": ("storage/credentials", "the clocks differ too much"),
    "InvalidObjectState": ("storage/archived", "the object is archived"),
    "PreconditionFailed": _CHANGED,
    "412": _CHANGED,
    "InvalidRange": _CHANGED,  # only ranges inside the listed size are asked for
    "416": _CHANGED,
    "SlowDown": _THROTTLED,
    "ServiceUnavailable": _THROTTLED,
    "Throttling": _THROTTLED,
    "TooManyRequests": _THROTTLED,
    "429": _THROTTLED,
    "503": _THROTTLED,
    "RequestTimeout": _LATE,
    "408": _LATE,
    "504": _LATE,
}


def reply_error(name: str, status: int, url: str) -> StorageError:
    """Say what a refusal means.

    Args:
        name: S3's code for it; empty when the reply has none, as that to a HEAD.
        status: HTTP status.
        url: What was asked for.
    """
    known = _REPLIES.get(name) or _REPLIES.get(str(status))
    if known is not None:
        return StorageError(known[0], url, known[1])
    # The name is the server's word: only a plain one is repeated.
    said = name if name.isascii() and name.isalnum() and len(name) < 64 else str(status)
    reason = f"the storage answered {said}"
    return StorageError("storage/failed", url, reason, transient=status >= 500)
