"""Load and validate policies.

A policy is plain data (`scanner.policy.fields`) and judging is plain comparison (`judge`), so
neither needs a library. Where a policy enters (a file, a flow parameter, a block), pydantic
validates it and refuses unknown fields.
"""

import os
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.policy.fields import (
    BaseLicense,
    Policy,
    SeverityChange,
    Signer,
    Waiver,
    nearest,
)
from prefect_mutagen.scanner.policy.judge import judge
from prefect_mutagen.scanner.signing.signers import TEXTS_OR_PATHS
from prefect_mutagen.scanner.verdicts import Reason, Subject, Verdict

__all__ = [
    "BaseLicense",
    "Policy",
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
_NESTED: Final[dict[str, type[BaseLicense | SeverityChange | Signer | Waiver]]] = {
    "allowed_signers": Signer,
    "base_licenses": BaseLicense,
    "severities": SeverityChange,
    "waivers": Waiver,
}


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

    given = _load(text)
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise ValueError("the policy is not a mapping of fields to values")  # noqa: TRY004
    if folder is not None:
        given = {**given, "allowed_signers": _with_files(given.get("allowed_signers", ()), folder)}
    try:
        policy: Policy = _validator().validate_python(given)
    except ValidationError as problem:
        raise ValueError("; ".join(_explain(error) for error in problem.errors())) from None
    return policy


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

    return TypeAdapter(Policy)


def _load(text: str) -> Any:
    """Parse the YAML; dates stay text, and duplicate keys are refused."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
            seen: set[str] = set()
            # A tag can declare any node a mapping; the library refuses that below.
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                name = str(key.value)
                if name in seen:
                    line = key.start_mark.line + 1
                    raise ValueError(f"the policy has a duplicate key {name!a} in line {line}")
                seen.add(name)
            return super().construct_mapping(node, deep)

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
            # The library's constructors let errors of the conversion through.
            try:
                return super().construct_object(node, deep)
            except (ArithmeticError, LookupError, ValueError):
                if not isinstance(node, yaml.ScalarNode):
                    raise
                kind, line = node.tag.rpartition(":")[2], node.start_mark.line + 1
                text = shown(node.value)
                raise ValueError(
                    f"the policy's line {line}: {text} is not a valid {kind}"
                ) from None

    Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)
    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"the policy is not YAML{where}") from None
    except RecursionError:
        raise ValueError("the policy is nested too deeply") from None


def _explain(error: Mapping[str, Any]) -> str:
    place = [str(part) for part in error["loc"]]
    name, where = place[-1] if place else "", ".".join(place)
    record = _NESTED.get(place[0]) if len(place) > 1 else None
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        near = nearest(name, [field.name for field in fields(record or Policy)])
        inside = f"field {'.'.join(place[:-1])} of the policy" if record else "the policy"
        return f"{inside} has no field {name!a}{near}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"policy field {where}: {message}" if where else f"policy: {message}"
