"""Compare what signatures and attestations name with what is known about a model's files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.signatures import Signature, read_signature

__all__ = ["Comparison", "compare", "look_at_signatures"]

_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one signature says about the files of a model, by their names."""

    agree: tuple[str, ...] = ()
    """Files that have the SHA-256 it names."""
    differ: tuple[str, ...] = ()
    """Files that have another one."""
    unknown: tuple[str, ...] = ()
    """Files it names, where one of the two digests is not known."""

    @property
    def names(self) -> frozenset[str]:
        """Files that it speaks of at all."""
        return frozenset((*self.agree, *self.differ, *self.unknown))


def compare(signature: Signature, sha256: Mapping[str, str]) -> Comparison:
    """Compare the digests that a signature names with those that are known.

    Args:
        signature: What `read_signature` gave.
        sha256: For each file, by its path from the signature's folder, its SHA-256 in
            hexadecimal, or the empty text.

    Returns:
        The files it speaks of. One that it names otherwise, or not at all, counts when it has the
        same digest: files are renamed.
    """
    everything = frozenset[str]().union(*signature.digests.values())
    agree, differ, unknown = [], [], []
    for name, known in sha256.items():
        named = signature.digests.get(name)
        if named is None:
            if known and known.lower() in everything:
                agree.append(name)
        elif not named or not known:
            unknown.append(name)
        elif known.lower() in named:
            agree.append(name)
        else:
            differ.append(name)
    return Comparison(tuple(agree), tuple(differ), tuple(unknown))


def look_at_signatures(
    files: Mapping[str, tuple[str, bytes]],
    sha256: Mapping[str, str],
    beside: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Read all signatures beside a model, and compare them with what is known.

    Args:
        files: For each name that `is_signature`, its address and its bytes up to the limit.
        sha256: For each of the model's own files, its SHA-256, or the empty text.
        beside: The same for the files that describe the model (config.json and kin).

    Returns:
        The entry ``signature`` of the facts, empty without such files, and the findings.
        ``covered`` in it says that each of the model's files is named by a signed one, and that
        no digest differs.
    """
    facts: list[dict[str, Any]] = []
    findings: list[Finding] = []
    covered: set[str] = set()
    differing = False
    for name, (url, raw) in files.items():
        signature = read_signature(name, raw)
        found = compare(signature, {**(beside or {}), **sha256})
        differing = differing or bool(found.differ)
        if signature.signed:
            covered.update(found.names)
        facts.append(_facts(signature, found))
        findings += _findings(signature, found, sha256, url)
    if not facts:
        return {}, ()
    complete = bool(sha256) and not differing and covered >= sha256.keys()
    return {"covered": complete, "files": facts[:_LISTED]}, tuple(findings)


def _facts(signature: Signature, found: Comparison) -> dict[str, Any]:
    entry = {
        "name": signature.name,
        "kind": signature.kind,
        "signed": signature.signed,
        "predicates": list(signature.predicates),
        "problem": signature.problem,
        "agree": list(found.agree[:_LISTED]),
        "differ": list(found.differ[:_LISTED]),
        "unknown": list(found.unknown[:_LISTED]),
    }
    return {key: value for key, value in entry.items() if value not in ("", [])}


def _findings(
    signature: Signature, found: Comparison, own: Iterable[str], url: str
) -> Iterable[Finding]:
    name = signature.name
    if signature.problem:
        message = f"{shown(name)} cannot be read: {signature.problem}"
        yield make_finding("signature/unreadable", message, url=url, field=name)
        return
    for target in found.differ:
        stated = ", ".join(sorted(signature.digests[target])[:4])
        message = f"{shown(name)} names another SHA-256 for {shown(target)}: {stated}"
        yield make_finding("signature/mismatch", message, url=url, field=target)
    if found.differ:
        return
    named = found.names.intersection(own)
    if named:
        known = "with the digests they have" if not found.unknown else "with digests not known here"
        message = f"{shown(name)} names {len(named)} of the model's files {known}"
    elif signature.kind == "oms":
        message = f"{shown(name)} does not name the model"
    else:
        return  # it is about something else in the same folder
    message += "; the signature itself is not verified"
    yield make_finding("signature/unverified", message, url=url, field=name)
