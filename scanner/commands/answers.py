"""What ``verify`` answers about each address: the exit status, the lines, the JSON object.

The JSON object is a contract; docs/gates.md has its fields. A reader accepts fields that it does
not know.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from prefect_mutagen import __version__
from prefect_mutagen.scanner.commands.shared import (
    OTHER_PIN,
    PASSED,
    REJECTED,
    UNEXAMINED,
    UNREACHABLE,
    complaint_of,
    status_of,
)
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.sbom.json_text import to_json
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.storage.secret_parts import without_secrets_in
from prefect_mutagen.scanner.verdicts import Reason, Status
from prefect_mutagen.scanner.verify import ArtifactRejected, Verified

__all__ = ["Answer", "as_json", "as_lines", "worst"]

_ORDER: Final = (OTHER_PIN, REJECTED, UNEXAMINED, UNREACHABLE, PASSED)
"""Exit statuses, the worst first: what says most about the bytes decides."""
_REASONS_KEPT: Final = (20, 5, 1, 0)
"""Reasons of each address to try, one after the other, where there is little room."""
_SHOWN: Final = 300
"""Characters of an address or a message where there is little room."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said about one address."""

    asked: str
    """The address as it was given, without secrets."""
    status: int
    """Exit status that it alone would have."""
    url: str = ""
    """Address of the artifact; empty if none was found."""
    verdict: Status = "unknown"
    """``passed`` exactly if the status is 0."""
    pin: str = ""
    sbom_id: str = ""
    """Identifier in a table's ``sboms/``; empty for a folder of several artifacts."""
    decided_by: Literal["examination", "table", ""] = ""
    """Whether something was read, or the pin alone was compared with a table."""
    reasons: tuple[tuple[str, Reason], ...] = ()
    """Why it did not pass, each with the file or artifact it is about."""
    waived: tuple[tuple[str, Reason], ...] = ()
    """What a waiver of the policy allows, likewise."""
    error: str = ""
    """Why nothing can be said, in one sentence: wrong usage, no model, storage out of reach."""

    @classmethod
    def of_pass(cls, asked: str, found: Verified) -> "Answer":
        """Return the answer for an artifact that passed."""
        result = found.result
        return cls(
            asked,
            PASSED,
            storable(result.url),
            "passed",
            result.pin,
            result.sbom_id if found.artifacts == 1 else "",
            "table" if found.known == found.artifacts else "examination",
            waived=found.waived,
        )

    @classmethod
    def of_rejection(cls, asked: str, rejection: ArtifactRejected) -> "Answer":
        """Return the answer for an artifact that did not pass, or is not there."""
        result, status = rejection.result, status_of(rejection)
        if result is None:
            said = rejection.reasons[0].message
            return cls(asked, status, error=f"{storable(rejection.url)}: {said}")
        return cls(
            asked,
            status,
            storable(result.url),
            "unknown" if result.verdict.status == "unknown" else "failed",
            result.pin,
            decided_by="examination",
            reasons=tuple(zip(rejection.places, rejection.reasons, strict=True)),
            waived=tuple((result.url, reason) for reason in result.verdict.waived),
        )

    def to_dict(self, reasons: int | None = None) -> dict[str, Any]:
        """Return its JSON object.

        Args:
            reasons: How many reasons to name, shortened; None: all, whole.
        """
        short = _whole if reasons is None else _shortened
        waived = self.waived if reasons is None else self.waived[:reasons]
        document: dict[str, Any] = {
            "asked": short(self.asked),
            "url": short(self.url) or None,
            "verdict": self.verdict,
            "exit_status": self.status,
            "pin": self.pin or None,
            "sbom_id": self.sbom_id or None,
            "decided_by": self.decided_by or None,
            "reasons": [_reason(*found, short) for found in self.reasons[:reasons]],
            "waived": [_reason(*found, short) for found in waived],
            "error": short(self.error) or None,
        }
        left_out = len(self.reasons) - len(document["reasons"])
        return document | ({"reasons_left_out": left_out} if left_out else {})

    def lines(self) -> list[str]:
        """Return what it says to people, one line for each reason."""
        if self.error:
            return [self.error]
        said = self.waived if self.status == PASSED else self.reasons
        return [complaint_of(place, reason) for place, reason in said]


def worst(statuses: Sequence[int]) -> int:
    """Return the exit status of several addresses: that of the worst."""
    return min(statuses, key=_ORDER.index)


def as_json(answers: Sequence[Answer], status: int, policy: str, room: int | None = None) -> str:
    """Return the JSON object of all answers, in one line.

    Args:
        answers: In the order of the addresses.
        status: The exit status.
        policy: Digest of the policy; empty if it could not be read.
        room: Bytes that it may take; then the worst answers come first, and reasons and answers
            that there is no room for are counted. None: everything, in order.
    """

    def document(some: Sequence[Answer], reasons: int | None) -> str:
        whole: dict[str, Any] = {
            "verify": 1,
            "tool_version": __version__,
            "policy_sha256": policy or None,
            "exit_status": status,
            "verdict": _verdict_of(answers),
            "answers": [answer.to_dict(reasons) for answer in some],
        }
        left_out = len(answers) - len(some)
        return to_json(whole | ({"answers_left_out": left_out} if left_out else {}))

    text = document(answers, None)
    if room is None or len(text.encode()) <= room:
        return text
    ranked = _ranked(answers)
    for reasons in _REASONS_KEPT:
        text = document(ranked, reasons)
        if len(text.encode()) <= room:
            return text
    while len(text.encode()) > room and ranked:
        ranked = ranked[:-1]
        text = document(ranked, 1 if len(ranked) == 1 else 0)
    return text


def as_lines(answers: Sequence[Answer], room: int) -> str:
    """Return all answers as lines for people, the worst first, in a limited number of bytes."""
    counts = [f"{sum(a.verdict == name for a in answers)} {name}" for name in _VERDICTS]
    lines = [", ".join(count for count in counts if not count.startswith("0 "))]
    for answer in _ranked(answers):
        said = answer.lines() if answer.status != PASSED else [f"{answer.url} {answer.pin}"]
        lines += [f"{answer.verdict}: {_shortened(without_secrets_in(line))}" for line in said]
    text, left = "", len(lines)
    for line in lines:
        more = f"{left - 1} more lines\n" if left > 1 else ""
        if len(f"{text}{line}\n{more}".encode()) > room:
            return f"{text}{left} more lines\n"
        text, left = f"{text}{line}\n", left - 1
    return text


_VERDICTS: Final[tuple[Status, ...]] = ("failed", "unknown", "passed")


def _verdict_of(answers: Sequence[Answer]) -> Status:
    found = {answer.verdict for answer in answers}
    return next((name for name in _VERDICTS if name in found), "unknown")


def _ranked(answers: Sequence[Answer]) -> list[Answer]:
    return sorted(answers, key=lambda answer: _ORDER.index(answer.status))


def _reason(place: str, reason: Reason, short: Callable[[str], str]) -> dict[str, Any]:
    stated = {name: short(str(value)) for name, value in asdict(reason).items()}
    return {**stated, "url": short(storable(place))}


def _whole(text: str) -> str:
    return text


def _shortened(text: str) -> str:
    return visible(text, _SHOWN)
