"""Judge the code that loaders run for a model."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prefect_mutagen.scanner.policy.fields import Policy
from prefect_mutagen.scanner.verdicts import Reason

__all__ = ["judge_code"]

_SHOWN: Final = 5
_KINDS: Final = {
    "other-repository": "code of another repository",
    "kernel": "a kernel of another repository",
    "imported-name": "a module that is imported by name",
    "outside": "code outside the model's folder",
}


def judge_code(facts: Mapping[str, Any], policy: Policy) -> Iterator[Reason]:
    """Yield the reasons against the code of an artifact, under ``refuse`` and ``pinned``.

    Args:
        facts: The artifact's facts: ``code`` and ``code_elsewhere``.
        policy: The policy.
    """
    modules, elsewhere = facts.get("code") or (), facts.get("code_elsewhere") or ()
    if policy.remote_code == "refuse":
        named = [*(entry.get("path", "") for entry in modules), *map(_described, elsewhere)]
        if named:
            value = str(len(named))
            yield _reason(value, f"loading it runs code, which is not allowed: {_some(named)}")
        return
    allowed = {digest.lower() for digest in policy.allowed_code}
    others = [entry for entry in modules if entry.get("sha256") not in allowed]
    if others:
        names = [f"{entry.get('path', '')!a} ({_digest(entry)})" for entry in others]
        message = f"loading it runs code that allowed_code does not list: {_some(names)}"
        yield _reason(others[0].get("sha256") or "none", message)
    if elsewhere:
        names = [_described(entry) for entry in elsewhere]
        message = f"loading it runs code that no pin covers: {_some(names)}"
        yield _reason(str(elsewhere[0].get("text", "")), message)


def _reason(value: str, message: str) -> Reason:
    return Reason("policy/remote-code", "remote_code", value, message)


def _digest(entry: Mapping[str, Any]) -> str:
    return entry.get("sha256") or f"not read: {entry.get('problem', '')}"


def _described(entry: Mapping[str, Any]) -> str:
    what = _KINDS.get(entry.get("kind", ""), "code")
    return f"{what}, {entry.get('text', '')!a} in {entry.get('place', '')!a}"


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return "; ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
