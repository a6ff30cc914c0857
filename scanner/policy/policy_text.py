"""Read a policy's YAML or JSON as plain data, without the surprises of YAML 1.1.

PyYAML reads ``010`` as 8, ``1:30`` as 90 and ``no`` as false. A number that readers of YAML take
differently is refused; the words stay texts, which a field that asks for yes or no understands.
"""

import re
from functools import cache
from typing import Any, Final

from prefect_mutagen.parsers.errors import shown

__all__ = ["load_yaml"]

_TAGS: Final = "tag:yaml.org,2002:"
_AMBIGUOUS: Final = re.compile(r"[-+]?0[0-9_bx].*|.*:.*", re.IGNORECASE | re.DOTALL)
"""Octal, binary, hexadecimal and sexagesimal numbers: other readers see decimals or texts."""
_WORDS: Final = frozenset(("yes", "no", "on", "off", "y", "n"))


def load_yaml(text: str) -> Any:
    """Parse the YAML; dates stay text, and duplicate keys are refused.

    Raises:
        ValueError: It is not YAML, or says what readers take differently; the message has the line.
    """
    import yaml

    try:
        loader = _loader()(text)
        try:
            node = loader.get_single_node()
        except (OverflowError, ValueError):  # numbers in escapes and directives
            line = loader.line + 1
            raise ValueError(
                f"the policy's line {line} has a number that YAML cannot take"
            ) from None
        return None if node is None else loader.construct_document(node)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"the policy is not YAML{where}") from None
    except RecursionError:
        raise ValueError("the policy is nested too deeply") from None


@cache
def _loader() -> Any:
    """Return the class that constructs a policy's values."""
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
            if not isinstance(node, yaml.ScalarNode):
                return super().construct_object(node, deep)
            kind, line = node.tag.removeprefix(_TAGS), node.start_mark.line + 1
            if kind in ("int", "float") and _AMBIGUOUS.fullmatch(node.value):
                raise ValueError(
                    f"the policy's line {line}: {shown(node.value)} is not the same number to "
                    "every reader; write decimal digits without leading zeros"
                )
            if kind == "timestamp" or (kind == "bool" and node.value.lower() in _WORDS):
                return node.value
            # The library's constructors let errors of the conversion through.
            try:
                return super().construct_object(node, deep)
            except (ArithmeticError, LookupError, ValueError):
                text = shown(node.value)
                raise ValueError(
                    f"the policy's line {line}: {text} is not a valid {kind}"
                ) from None

    return Loader
