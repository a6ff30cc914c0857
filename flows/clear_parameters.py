"""Refuse runs of flows whose parameters hold secrets before Prefect stores them.

Where a deployment is run, Prefect's API does so by the schema of its parameters. Where a program
calls a flow, nothing compares them with the schema before they are stored.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, ParamSpec, TypeVar

from prefect import Flow

from prefect_mutagen.scanner.storage.secret_parts import refuse_secrets
from prefect_mutagen.tasks.clear_address import BLOCK_NAMES

__all__ = ["keeps_secrets_out"]

_ADDRESSES: Final = ("source", "table", "url", "inventory", "web_address")
_BLOCKS: Final = ("storage", "table_storage", "policy_block")
_KEPT: Final = ("__signature__", "parameters")
"""Attributes of a flow that make its form (`flows.form`)."""

P = ParamSpec("P")
R = TypeVar("R")


class _ClearFlow(Flow[P, R]):
    """A flow that refuses addresses with secrets before its run is created."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters as Prefect stores them.

        Raises:
            ValueError: An address holds a secret, or the name of a block is none.
        """
        stored = super().serialize_parameters(parameters)
        _refuse(stored)
        _refuse(stored.get("select"))
        for key in stored.get("keys") or ():
            refuse_secrets(str(key), "the parameter keys")
        return stored

    def with_options(self, *args: Any, **kwargs: Any) -> Flow[P, R]:
        """Return a copy with other options, which refuses the same and has the same form."""
        copy = keeps_secrets_out(super().with_options(*args, **kwargs))
        vars(copy).update({name: vars(self)[name] for name in _KEPT if name in vars(self)})
        return copy


def keeps_secrets_out(made: Flow[P, R]) -> Flow[P, R]:
    """Let a flow refuse addresses with secrets before its parameters are stored.

    Args:
        made: The flow; its class is changed, because Prefect's decorator makes only its own.
    """
    made.__class__ = _ClearFlow
    return made


def _refuse(values: Any) -> None:
    if isinstance(values, Mapping):
        for name in _ADDRESSES:
            if isinstance(values.get(name), str):
                refuse_secrets(values[name], f"the parameter {name}")
        for address in values.get("more_sources") or ():
            refuse_secrets(str(address), "an entry of the parameter more_sources")
        for name in _BLOCKS:
            if not re.match(BLOCK_NAMES, str(values.get(name, ""))):
                raise ValueError(
                    f"the parameter {name} would be stored in clear text: put the credentials into "
                    "a storage block, and name it as type/name"
                )
