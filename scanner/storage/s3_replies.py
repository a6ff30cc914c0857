"""Map S3's error codes to storage errors, for both engines.

The codes are those of Amazon's API reference, "Error responses". S3-compatible servers use the
same.
"""

from typing import Final

from prefect_mutagen.scanner.storage.errors import StorageError

__all__ = ["reply_error"]

_CREDENTIALS: Final = ("storage/credentials", "the credentials are not accepted")
_DENIED: Final = ("storage/denied", "access denied")
_THROTTLED: Final = ("storage/throttled", "the storage throttles requests")
_MISSING: Final = ("storage/not-found", "there is no such object")
_CHANGED: Final = ("storage/changed-during-scan", "the object was replaced during the scan")
_LATE: Final = ("storage/timeout", "the storage did not respond in time")
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
    "RequestTimeTooSkewed": ("storage/credentials", "the clock of this machine is wrong"),
    "InvalidObjectState": ("storage/archived", "the object is archived and not restored"),
    "PreconditionFailed": _CHANGED,
    "412": _CHANGED,
    "InvalidRange": _CHANGED,  # only ranges within the listed size are requested
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
    """Return the storage error for an error response.

    Args:
        name: S3's error code; empty if the response has none, as for a HEAD.
        status: HTTP status.
        url: The requested address.
    """
    known = _REPLIES.get(name) or _REPLIES.get(str(status))
    if known is not None:
        return StorageError(known[0], url, known[1])
    # The code comes from the server: quote only a plain one.
    said = name if name.isascii() and name.isalnum() and len(name) < 64 else str(status)
    reason = f"the storage responded {said}"
    return StorageError("storage/failed", url, reason, transient=status >= 500)
