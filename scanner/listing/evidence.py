"""Evidence that files beside a model give by their names: unfinished downloads, checksum files.

The names are those that tools give: aria2 and axel (control files, present exactly while a download
is in progress), browsers, download managers, rclone, rsync, the AWS command line, gsutil,
huggingface_hub (``.incomplete``), iCloud (placeholders), and ``split``. A mark is about the file in
whose name it ends; a mark without that file stands for a model that is not there.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "Mark",
    "check_unfinished",
    "checksum_target",
    "is_checksums",
    "missing_model",
    "unfinished_mark",
]

_Kind = Literal["control", "partial", "piece", "link", "placeholder"]

_MODEL: Final = r"(?P<target>[^/]+\.(?:gguf|safetensors))"
_PARTIAL: Final = (
    r"part|partial|crdownload|opdownload|download|downloading|fdmdownload|xltd|td|incomplete"
    r"|unfinished|filepart|tmp|temp|!qb|!ut|bc!|!sync|_copying_"
)
_MARKS: Final = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for kind, pattern in (
        ("control", rf"{_MODEL}\.(?:aria2(?:__temp)?|dl-meta|st|lftp-p?get-status)"),
        ("partial", rf"(?:\.syncthing\.|~syncthing~){_MODEL}\.tmp"),
        ("placeholder", rf"\.{_MODEL}\.icloud"),
        ("link", rf"{_MODEL}\.rclonelink"),
        (
            "partial",
            rf"{_MODEL}(?:[._-][\w-]+)?\.(?:{_PARTIAL})",
        ),
        ("partial", rf"{_MODEL}(?:\.[0-9a-f]{{8}}|_\.gstmp)"),
        ("partial", rf"\.{_MODEL}\.(?!sha256)\w{{6}}"),
        ("piece", rf"{_MODEL}(?:\.part-?\d+(?:of\d+)?|[.-](?:split|part)-?[a-z]{{1,3}}|\.\d{{3}})"),
    )
)
# The hub's client names a download by its ETag, which is a SHA-256 for large files only.
_HUB: Final = re.compile(r"(?:[\w=-]+\.)?[0-9a-f]{64}(?:\.[0-9a-f]{8})?\.incomplete")
_REASONS: Final[dict[_Kind, str]] = {
    "control": "the download of {} is not finished",
    "partial": "the download of {} is not finished",
    "piece": "this is only a part of {}, which has not been put together",
    "link": "only the link {} was copied, not the file that it points to",
    "placeholder": "{} is not on this machine, only a placeholder for it",
}
_CHECKSUM_SUFFIXES: Final = r"\.(?:sha-?256(?:sums?)?(?:\.txt)?)"
_CHECKSUMS_OF: Final = re.compile(rf"{_MODEL}{_CHECKSUM_SUFFIXES}", re.IGNORECASE | re.DOTALL)
_CHECKSUMS: Final = re.compile(
    rf"(?:sha-?256(?:sums?)?|checksums?)(?:\.txt|{_CHECKSUM_SUFFIXES})?"
    rf"|(?P<stem>.+){_CHECKSUM_SUFFIXES}"
    r"|.+[._-](?:sha-?256(?:sums?)?|checksums?)\.txt",
    re.IGNORECASE | re.DOTALL,
)


class Mark(NamedTuple):
    """What the name of a file says about another file that is not whole, or not there."""

    kind: _Kind
    """A download's control file, its partial content, a piece of a split file, the text of a link,
    or a placeholder."""
    target: str
    """Name of the model; that of the file itself where it cannot be told."""


def unfinished_mark(name: str) -> Mark | None:
    """Parse the name of an unfinished download; None for any other name."""
    lower = name.lower()
    if ".gguf" in lower or ".safetensors" in lower:
        for kind, pattern in _MARKS:
            if match := pattern.fullmatch(name):
                return Mark(kind, match["target"])  # type: ignore[arg-type] # a tuple of texts
    if lower.endswith(".incomplete") and _HUB.fullmatch(name):
        return Mark("partial", name)
    return None


def missing_model(item: StoredObject, mark: Mark) -> StoredObject:
    """Return a mark's object with the fault that the model itself is not there.

    Args:
        item: The file with the mark's name.
        mark: Its mark.
    """
    code = "storage/link-copied" if mark.kind == "link" else "storage/unfinished"
    named = "a file of the hub" if mark.target == item.name else shown(mark.target)
    reason = _REASONS[mark.kind].format(named)
    return item._replace(fault=StorageError(code, item.url, reason))


def check_unfinished(names: Iterable[str], url: str) -> Iterator[Finding]:
    """Yield a finding for each mark that lies beside the file that it is about.

    A control file says that the file itself is not whole. A partial download says that another
    version of it was to be fetched.

    Args:
        names: Names of the marks.
        url: Address of the artifact.
    """
    for name in names:
        mark = unfinished_mark(name)
        if mark is None or mark.kind in ("link", "placeholder", "piece"):
            continue
        if mark.kind == "control":
            message = f"{shown(name)} says that the download of {shown(mark.target)} is in progress"
            yield make_finding("storage/unfinished", message, url=url, field=name)
        else:
            message = (
                f"an unfinished download of {shown(mark.target)} lies beside it: {shown(name)}"
            )
            yield make_finding("set/unfinished-beside", message, url=url, field=name)


def is_checksums(name: str) -> bool:
    """Whether a file of this name lists the SHA-256 of other files."""
    lower = name.lower()
    if "sha256" not in lower and "sha-256" not in lower and "checksum" not in lower:
        return False
    return _CHECKSUMS.fullmatch(name) is not None


def checksum_target(name: str) -> str:
    """Return what a checksum file is named after.

    Args:
        name: Name of a checksum file.

    Returns:
        The model's name for ``m.gguf.sha256``, the stem for ``m.sha256``; empty for a name that is
        about any file, such as ``SHA256SUMS``.
    """
    named = _CHECKSUMS_OF.fullmatch(name)
    if named is not None:
        return named["target"]
    match = _CHECKSUMS.fullmatch(name)
    stem = match["stem"] if match is not None else None
    generic = stem is None or stem.lower() in ("sha256", "sha256sum", "sha256sums", "checksums")
    return "" if generic else str(stem)
