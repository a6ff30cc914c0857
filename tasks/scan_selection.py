"""What a scan is about, as the form of a flow asks for it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from prefect_mutagen.scanner.listing.selection import Selection, read_moment

__all__ = ["ScanSelection", "Versions"]

Versions = Literal["newest", "all"]
"""Which versions of the objects of a bucket a scan is about."""


class ScanSelection(BaseModel):
    """Which artifacts the scan is about; all of them by default.

    What it leaves out stays in the table as it is known, and no agent starts for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    include: list[str] = []
    """Only files of such names (*.gguf) or paths below the source (llama/**). Empty: all."""
    exclude: list[str] = []
    """Files of such names or paths are left out, also when they are included above."""
    modified_since: str = ""
    """Only what was changed since: an age such as 7d, 36h or 90min, counted back from the start of
    the run, or a date such as 2027-01-31. Empty: all."""
    versions: Versions = "newest"
    """In a bucket of S3 that keeps versions: the newest of each file, or the older ones of model
    files as well."""
    inventory: str = ""
    """Address of the manifest.json of an S3 Inventory of the bucket, to be used instead of a
    listing. Empty: the bucket is listed."""

    @model_validator(mode="after")
    def _check(self) -> "ScanSelection":
        self.selection()
        return self

    def selection(self, now: datetime | None = None) -> Selection:
        """Give it as the scanner wants it.

        Args:
            now: What an age counts back from; the present by default.

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
