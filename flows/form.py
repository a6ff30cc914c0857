"""The form of a flow in Prefect's UI: the order of its fields, titles, what is left to blocks.

Prefect derives the form from the signature: the order of the parameters and their names as titles.
In Python the order is a part of the interface, so the form gets a signature of its own, which
`inspect.signature` returns for the flow; calls of the flow use that of its function.

The UI shows every field of a nested model, and a policy has nearly thirty, above the button that
starts the run. So a model may be brief: the other fields are no ``properties`` of its schema, which
the UI draws, but stand in a ``then``, which Prefect's API checks all the same.
"""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Final, ParamSpec, TypeVar

from prefect import Flow
from prefect.utilities.callables import parameter_schema
from pydantic import Field

__all__ = ["BRIEF_POLICY", "Brief", "with_form"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Brief:
    """Shows some fields of a nested model; annotates the parameter."""

    shown: Collection[str]
    """Their names."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> Any:
        """Return the schema of the parameter."""
        schema = handler(core_schema)
        model = handler.resolve_ref_schema(schema)
        fields = model["properties"]
        model["properties"] = {name: fields[name] for name in fields if name in self.shown}
        checked = {name: True if name in self.shown else fields[name] for name in fields}
        extra = model.pop("additionalProperties", True)
        model |= {"if": True, "then": {"properties": checked, "additionalProperties": extra}}
        return schema


BRIEF_POLICY: Final = Brief(
    {
        *("allowed_licenses", "denied_licenses", "require_license", "allowed_formats"),
        *("allowed_sources", "max_size_bytes", "remote_code", "fail_on", "waivers"),
    }
)
"""The fields of a policy that people set for a single run."""


def with_form(titles: dict[str, str], **brief: Brief) -> Callable[[Flow[P, R]], Flow[P, R]]:
    """Return a decorator that sets the order and the titles of a flow's fields.

    Args:
        titles: Titles of parameters, in the order of the form. Those without one come last.
        brief: Parameters of which the form shows some fields.
    """

    def decorate(made: Flow[P, R]) -> Flow[P, R]:
        known = inspect.signature(made.fn).parameters
        rest = {name: name.replace("_", " ").capitalize() for name in known if name not in titles}
        fields = []
        for name, title in (titles | rest).items():
            annotation: Any = known[name].annotation
            if name in brief:
                annotation = Annotated[annotation, brief[name]]
            annotation = Annotated[annotation, Field(json_schema_extra={"title": title})]
            # Keywords: a required field may stand behind one with a default.
            kind = inspect.Parameter.KEYWORD_ONLY
            fields.append(known[name].replace(kind=kind, annotation=annotation))
        made.__signature__ = inspect.Signature(fields)  # type: ignore[attr-defined]
        made.parameters = parameter_schema(made)
        return made

    return decorate
