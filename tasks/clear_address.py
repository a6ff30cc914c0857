"""Types of parameters for addresses and blocks; the form states which values hold no secret."""

from typing import Annotated, Any, Final

from pydantic import Field

from prefect_mutagen.scanner.storage.secret_parts import WITHOUT_SECRETS

__all__ = ["BLOCK_NAMES", "BlockName", "ClearAddress"]

BLOCK_NAMES: Final = r"""^[^{}"=:@]*$"""
"""Regular expression that matches names of blocks, and no options or addresses."""


def _matches(pattern: str, otherwise: str) -> Any:
    """Return a field that is checked by the schema alone.

    Prefect's API refuses a run before it stores the parameters, whereas pydantic would check them
    afterwards and repeat the value in its message. Of a text that matches no ``pattern``, the form
    would show pages of the pattern; of one that is no ``const``, it shows what was expected.
    """
    return Field(json_schema_extra={"if": {"pattern": pattern}, "else": {"const": otherwise}})


ClearAddress = Annotated[
    str, _matches(WITHOUT_SECRETS, "an address without secrets, which belong into a block")
]
"""An address without secrets."""
BlockName = Annotated[str, _matches(BLOCK_NAMES, "the name of a block, as type/name")]
"""The name of a block, which is no place for the credentials themselves."""
