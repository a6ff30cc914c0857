"""Block types: a policy, a table and a root of models, each in one place for all deployments.

``prefect block register -m prefect_mutagen`` makes them known to a server. Flows take their names
as parameters (`flows.named_blocks`), so a change of a block holds from the next run on, and no
deployment has to be deployed again. Nothing here is a secret: credentials are in blocks of their
own, which a root or a table names.
"""

from typing import Any, ClassVar, Final

from prefect.blocks.core import Block
from pydantic import Field, field_validator, model_validator

from prefect_mutagen.scanner.policy.overrides import PolicyOverride, PolicySet
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.tasks.clear_address import BlockName, ClearAddress
from prefect_mutagen.tasks.scan_selection import ScanSelection

__all__ = ["ModelPolicy", "ModelRoot", "ModelTable"]

_HOME: Final = "https://raw.githubusercontent.com/prefect-mutagen/prefect-mutagen/main/docs"
_LOGO: Final = f"{_HOME}/logo.png"
_DOCUMENTATION: Final = f"{_HOME}/blocks.md"
_STORAGE: Final = (
    "Name of the block with the credentials, as type/name, such as aws-credentials/models. "
    "Empty: those of the worker's environment."
)


class ModelPolicy(Block):
    """What may be handed to an agent: one policy for all deployments that name it.

    Overrides replace it for models that lie below some addresses. A change is in force with the
    next scan, which judges all models again without reading them.

    Example:
        Load a policy:
        ```python
        from prefect_mutagen import ModelPolicy

        model_policy = ModelPolicy.load("BLOCK_NAME")
        policy = model_policy.to_policy()
        ```
    """

    _block_type_name: ClassVar[str] = "Model Policy"
    _logo_url: ClassVar[Any] = _LOGO
    _documentation_url: ClassVar[Any] = _DOCUMENTATION

    policy: Policy = Field(
        default=Policy(), title="Policy", description="What may be handed to an agent."
    )
    overrides: list[PolicyOverride] = Field(
        default=[],
        title="Overrides",
        description=(
            "Policies for models below some addresses. The longest prefix counts, and its policy "
            "holds as a whole: nothing is taken from the policy above."
        ),
    )

    @model_validator(mode="after")
    def _check(self) -> "ModelPolicy":
        self.to_policy()
        return self

    def to_policy(self) -> Policy:
        """Return the policy with its overrides, as `scan` and `verify` take it.

        Raises:
            ValueError: Two overrides have the same prefix.
        """
        return PolicySet.of(self.policy, tuple(self.overrides))


class ModelTable(Block):
    """A Parquet table of scan results: where it lies, and the credentials for it.

    Example:
        Load a table:
        ```python
        from prefect_mutagen import ModelTable

        model_table = ModelTable.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str] = "Model Table"
    _logo_url: ClassVar[Any] = _LOGO
    _documentation_url: ClassVar[Any] = _DOCUMENTATION

    address: ClearAddress = Field(
        title="Address",
        description="Folder or address of the table, such as s3://bucket/models-table.",
    )
    storage: BlockName = Field(default="", title="Credentials", description=_STORAGE)

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        Address.parse_clear(address)
        return address


class ModelRoot(Block):
    """A bucket or folder of models: where it lies, the credentials for it, and what to scan of it.

    Example:
        Load a root:
        ```python
        from prefect_mutagen import ModelRoot

        model_root = ModelRoot.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str] = "Model Root"
    _logo_url: ClassVar[Any] = _LOGO
    _documentation_url: ClassVar[Any] = _DOCUMENTATION

    address: ClearAddress = Field(
        title="Address",
        description="Folder or address of the models, such as s3://bucket/models.",
    )
    storage: BlockName = Field(default="", title="Credentials", description=_STORAGE)
    select: ScanSelection = Field(
        default=ScanSelection(),
        title="Selection",
        description="Which models to scan; all by default.",
    )

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        Address.parse_clear(address)
        return address
