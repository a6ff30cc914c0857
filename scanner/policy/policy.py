"""Load and validate policies.

A policy is plain data (`scanner.policy.fields`) and judging is plain comparison (`judge`), so
neither needs a library. Where a policy enters (a file, a flow parameter, a block), pydantic
validates it and refuses unknown fields.
"""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from prefect_mutagen.scanner.policy.fields import (
    BaseLicense,
    Policy,
    SeverityChange,
    Signer,
    Waiver,
)
from prefect_mutagen.scanner.policy.judge import judge
from prefect_mutagen.scanner.policy.overrides import PolicyOverride, PolicySet
from prefect_mutagen.scanner.policy.owners import Owner
from prefect_mutagen.scanner.policy.policy_text import load_yaml
from prefect_mutagen.scanner.signing.signers import TEXTS_OR_PATHS
from prefect_mutagen.scanner.verdicts import Reason, Subject, Verdict

__all__ = [
    "BaseLicense",
    "Owner",
    "Policy",
    "PolicyOverride",
    "PolicySet",
    "Reason",
    "SeverityChange",
    "Signer",
    "Subject",
    "Verdict",
    "Waiver",
    "judge",
    "load_policy",
]

_FILE_LIMIT: Final = 1 << 20


def load_policy(text: str, folder: str | None = None) -> Policy:
    """Load a policy from YAML or JSON.

    Args:
        text: The policy as text.
        folder: The folder that paths of keys and certificates are relative to. The files are read
            and their contents replace the paths, so a loaded policy is self-contained. None: paths
            are not resolved.

    Raises:
        ValueError: The policy is invalid; the message names the field and the expected value.
    """
    from pydantic import ValidationError

    given = load_yaml(text)
    if given is None:
        # A file whose writing was cut must not become a policy that accepts everything.
        raise ValueError("the policy is empty; write {} for the default policy")
    if not isinstance(given, Mapping):
        raise ValueError("the policy is not a mapping of fields to values")  # noqa: TRY004
    if folder is not None:
        given = _with_files_everywhere(given, folder)
    try:
        policy: PolicySet = _validator().validate_python(given)
    except ValidationError as problem:
        raise ValueError("; ".join(_explain(error) for error in problem.errors())) from None
    return policy if policy.overrides else policy.base


def _with_files_everywhere(given: Mapping[Any, Any], folder: str) -> dict[Any, Any]:
    """Replace paths in a policy and in its overrides; what is malformed is left as it is."""
    found = {**given, "allowed_signers": _with_files(given.get("allowed_signers", ()), folder)}
    if isinstance(given.get("overrides"), list):
        found["overrides"] = [
            {**one, "policy": _with_files_everywhere(one["policy"], folder)}
            if isinstance(one, Mapping) and isinstance(one.get("policy"), Mapping)
            else one
            for one in given["overrides"]
        ]
    return found


def _with_files(signers: Any, folder: str) -> Any:
    """Replace paths by the contents of the files; malformed values are left to the validator."""
    if not isinstance(signers, list):
        return signers
    resolved = []
    for number, signer in enumerate(signers):
        given = dict(signer) if isinstance(signer, Mapping) else signer
        for field, marker in TEXTS_OR_PATHS.items():
            text = given.get(field) if isinstance(given, dict) else None
            if isinstance(text, str) and text and marker not in text:
                given[field] = _read_file(os.path.join(folder, text), f"{number}.{field}")
        resolved.append(given)
    return resolved


def _read_file(path: str, field: str) -> str:
    where = f"policy field allowed_signers.{field}"
    try:
        with open(path, "rb") as file:
            raw = file.read(_FILE_LIMIT)
        return raw.decode()
    except OSError as problem:
        raise ValueError(f"{where}: {path!a} cannot be read: {problem.strerror}") from None
    except ValueError:
        raise ValueError(f"{where}: {path!a} is not text") from None


@cache
def _validator() -> Any:
    """Build the validator once; it is slow, as pydantic parses this package's source for it."""
    from pydantic import TypeAdapter

    return TypeAdapter(PolicySet)


def _explain(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if where:
        return f"policy field {where}: {message}"
    return message if "policy" in message else f"policy: {message}"
