"""The fields of a policy: plain data that says what an organisation accepts.

Frozen dataclasses of plain types, so that judging needs no library, and so that Prefect draws them
as a form. What no type can say (a date, a code that exists, a waiver without an owner) each record
checks itself, wherever it comes from.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, ClassVar, Final, Literal

from prefect_mutagen.parsers import Severity
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.signing.signers import Signer

__all__ = ["BaseLicense", "Policy", "SeverityChange", "Signer", "Waiver", "nearest"]

_CONFIG: Final = {"extra": "forbid", "use_attribute_docstrings": True}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Ask for the known name that is nearest to a misspelt one; empty when none is near."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


@dataclass(frozen=True)
class SeverityChange:
    """How severe a finding is here."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    code: str
    """A finding's code, or a whole family such as sbom/*. An entry for the very code counts more. A
    family never lowers what is wrong with an artifact's own structure: gguf, safetensors, set,
    storage and scan."""
    severity: Severity
    """error fails the artifact; warning only under fail_on: warning; info never."""

    def __post_init__(self) -> None:
        """Refuse a code that does not exist.

        Raises:
            ValueError: There is no such finding.
        """
        known = [code for code in CODES if not code.startswith("policy/")]
        families = {f"{code.partition('/')[0]}/*" for code in known}
        if self.code not in known and self.code not in families:
            near = nearest(self.code, (*known, *families))
            raise ValueError(f"there is no finding {self.code!a}{near}")


@dataclass(frozen=True)
class Waiver:
    """One thing that is accepted all the same, for a while, and who answers for it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    code: str
    """Code of the finding, or of the policy's own reason, that is waived."""
    url: str
    """Address of the artifact; * stands for any characters, ? for one."""
    reason: str
    """Why it is accepted."""
    owner: str
    """Who answers for it."""
    expires: str
    """Last day on which it holds, as year-month-day (UTC)."""

    def __post_init__(self) -> None:
        """Refuse a waiver that nobody answers for, or that never ends.

        Raises:
            ValueError: A field is empty, the code does not exist, or the date is none.
        """
        for name in ("url", "reason", "owner", "expires"):
            if not getattr(self, name).strip():
                raise ValueError(f"a waiver needs {name}")
        if self.code not in CODES or self.code == "policy/waiver-expired":
            raise ValueError(f"there is no finding {self.code!a}{nearest(self.code, CODES)}")
        try:
            date.fromisoformat(self.expires)
        except ValueError:
            raise ValueError(f"expires is no date such as 2027-01-31: {self.expires!a}") from None


@dataclass(frozen=True)
class BaseLicense:
    """The licence of a base model, where no file states it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    """Name of the base model as owner/name; * stands for any characters, ? for one."""
    license: str
    """Its licence."""

    def __post_init__(self) -> None:
        """Refuse an entry that says nothing.

        Raises:
            ValueError: A field is empty.
        """
        if not self.model.strip() or not self.license.strip():
            raise ValueError("an entry of base_licenses needs model and license")


@dataclass(frozen=True)
class Policy:
    """What may be handed to an agent; by default, all that is sound and was seen."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    allowed_licenses: tuple[str, ...] = ()
    """Licences that may be used, as SPDX identifiers or as models state them, with * for any
    characters; empty: any. With entries, an artifact that states no licence fails."""
    denied_licenses: tuple[str, ...] = ()
    """Licences that may not be used, such as cc-by-nc-*."""
    require_license: bool = False
    """Fail what states no licence."""
    licenses_of_base: bool = True
    """Whether the licences of base models count as well, where they are stated."""
    base_licenses: tuple[BaseLicense, ...] = ()
    """Licences of base models, for lineage that names a model and no licence."""
    allowed_formats: tuple[Literal["gguf", "safetensors"], ...] = ()
    """Formats that may be used; empty: both."""
    allowed_architectures: tuple[str, ...] = ()
    """Architectures that may be used, such as llama; empty: any."""
    denied_architectures: tuple[str, ...] = ()
    """Architectures that may not be used."""
    allowed_quantizations: tuple[str, ...] = ()
    """Quantizations that may be used, such as Q4_K_M; empty: any, and none."""
    denied_quantizations: tuple[str, ...] = ()
    """Quantizations that may not be used."""
    max_parameters: int = 0
    """Most parameters a model may have; 0: any number. With a limit, an unknown number fails."""
    max_size_bytes: int = 0
    """Most bytes an artifact may have; 0: any number."""
    require_sha256: bool = False
    """Fail what has no known SHA-256."""
    require_signature: bool = False
    """Fail what no readable signature or attestation beside it names. The signature itself is not
    verified for that; allowed_signers does."""
    allowed_signers: tuple[Signer, ...] = ()
    """Whose signatures count; empty: nobody's is verified. With entries, an artifact fails unless
    one of them signed all of its files. Needs prefect-mutagen[signing]."""
    allowed_sources: tuple[str, ...] = ()
    """Addresses below which artifacts may lie, such as s3://models/trusted; empty: anywhere."""
    allowed_publishers: tuple[str, ...] = ()
    """Publishers whose models may be used: the owner in owner/name where the address says it, else
    what the file states; empty: any."""
    allowed_templates: tuple[str, ...] = ()
    """SHA-256 values of the chat templates that may be used; empty: any that is harmless."""
    max_scan_age_hours: int = 0
    """Longest time since the artifact was examined; 0: any. Older results are not reused by a scan,
    and fail where they are judged."""
    fail_on: Literal["error", "warning"] = "error"
    """Least severe finding that fails an artifact."""
    severities: tuple[SeverityChange, ...] = ()
    """Findings that are more or less severe here than usual."""
    waivers: tuple[Waiver, ...] = ()
    """What is accepted all the same, each with a reason, an owner and a last day."""

    def __post_init__(self) -> None:
        """Refuse values that no artifact could meet.

        Raises:
            ValueError: A limit is negative, an address relative, a digest none.
        """
        for name in ("max_parameters", "max_size_bytes", "max_scan_age_hours"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is less than 0")
        for source in self.allowed_sources:
            if "://" not in source and not source.startswith("/"):
                message = "an entry of allowed_sources is neither an address nor an absolute path"
                raise ValueError(f"{message}: {source!a}")
        for digest in self.allowed_templates:
            if not _SHA256.fullmatch(digest.lower()):
                raise ValueError(f"an entry of allowed_templates is no SHA-256: {digest!a}")

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as plain values."""
        return asdict(self)
