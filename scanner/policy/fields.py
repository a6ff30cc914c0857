"""The fields of a policy, as frozen dataclasses of plain types.

So judging needs no library, and Prefect can render the fields as a form. Rules that types cannot
express (a valid date, an existing code, a waiver with an owner) are checked by each record itself,
wherever it is created.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Final, Literal, get_args

from prefect_mutagen.parsers import Severity
from prefect_mutagen.scanner.content.folding import fold
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.loading.plan import Loader
from prefect_mutagen.scanner.policy.entries import (
    check_digests,
    check_globals,
    check_licenses,
    check_names,
    check_texts,
    check_whole_numbers,
    nearest,
    says_something,
)
from prefect_mutagen.scanner.policy.known_names import ARCHITECTURES, QUANTIZATIONS, TYPES
from prefect_mutagen.scanner.policy.owners import Owner, check_owners
from prefect_mutagen.scanner.signing.signers import Signer

__all__ = [
    "NAMED_FORMATS",
    "BaseLicense",
    "Policy",
    "SeverityChange",
    "Signer",
    "Waiver",
    "check_given",
    "field_title",
]


def field_title(name: str, _: Any = None) -> str:
    """Return the title of a field in a form: its name in words."""
    words = [_WORDS.get(word, word) for word in name.split("_")]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


_WORDS: Final = {"sha256": "SHA-256", "cpu": "CPU", "mb": "in MiB", "stdin": "standard input"}
_CONFIG: Final = {
    "extra": "forbid",
    "use_attribute_docstrings": True,
    "field_title_generator": field_title,
}
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LONGEST_WAIVER: Final = timedelta(days=5 * 366)
"""Longest time that a waiver may be valid from now on: what is meant for longer is a rule."""
Format = Literal[
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
    "onnx",
    "keras",
    "hdf5",
    "tensorflow",
    "tflite",
    "ort",
    "openvino",
    "coreml",
    "pt2",
    "nemo",
    "mar",
    "ggml",
    "ggmf",
    "ggjt",
    "ggla",
    "flax",
    "tensorrt",
    "mxnet",
    "xgboost",
    "catboost",
    "rknn",
    "executorch",
]
NAMED_FORMATS: Final = (
    *("onnx", "keras", "hdf5", "tensorflow", "tflite", "ort", "openvino", "coreml", "pt2", "nemo"),
    *("mar", "ggml", "ggmf", "ggjt", "ggla", "flax", "tensorrt", "mxnet", "xgboost", "catboost"),
    *("rknn", "executorch"),
)
"""Formats of weights that are named, and whose content is not judged."""
UnexaminedWeights = Literal["alone", "fail", "warn", "allow"]
RemoteCode = Literal["refuse", "pinned", "warn"]
FailOn = Literal["error", "warning"]
_NAMES: Final = {
    "allowed_types": TYPES,
    "allowed_architectures": ARCHITECTURES,
    "denied_architectures": ARCHITECTURES,
    "allowed_quantizations": QUANTIZATIONS,
    "denied_quantizations": QUANTIZATIONS,
}
"""Names that are known, for fields whose names are open."""
_OF_TEXTS: Final = (
    *("allowed_licenses", "denied_licenses", "allowed_formats", *_NAMES, "allowed_sources"),
    *("allowed_publishers", "allowed_templates", "loaders", "allowed_code", "allowed_globals"),
)


def _check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    known = tuple(choices)
    if value not in known:
        near = nearest(value, known) or f"; there are {', '.join(known)}"
        raise ValueError(f"there is no {what} {value!a}{near}")


def _day(text: str) -> date | None:
    """Return the day that a text names as YYYY-MM-DD; None if it is no such date."""
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


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
        _check_choice("severity", self.severity, get_args(Severity))


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
    """Last day of validity, as YYYY-MM-DD (UTC), at most five years from now."""

    def __post_init__(self) -> None:
        """Validate the fields: every waiver has an owner and an end.

        Raises:
            ValueError: A field is empty, the code does not exist, or the date is invalid.
        """
        for name in ("url", "reason", "owner", "expires"):
            if not fold(getattr(self, name)).strip():
                raise ValueError(f"a waiver needs {name}")
        for name in ("reason", "owner"):
            if not says_something(getattr(self, name)):
                raise ValueError(f"{name} of a waiver has no letter: {getattr(self, name)!a}")
        if self.code not in CODES or self.code == "policy/waiver-expired":
            raise ValueError(f"there is no finding {self.code!a}{nearest(self.code, CODES)}")
        day = _day(self.expires)
        if day is None:
            raise ValueError(f"expires is not a date such as 2027-01-31: {self.expires!a}")
        latest = datetime.now(UTC).date() + _LONGEST_WAIVER
        if day > latest:
            raise ValueError(
                f"expires is more than five years from now: {self.expires}; a waiver is temporary, "
                f"so write a day up to {latest}, or a rule that allows this"
            )


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
        for name in ("model", "license"):
            if not fold(getattr(self, name)).strip():
                raise ValueError("an entry of base_licenses needs model and license")
            check_texts(f"base_licenses ({name})", (getattr(self, name),))
        check_licenses("base_licenses", (self.license,))


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
    allowed_formats: tuple[Format, ...] = ()
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
    """Fail artifacts without a SHA-256 that was computed here or proven by the storage. One that a
    file beside the model states does not count."""
    require_signature: bool = False
    """Fail artifacts that no readable signature or attestation beside them names. This does not
    verify the signature; allowed_signers does."""
    allowed_signers: tuple[Signer, ...] = ()
    """Trusted signers; empty: signatures are not verified. With entries, an artifact fails unless
    one of them signed all of its files. Needs prefect-mutagen[signing]."""
    allowed_sources: tuple[str, ...] = ()
    """Address prefixes that artifacts must lie under, such as s3://models/trusted; empty: any."""
    allowed_publishers: tuple[str, ...] = ()
    """Allowed publishers: owners of repositories, by the hub's own address or its cache. What a
    header or another folder states is a claim, and does not count."""
    allowed_templates: tuple[str, ...] = ()
    """SHA-256 values of allowed chat templates; empty: any harmless template."""
    loaders: tuple[Loader, ...] = ()
    """Loaders in use; empty: all. What only other loaders take of a model does not decide."""
    remote_code: RemoteCode = "warn"
    """Code that loaders run for a model (trust_remote_code): refuse fails every artifact that has
    some, pinned fails it unless allowed_code lists all of it, warn passes with a warning. Code of
    another repository, kernels and imported module names cannot be pinned."""
    allowed_code: tuple[str, ...] = ()
    """SHA-256 values of allowed modules, with remote_code: pinned; the facts of an artifact list
    its modules."""
    allowed_globals: tuple[str, ...] = ()
    """Names that pickles may import besides harmless ones, each as module.name, such as
    sklearn.linear_model._base.LinearRegression. Whatever the named class does when it is loaded is
    trusted with it."""
    unexamined_weights: UnexaminedWeights = "alone"
    """Weights in a format that is named and not judged, such as ONNX: alone leaves the verdict
    unknown where nothing else of their model is examined, and warns beside examined weights; fail
    refuses both, warn passes both with a warning, allow says nothing."""
    max_scan_age_hours: int = 0
    """Longest time since the artifact was examined; 0: no limit. A scan does not reuse older
    results; judged as they are, they fail."""
    fail_on: FailOn = "error"
    """Lowest severity that fails an artifact."""
    severities: tuple[SeverityChange, ...] = ()
    """Overrides of finding severities."""
    waivers: tuple[Waiver, ...] = ()
    """Temporary exceptions, each with a reason, an owner and an expiry date."""
    owners: tuple[Owner, ...] = ()
    """Whose models are, by prefix of their addresses; the longest wins. They change no verdict."""
    owner_tag: str = ""
    """Name of the S3 tag that says whose a model is, where no entry of owners does; one more
    request for each model that is examined. Empty: tags are not asked for."""

    def __post_init__(self) -> None:
        """Validate the fields.

        Raises:
            ValueError: A limit is negative, an address is relative, or a digest is invalid, no
                licence can match an entry, or a prefix has two owners.
        """
        limits = ("max_parameters", "max_size_bytes", "max_scan_age_hours")
        check_whole_numbers((name, getattr(self, name)) for name in limits)
        for name in _OF_TEXTS:
            check_texts(name, getattr(self, name))
        for name in ("allowed_licenses", "denied_licenses"):
            check_licenses(name, getattr(self, name))
        for name, known in _NAMES.items():
            check_names(name, getattr(self, name), known)
        for source in self.allowed_sources:
            if "://" not in source and not source.startswith("/"):
                message = "an entry of allowed_sources is neither an address nor an absolute path"
                raise ValueError(f"{message}: {source!a}")
        check_digests("allowed_templates", self.allowed_templates)
        check_digests("allowed_code", self.allowed_code)
        for form in self.allowed_formats:
            _check_choice("format", form, get_args(Format))
        for loader in self.loaders:
            _check_choice("loader", loader, get_args(Loader))
        check_globals(self.allowed_globals)
        check_owners(self.owners)
        check_texts("owner_tag", (self.owner_tag,) if self.owner_tag else ())
        _check_choice(
            "value of unexamined_weights", self.unexamined_weights, get_args(UnexaminedWeights)
        )
        _check_choice("remote_code", self.remote_code, get_args(RemoteCode))
        _check_choice("fail_on", self.fail_on, get_args(FailOn))
        if self.allowed_code and self.remote_code != "pinned":
            raise ValueError("allowed_code has no effect unless remote_code is pinned")

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values."""
        return asdict(self)

    def at(self, url: str) -> "Policy":  # noqa: ARG002 - one with overrides asks for it
        """Return the policy for an artifact, by its address: this one, as it has no overrides."""
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Return pydantic's schema, which `check_given` is asked before."""
        from pydantic_core.core_schema import no_info_before_validator_function

        return no_info_before_validator_function(check_given, handler(source))


_NESTED: Final[Mapping[str, Any]] = {
    "allowed_signers": Signer,
    "base_licenses": BaseLicense,
    "owners": Owner,
    "severities": SeverityChange,
    "waivers": Waiver,
}


def check_given(given: Any) -> Any:
    """Return what was given as a policy, unless a name in it is none of a field.

    Args:
        given: Fields and values, from a file, a form or a flow's parameters.

    Raises:
        ValueError: There is no such field; the message names the nearest one.
    """
    if not isinstance(given, Mapping):
        return given
    _check_fields(given, Policy, "the policy")
    for name, record in _NESTED.items():
        entries = given.get(name)
        for number, entry in enumerate(entries if isinstance(entries, list | tuple) else ()):
            if isinstance(entry, Mapping):
                _check_fields(entry, record, f"field {name}.{number} of the policy")
    return given


def _check_fields(given: Mapping[Any, Any], record: Any, what: str) -> None:
    known = {field.name: field.type for field in fields(record)}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{what} has no field {str(name)!a}{nearest(str(name), known)}")
        if isinstance(value, bool) and known[name] in (int, "int"):
            raise ValueError(f"policy field {name} is not a whole number: {value}")
