"""What can be asked of an output beyond its format."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["OutputOptions"]


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Options of the writers; each looks only at its own."""

    cyclonedx_version: Literal["1.6", "1.7"] = "1.6"
    """Version of the CycloneDX specification."""
    hf_title: str = ""
    """Title in hf-readme's front matter; empty: the model's file name."""
    hf_sdk: str = ""
    """``sdk`` in hf-readme's front matter; empty: left out."""
    hf_app_file: str = ""
    """``app_file`` in hf-readme's front matter; empty: left out."""
    hf_app_port: int = 0
    """``app_port`` in hf-readme's front matter; 0: left out."""
    hf_short_description: str = ""
    """``short_description`` in hf-readme's front matter; empty: left out."""
