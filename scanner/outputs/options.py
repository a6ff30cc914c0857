"""Options of the output formats."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["OutputOptions"]


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Options of the writers; each writer uses only its own."""

    cyclonedx_version: Literal["1.6", "1.7"] = "1.6"
    """Version of the CycloneDX specification."""
    hf_title: str = ""
    """Title of hf-readme; empty: the name in the header's metadata, else the file's."""
    hf_sdk: Literal["", "gradio", "docker", "static"] = ""
    """``sdk`` in hf-readme's front matter; empty: omitted."""
    hf_app_file: str = ""
    """``app_file`` in hf-readme's front matter; empty: omitted."""
    hf_app_port: int | None = None
    """``app_port`` in hf-readme's front matter, for the docker SDK or none; None: omitted."""
    hf_short_description: str = ""
    """``short_description`` of hf-readme; empty: generated from the facts."""
