"""The type of parameters that are addresses: a form that states which of them hold no secret."""

from typing import Annotated

from pydantic import Field

from prefect_mutagen.scanner.storage.secret_parts import WITHOUT_SECRETS

__all__ = ["ClearAddress"]

# In the schema alone: Prefect's API refuses a run before it stores the parameters, whereas a check by
# pydantic comes afterwards and repeats the value in its message.
ClearAddress = Annotated[str, Field(json_schema_extra={"pattern": WITHOUT_SECRETS})]
"""An address without secrets."""
