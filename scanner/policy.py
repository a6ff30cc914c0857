"""What an organisation accepts, and the judgement of an artifact under it.

A policy is plain data (`policy_fields`), judging it plain comparison (`judge`), so neither needs a
library. Where a policy enters (a file, a flow's parameter, a block), pydantic validates it and
refuses fields that do not exist.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Final

from prefect_mutagen.scanner.judge import judge
from prefect_mutagen.scanner.policy_fields import (
    BaseLicense,
    Policy,
    SeverityChange,
    Waiver,
    nearest,
)
from prefect_mutagen.scanner.verdicts import Reason, Subject, Verdict

__all__ = [
    "BaseLicense",
    "Policy",
    "Reason",
    "SeverityChange",
    "Subject",
    "Verdict",
    "Waiver",
    "judge",
    "load_policy",
]

_NESTED: Final[dict[str, type[BaseLicense | SeverityChange | Waiver]]] = {
    "base_licenses": BaseLicense,
    "severities": SeverityChange,
    "waivers": Waiver,
}


def load_policy(text: str) -> Policy:
    """Read a policy from YAML or JSON.

    Args:
        text: The file's text.

    Raises:
        ValueError: It is no policy; the message names the field and what it should be.
    """
    from pydantic import ValidationError

    given = _load(text)
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise ValueError("the policy is not a list of fields and values")  # noqa: TRY004
    try:
        policy: Policy = _validator().validate_python(given)
    except ValidationError as problem:
        raise ValueError("; ".join(_explain(error) for error in problem.errors())) from None
    return policy


@cache
def _validator() -> Any:
    """Build the validator once: pydantic reads this package's sources for it."""
    from pydantic import TypeAdapter

    return TypeAdapter(Policy)


def _load(text: str) -> Any:
    """Load the text; dates stay as they are written, and nothing may stand twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
            seen: set[str] = set()
            for key, _ in node.value:
                name = str(key.value)
                if name in seen:
                    line = key.start_mark.line + 1
                    raise ValueError(f"the policy says {name!a} twice, again in line {line}")
                seen.add(name)
            return super().construct_mapping(node, deep)

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
