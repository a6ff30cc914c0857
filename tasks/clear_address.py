"""Types of parameters for addresses and blocks; the form states which values hold no secret."""

from typing import Annotated, Final

from pydantic import Field

from prefect_mutagen.scanner.storage.secret_parts import WITHOUT_SECRETS

__all__ = ["BLOCK_NAMES", "BlockName", "ClearAddress"]

BLOCK_NAMES: Final = r"""^[^{}"=:@]*$"""
"""Regular expression that matches names of blocks, and no options or addresses."""

# In the schema alone: Prefect's API refuses a run before it stores the parameters, whereas pydantic
# would check them afterwards and repeat the value in its message.
ClearAddress = Annotated[str, Field(json_schema_extra={"pattern": WITHOUT_SECRETS})]
"""An address without secrets."""
BlockName = Annotated[str, Field(json_schema_extra={"pattern": BLOCK_NAMES})]
"""The name of a block, which is no place for the credentials themselves."""
