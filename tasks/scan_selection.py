"""The form that selects the artifacts of a scan."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from prefect_mutagen.scanner.listing.selection import Selection, read_moment
from prefect_mutagen.scanner.policy.fields import field_title
from prefect_mutagen.tasks.clear_address import ClearAddress

__all__ = ["ScanSelection", "Versions"]

Versions = Literal["newest", "all"]
"""Which object versions of a bucket to scan."""


class ScanSelection(BaseModel):
    """Which artifacts to scan; all of them by default.

    Artifacts outside the selection stay in the table unchanged, and no agent starts for them.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        field_title_generator=field_title,
    )

    include: list[str] = []
    """Only files with such names (*.gguf) or paths below the source (llama/**). Empty: all."""
    exclude: list[str] = []
    """Leave out files with such names or paths, even if they are included above."""
    modified_since: str = ""
    """Only files modified since: an age such as 7d, 36h or 90min before the start of the run, or a
    date such as 2027-01-31. Empty: all."""
    versions: Versions = "newest"
    """In a versioned S3 bucket: the newest version of each file, or also older versions of model
    files."""
    inventory: ClearAddress = ""
    """Address of the manifest.json of an S3 Inventory, to read instead of listing the bucket.
    Empty: list the bucket."""

    @model_validator(mode="after")
    def _check(self) -> "ScanSelection":
        self.selection()
        return self

    def selection(self, now: datetime | None = None) -> Selection:
        """Return it as the scanner's `Selection`.

        Args:
            now: The time that ages count back from; the current time by default.

        Raises:
            ValueError: ``modified_since`` is neither an age nor a date.
        """
        return Selection(
            tuple(self.include),
            tuple(self.exclude),
            read_moment(self.modified_since, now) if self.modified_since.strip() else 0.0,
            self.versions == "all",
            self.inventory,
        )
