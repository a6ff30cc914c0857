"""The fields of a policy, as frozen dataclasses of plain types.

So judging needs no library, and Prefect can render the fields as a form. Rules that types cannot
express (a valid date, an existing code, a waiver with an owner) are checked by each record itself,
wherever it is created.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache
from typing import Any, ClassVar, Final, Literal, get_args

from prefect_mutagen.parsers import Severity
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.loading.plan import Loader
from prefect_mutagen.scanner.signing.signers import Signer

__all__ = ["BaseLicense", "Policy", "SeverityChange", "Signer", "Waiver", "nearest"]

_CONFIG: Final = {"extra": "forbid", "use_attribute_docstrings": True}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a "did you mean" suffix for a misspelt name; empty when no known name is close."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


@lru_cache(maxsize=1024)
def _license_problem(entry: str) -> str:
    """Return as a clause why no licence can match an entry of a policy; empty if one can."""
    if not entry.strip():
        return "is empty"
    from prefect_mutagen.scanner.content.license_entries import check_entry  # loads the SPDX list

    return check_entry(entry)


@dataclass(frozen=True)
class SeverityChange:
    """An override of a finding's severity."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    code: str
    """A finding code, or a whole family such as sbom/*. An entry for the exact code takes
    precedence. A family never lowers the severity of structural findings: gguf, safetensors, set,
    storage and scan."""
    severity: Severity
    """error fails the artifact; warning fails it only under fail_on: warning; info never does."""

    def __post_init__(self) -> None:
        """Validate the code.

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
    """A temporary exception for one code, with an owner."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    code: str
    """Code of the finding or policy reason to waive."""
    url: str
    """Address of the artifact; * matches any characters, ? matches one."""
    reason: str
    """Why the exception is made."""
    owner: str
    """Who is responsible for it."""
    expires: str
    """Last day of validity, as YYYY-MM-DD (UTC)."""

    def __post_init__(self) -> None:
        """Validate the fields: every waiver has an owner and an end.

        Raises:
            ValueError: A field is empty, the code does not exist, or the date is invalid.
        """
        for name in ("url", "reason", "owner", "expires"):
            if not getattr(self, name).strip():
                raise ValueError(f"a waiver needs {name}")
        if self.code not in CODES or self.code == "policy/waiver-expired":
            raise ValueError(f"there is no finding {self.code!a}{nearest(self.code, CODES)}")
        try:
            date.fromisoformat(self.expires)
        except ValueError:
            raise ValueError(
                f"expires is not a date such as 2027-01-31: {self.expires!a}"
            ) from None


@dataclass(frozen=True)
class BaseLicense:
    """The licence of a base model, for models whose files do not state it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    """Name of the base model as owner/name; * matches any characters, ? matches one."""
    license: str
    """Its licence."""

    def __post_init__(self) -> None:
        """Validate the fields.

        Raises:
            ValueError: A field is empty.
        """
        if not self.model.strip() or not self.license.strip():
            raise ValueError("an entry of base_licenses needs model and license")


@dataclass(frozen=True)
class Policy:
    """What may be handed to an agent; by default everything that was examined without an error."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    allowed_licenses: tuple[str, ...] = ()
    """Allowed licences, as SPDX identifiers or as models state them; * matches any characters.
    Empty: any. With entries, an artifact that states no licence fails."""
    denied_licenses: tuple[str, ...] = ()
    """Denied licences, such as cc-by-nc-*."""
    require_license: bool = False
    """Fail artifacts that state no licence."""
    licenses_of_base: bool = True
    """Apply the licence rules to base models as well, where their licences are known."""
    base_licenses: tuple[BaseLicense, ...] = ()
    """Licences of base models that are named without a licence."""
    allowed_formats: tuple[
        Literal[
            "gguf",
            "safetensors",
            "pytorch",
            "torchscript",
            "pickle",
            "joblib",
            "npy",
            "npz",
            "zip",
            "tar",
        ],
        ...,
    ] = ()
    """Allowed formats; empty: all that are read."""
    allowed_types: tuple[str, ...] = ()
    """Allowed kinds of content, such as model, adapter, mmproj or imatrix; empty: any. What states
    no kind and shows none is a model."""
    allowed_architectures: tuple[str, ...] = ()
    """Allowed architectures, such as llama; empty: any."""
    denied_architectures: tuple[str, ...] = ()
    """Denied architectures."""
    allowed_quantizations: tuple[str, ...] = ()
    """Allowed quantizations, such as Q4_K_M; empty: any, and unquantized models."""
    denied_quantizations: tuple[str, ...] = ()
    """Denied quantizations."""
    max_parameters: int = 0
    """Largest number of parameters; 0: no limit. With a limit, an unknown number fails."""
    max_size_bytes: int = 0
    """Largest size in bytes; 0: no limit."""
    require_sha256: bool = False
    """Fail artifacts without a known SHA-256."""
    require_signature: bool = False
    """Fail artifacts that no readable signature or attestation beside them names. This does not
    verify the signature; allowed_signers does."""
    allowed_signers: tuple[Signer, ...] = ()
    """Trusted signers; empty: signatures are not verified. With entries, an artifact fails unless
    one of them signed all of its files. Needs prefect-mutagen[signing]."""
    allowed_sources: tuple[str, ...] = ()
    """Address prefixes that artifacts must lie under, such as s3://models/trusted; empty: any."""
    allowed_publishers: tuple[str, ...] = ()
    """Allowed publishers: the owner in the address (owner/name) if there is one, else the publisher
    that the file states; empty: any."""
    allowed_templates: tuple[str, ...] = ()
    """SHA-256 values of allowed chat templates; empty: any harmless template."""
    loaders: tuple[Loader, ...] = ()
    """Loaders in use; empty: all. What only other loaders take of a model does not decide."""
    remote_code: Literal["refuse", "pinned", "warn"] = "warn"
    """Code that loaders run for a model (trust_remote_code): refuse fails every artifact that has
    some, pinned fails it unless allowed_code lists all of it, warn passes with a warning. Code of
    another repository, kernels and imported module names cannot be pinned."""
    allowed_code: tuple[str, ...] = ()
    """SHA-256 values of allowed modules, with remote_code: pinned; the facts of an artifact list
    its modules."""
    max_scan_age_hours: int = 0
    """Longest time since the artifact was examined; 0: no limit. A scan does not reuse older
    results; judged as they are, they fail."""
    fail_on: Literal["error", "warning"] = "error"
    """Lowest severity that fails an artifact."""
    severities: tuple[SeverityChange, ...] = ()
    """Overrides of finding severities."""
    waivers: tuple[Waiver, ...] = ()
    """Temporary exceptions, each with a reason, an owner and an expiry date."""

    def __post_init__(self) -> None:
        """Validate the fields.

        Raises:
            ValueError: A limit is negative, an address is relative, or a digest is invalid, or no
                licence can match an entry.
        """
        for name in ("max_parameters", "max_size_bytes", "max_scan_age_hours"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is less than 0")
        for name in ("allowed_licenses", "denied_licenses"):
            for entry in getattr(self, name):
                if problem := _license_problem(entry):
                    raise ValueError(f"an entry of {name} {problem}")
        for source in self.allowed_sources:
            if "://" not in source and not source.startswith("/"):
                message = "an entry of allowed_sources is neither an address nor an absolute path"
                raise ValueError(f"{message}: {source!a}")
        _check_digests("allowed_templates", self.allowed_templates)
        _check_digests("allowed_code", self.allowed_code)
        unknown = [loader for loader in self.loaders if loader not in get_args(Loader)]
        if unknown:
            near = nearest(unknown[0], get_args(Loader))
            raise ValueError(f"there is no loader {unknown[0]!a}{near}")
        if self.allowed_code and self.remote_code != "pinned":
            raise ValueError("allowed_code has no effect unless remote_code is pinned")

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values."""
        return asdict(self)


def _check_digests(name: str, digests: Iterable[str]) -> None:
    for digest in digests:
        if not _SHA256.fullmatch(digest.lower()):
            raise ValueError(f"an entry of {name} is not a SHA-256: {digest!a}")
