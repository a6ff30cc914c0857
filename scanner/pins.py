"""Pins: what names the exact bytes of one object, and what two of them say about each other.

A pin is as strong as its storage allows:

* ``version:ID``: a version that a store lists; its bytes never change.
* ``etag:TAG; SECONDS``: S3 and the like. The tag of a small object is an MD5, and two contents of
  one MD5 can be made, so the time of the upload belongs to it.
* ``etag:TAG``: web servers, and storage that states no time with it.
* ``stat:SIZE-MTIME-CTIME-INODE``: local files. The change time is the kernel's: who overwrites a
  file and sets its modification time back changes it. So do chmod, chown, link and rename.
* ``time:TIME; SIZE``: storage that states a date alone.
* ``size:SIZE``: storage that states neither. Other bytes of that size have the same pin, so it is
  never believed.

Version 0.1 wrote ``stat:`` without the change time, and ``etag:`` without the time of the upload.
"""

import os
from typing import Final, Literal

__all__ = [
    "TOUCHING",
    "WEAK",
    "WEAKNESS",
    "Relation",
    "etag_of",
    "etag_pin",
    "file_pin",
    "is_local_pin",
    "is_weak",
    "relation_of",
    "size_pin",
]

Relation = Literal["equal", "touched", "other"]
"""``touched``: of the same local file, and only its change time differs."""
TOUCHING: Final = "chmod, chown, link and rename change them"
"""What makes other change times, and another pin, of the same bytes."""
WEAK: Final = "weak-"
"""Prefix of an artifact's pin that is not believed."""
WEAKNESS: Final = (
    "the storage states neither a version nor a date of its files, so that a pin is no more than "
    "their sizes; serve them with ETag or Last-Modified"
)
"""Why a pin is not believed, and what to do."""
_STAT: Final = "stat:"
_ETAG: Final = "etag:"
_SIZE: Final = "size:"
_SEPARATOR: Final = "; "


def file_pin(status: os.stat_result) -> str:
    """Return the pin of a local file."""
    return f"{_STAT}{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def etag_pin(etag: str, modified: float | None) -> str:
    """Return the pin of an object in a bucket.

    Args:
        etag: Its entity tag without quotes.
        modified: When it was uploaded, in seconds since 1970. Listings state milliseconds where
            replies do not, so whole seconds count.
    """
    time = "" if modified is None else f"{_SEPARATOR}{int(modified)}"
    return f"{_ETAG}{etag}{time}"


def size_pin(size: int) -> str:
    """Return the pin of an object of which storage states the size alone."""
    return f"{_SIZE}{size}"


def etag_of(pin: str) -> str:
    """Return the entity tag in a bucket's pin, without quotes; empty if it has none."""
    if not pin.startswith(_ETAG):
        return ""
    return pin.removeprefix(_ETAG).partition(_SEPARATOR)[0]


def is_local_pin(pin: str) -> bool:
    """Whether a pin is one of a local file."""
    return pin.startswith(_STAT)


def is_weak(pin: str) -> bool:
    """Whether other bytes can have the same pin at any time."""
    return pin.startswith((_SIZE, WEAK))


def relation_of(before: str, after: str) -> Relation:
    """Compare two pins of one object, of any version of this package."""
    if before == after:
        return "equal"
    if before.startswith(_STAT) and after.startswith(_STAT):
        old, new = before.removeprefix(_STAT).split("-"), after.removeprefix(_STAT).split("-")
        if (old[0], old[1], old[-1]) != (new[0], new[1], new[-1]):
            return "other"
        return "touched" if len(old) == len(new) else "equal"
    if etag_of(before) and etag_of(before) == etag_of(after):
        timed = _SEPARATOR in before and _SEPARATOR in after
        return "other" if timed else "equal"
    return "other"
