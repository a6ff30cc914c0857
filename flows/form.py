"""The form of a flow in Prefect's UI: the order of its fields, their titles, what is folded.

Prefect derives the form from the signature: the order of the parameters and their names as titles.
In Python the order is a part of the interface, so the form gets a signature of its own, which
`inspect.signature` returns for the flow; calls of the flow use that of its function.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

from prefect import Flow
from prefect.utilities.callables import parameter_schema
from pydantic import Field

__all__ = ["with_form"]

P = ParamSpec("P")
R = TypeVar("R")


def with_form(titles: dict[str, str]) -> Callable[[Flow[P, R]], Flow[P, R]]:
    """Return a decorator that sets the order and the titles of a flow's fields.

    Args:
        titles: Titles of parameters, in the order of the form. Those without one come last.
    """

    def decorate(made: Flow[P, R]) -> Flow[P, R]:
        _arrange(made, titles)
        return made

    return decorate


def _arrange(made: Flow[Any, Any], titles: dict[str, str]) -> None:
    known = inspect.signature(made.fn).parameters
    rest = {name: name.replace("_", " ").capitalize() for name in known if name not in titles}
    fields = [
        # Keywords: a required field may stand behind one with a default.
        known[name].replace(
            kind=inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[known[name].annotation, Field(json_schema_extra={"title": title})],
        )
        for name, title in (titles | rest).items()
    ]
    made.__signature__ = inspect.Signature(fields)  # type: ignore[attr-defined]
    made.parameters = parameter_schema(made)
