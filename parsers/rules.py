"""The rules of all formats as one table: code, error class, severity, meaning, remedy.

Severities follow one principle. The reference loader refuses the file: ``error``. The specification
forbids it but the reference loads it: ``warning``. Anything else worth knowing: ``info``. There are
two exceptions. Duplicates are errors even where a loader accepts them, because two readers would
load two different models. A big-endian file is a warning, because big-endian hosts load it.

The references are ggml's ``gguf.cpp`` for GGUF and the Rust crate ``safetensors`` for safetensors.
"""

from types import MappingProxyType
from typing import Final, NamedTuple

from prefect_mutagen.parsers.errors import (
    HeaderError,
    IrregularityError,
    MalformedError,
    NotAModelError,
    Severity,
    TruncatedError,
    UnsafeError,
    UnsupportedError,
)

__all__ = ["RULES", "Rule", "make_error"]


class Rule(NamedTuple):
    """Definition of a finding code."""

    kind: type[HeaderError]
    """Class in the error tree."""
    severity: Severity
    """``error`` fails the verdict; see the policy for ``warning``."""
    meaning: str
    """One sentence for a reader who does not know the format."""
    remedy: str
    """What to do about it."""


_FETCH = "Fetch the file again from its source and compare its size or SHA-256."
_REWRITE = "Write the file again with a current converter; do not load it."
_FORK = "A file for a fork of ggml loads in that fork only: waive this for those who use it."
_REPORT = "No action is needed to load the file; report it to the author of the file."
_LIMIT = "A limit of this tool: check the file with its loader, and waive this if you trust it."
_LOOK = "Find out what this file is before anything loads it."

_NOT_A_MODEL: Final = {
    "empty-file": ("The file has no bytes at all.", _FETCH),
    "lfs-pointer": (
        "A git-lfs pointer: a few lines of text that name the real file.",
        "Run `git lfs pull`, or fetch the file itself.",
    ),
    "web-page": (
        "A web page, usually a log-in or an error page saved as a model.",
        "Fetch the file again; check the address and the credentials.",
    ),
    "json-document": (
        "A JSON document, usually an error reply saved as a model.",
        "Fetch the file again; check the address and the credentials.",
    ),
    "archive": (
        "An archive or a pickle: another kind of file under a model's name.",
        "Unpack it, or convert it; never load a pickle from an untrusted source.",
    ),
    "text": (
        "A text, usually a server's message saved as a model.",
        "Fetch the file again; check the address and the credentials.",
    ),
    "link-text": (
        "The text of a symbolic link: a copy of the link without the file that it points to.",
        "Copy again with links followed (cp -L, rsync -L, rclone --copy-links), or fetch the file.",
    ),
    "executable": ("A program: another kind of file under a model's name.", _LOOK),
    "apple-double": (
        "Attributes that a Mac keeps beside a file (._NAME); the file itself is another one.",
        "Remove it (dot_clean on a Mac), and look whether the file of that name is there.",
    ),
    "zeros": ("Only zero bytes: space was allocated and never written.", _FETCH),
    "wrong-format": (
        "A model of the other format: the name does not match the content.",
        "Rename the file to match its content.",
    ),
    "bad-magic": ("The first bytes match no model format.", _LOOK),
}

_GGUF: Final = {
    "truncated": Rule(TruncatedError, "error", "The file ends inside its header.", _FETCH),
    "truncated-data": Rule(
        TruncatedError,
        "error",
        "The header is complete; the tensor data is truncated, or a fork of ggml laid it out.",
        f"{_FETCH} {_FORK}",
    ),
    "version-1": Rule(
        UnsupportedError, "error", "GGUF version 1: no current loader reads it.", _REWRITE
    ),
    "unknown-version": Rule(
        UnsupportedError, "error", "A GGUF version that does not exist yet, or never did.", _LOOK
    ),
    "big-endian": Rule(
        UnsupportedError,
        "warning",
        "A big-endian file: it loads on big-endian hosts only.",
        "Convert it for little-endian hosts.",
    ),
    "negative-count": Rule(
        MalformedError, "error", "A negative number of tensors or keys.", _REWRITE
    ),
    "string-too-long": Rule(
        MalformedError, "error", "A string of more than 1 GiB is declared.", _REWRITE
    ),
    "empty-key": Rule(MalformedError, "error", "A metadata key has no name.", _REWRITE),
    "duplicate-key": Rule(MalformedError, "error", "A metadata key appears twice.", _REWRITE),
    "long-key": Rule(
        IrregularityError, "warning", "A metadata key is longer than 65535 bytes.", _REPORT
    ),
    "non-ascii-key": Rule(
        IrregularityError, "warning", "A metadata key has non-ASCII characters.", _REPORT
    ),
    "bad-value-type": Rule(
        MalformedError, "error", "A metadata value has a type that does not exist.", _REWRITE
    ),
    "nested-array": Rule(
        MalformedError, "error", "An array of arrays, which loaders refuse.", _REWRITE
    ),
    "array-too-long": Rule(
        MalformedError, "error", "An array of more than 2^30 elements is declared.", _REWRITE
    ),
    "bad-bool": Rule(
        IrregularityError, "warning", "A boolean is neither 0 nor 1; read as true.", _REPORT
    ),
    "invalid-utf8": Rule(
        IrregularityError,
        "warning",
        "A string is not UTF-8; shown with replacement characters.",
        _REPORT,
    ),
    "non-finite-number": Rule(
        IrregularityError, "info", "A number is NaN or infinite; shown as null.", _REPORT
    ),
    "bad-alignment": Rule(
        MalformedError, "error", "general.alignment is not a UINT32 power of two.", _REWRITE
    ),
    "odd-alignment": Rule(
        IrregularityError, "warning", "general.alignment is not a multiple of 8.", _REPORT
    ),
    "missing-architecture": Rule(
        IrregularityError, "warning", "general.architecture is missing or not a string.", _REPORT
    ),
    "long-tensor-name": Rule(
        MalformedError, "error", "A tensor's name has 64 bytes or more.", _REWRITE
    ),
    "duplicate-tensor": Rule(MalformedError, "error", "A tensor's name appears twice.", _REWRITE),
    "too-many-dimensions": Rule(
        MalformedError, "error", "A tensor has more than four dimensions.", _REWRITE
    ),
    "negative-dimension": Rule(
        MalformedError, "error", "A tensor has a negative dimension.", _REWRITE
    ),
    "tensor-too-large": Rule(
        MalformedError, "error", "A tensor's elements or bytes overflow 64 bits.", _REWRITE
    ),
    "bad-tensor-type": Rule(
        MalformedError,
        "error",
        "A tensor has a type that ggml does not know: a fork's own, or a newer one.",
        f"Convert the model with ggml's own tools. {_FORK}",
    ),
    "removed-tensor-type": Rule(
        UnsupportedError, "error", "A tensor has a type that loaders no longer support.", _REWRITE
    ),
    "partial-block": Rule(
        MalformedError, "error", "A tensor's rows do not fill its type's blocks.", _REWRITE
    ),
    "bad-tensor-offset": Rule(
        MalformedError,
        "error",
        "A tensor does not start where the one before ends, as ggml counts.",
        f"{_REWRITE} {_FORK}",
    ),
    "missing-padding": Rule(
        IrregularityError, "info", "The padding after the last tensor is missing.", _REPORT
    ),
    "trailing-data": Rule(
        IrregularityError, "info", "There are bytes after the last tensor.", _REPORT
    ),
    "polyglot": Rule(
        IrregularityError,
        "warning",
        "The file is something else as well: an archive, a program or a script follows the model, "
        "or its last bytes are a zip archive's directory.",
        "Find out who added it; take the file from its publisher and compare the SHA-256.",
    ),
    "nonzero-padding": Rule(
        IrregularityError, "info", "The padding before the tensors is not zero.", _REPORT
    ),
    "no-tensors": Rule(
        IrregularityError, "info", "The file has no tensors, only metadata.", _REPORT
    ),
    "header-too-large": Rule(
        UnsupportedError, "error", "The header is larger than this reader examines.", _LIMIT
    ),
}

_SAFETENSORS: Final = {
    "truncated": Rule(TruncatedError, "error", "The file ends inside its header.", _FETCH),
    "truncated-data": Rule(
        TruncatedError, "error", "The header is complete; the tensor data is truncated.", _FETCH
    ),
    "header-too-large": Rule(
        MalformedError, "error", "A header of more than 100,000,000 bytes is declared.", _REWRITE
    ),
    "too-complex": Rule(
        UnsupportedError, "error", "The header has more parts than this reader examines.", _LIMIT
    ),
    "not-utf8": Rule(MalformedError, "error", "The header is not UTF-8.", _REWRITE),
    "bad-json": Rule(MalformedError, "error", "The header is not JSON.", _REWRITE),
    "not-an-object": Rule(MalformedError, "error", "The header is not a JSON object.", _REWRITE),
    "nesting-too-deep": Rule(
        MalformedError, "error", "The JSON is nested deeper than loaders read.", _REWRITE
    ),
    "leading-space": Rule(
        IrregularityError, "warning", "The header does not start with a brace.", _REPORT
    ),
    "duplicate-key": Rule(
        MalformedError,
        "error",
        "A key appears twice; readers disagree on which one counts.",
        _REWRITE,
    ),
    "null-metadata": Rule(IrregularityError, "warning", "__metadata__ is null.", _REPORT),
    "bad-metadata": Rule(
        MalformedError, "error", "__metadata__ is not an object of strings.", _REWRITE
    ),
    "bad-tensor": Rule(
        MalformedError, "error", "A tensor is not an object of its three fields.", _REWRITE
    ),
    "unusual-tensor": Rule(
        IrregularityError,
        "warning",
        "A tensor is written in a form that only the Rust reader accepts.",
        _REPORT,
    ),
    "unknown-field": Rule(
        IrregularityError,
        "warning",
        "A tensor has a field that the format does not define.",
        _REPORT,
    ),
    "missing-field": Rule(
        MalformedError, "error", "A tensor lacks dtype, shape or data_offsets.", _REWRITE
    ),
    "bad-dtype": Rule(MalformedError, "error", "A tensor's dtype does not exist.", _REWRITE),
    "bad-shape": Rule(
        MalformedError, "error", "A shape is not a list of non-negative integers.", _REWRITE
    ),
    "tensor-too-large": Rule(
        MalformedError, "error", "A tensor's elements or bits overflow 64 bits.", _REWRITE
    ),
    "partial-byte": Rule(
        MalformedError, "error", "A tensor of small elements ends inside a byte.", _REWRITE
    ),
    "bad-offsets": Rule(
        MalformedError, "error", "data_offsets is not an ascending pair.", _REWRITE
    ),
    "size-mismatch": Rule(
        MalformedError, "error", "A tensor's bytes do not match its shape and dtype.", _REWRITE
    ),
    "hole": Rule(MalformedError, "error", "There is a gap between two tensors.", _REWRITE),
    "overlap": Rule(MalformedError, "error", "Two tensors share bytes.", _REWRITE),
    "trailing-data": Rule(
        MalformedError, "error", "There are bytes that belong to no tensor.", _REWRITE
    ),
    "polyglot": Rule(
        IrregularityError,
        "warning",
        "The file is something else as well: an archive, a program or a script follows the model, "
        "or its last bytes are a zip archive's directory.",
        "Find out who added it; take the file from its publisher and compare the SHA-256.",
    ),
}

_TRUST = "Do not load it; ask its publisher for safetensors, or allow the name if you trust it."
_PICKLE: Final = {
    "forbidden-global": Rule(
        UnsafeError, "error", "Loading the pickle imports or calls what is not harmless.", _TRUST
    ),
    "undecided-global": Rule(
        UnsafeError,
        "error",
        "The pickle imports or calls something whose name shows only when it is loaded.",
        _TRUST,
    ),
    "forbidden-build": Rule(
        UnsafeError, "error", "The pickle changes the attributes of a class or function.", _TRUST
    ),
    "encoded-payload": Rule(
        UnsafeError,
        "error",
        "A text in the pickle is another pickle, in base64 or hexadecimal digits, that imports or "
        "calls what is not harmless. Loading the file does not load it; code that decodes it does.",
        _TRUST,
    ),
    "code-in-archive": Rule(
        UnsafeError,
        "error",
        "The archive ships code that loading runs: TorchScript or torch.package.",
        _TRUST,
    ),
    "unreadable": Rule(
        MalformedError,
        "error",
        "The pickle, or what holds it, cannot be followed to its end; an unpickler may run what "
        "comes before the fault.",
        "Do not load it; fetch it again, or ask its publisher for safetensors.",
    ),
    "unexamined": Rule(
        UnsupportedError, "error", "The pickle is larger than this tool examines.", _LIMIT
    ),
    "truncated-data": Rule(
        TruncatedError, "error", "The stream is complete; the data behind it is truncated.", _FETCH
    ),
    "trailing-data": Rule(
        IrregularityError, "info", "There are bytes behind the pickle that are none.", _REPORT
    ),
}

_WEIGHTS: Final = {
    "runs-code": Rule(
        UnsafeError,
        "error",
        "Loading or running the model runs code, or reaches files, as the file says.",
        "Do not load it; ask its publisher for safetensors, or waive this if you trust the code.",
    ),
    "outside-path": Rule(
        UnsafeError,
        "error",
        "The file names a path outside of its own folder, which loading reads or writes.",
        "Do not load it; have it exported again with its data beside it.",
    ),
    "custom-operator": Rule(
        IrregularityError,
        "warning",
        "The model uses an operator, layer or class that its format does not define: running it "
        "needs native code or Python code from elsewhere.",
        "Find out which library defines it, and load the model with that one only.",
    ),
    "unreadable": Rule(
        MalformedError,
        "error",
        "The file cannot be followed to its end; a loader may run what comes before the fault.",
        "Do not load it; fetch it again and compare its size or SHA-256.",
    ),
    "truncated": Rule(
        TruncatedError, "error", "The file ends before the length that it states.", _FETCH
    ),
    "unexamined": Rule(
        UnsupportedError, "error", "The file is larger than this tool examines.", _LIMIT
    ),
}

_ZIP: Final = {
    "no-directory": Rule(
        MalformedError, "error", "The archive has no directory that can be read.", _FETCH
    ),
    "two-directories": Rule(
        MalformedError, "error", "The archive has two directories; readers open either.", _LOOK
    ),
    "prefix": Rule(
        IrregularityError, "warning", "There are bytes before the archive's first entry.", _LOOK
    ),
    "bad-entry": Rule(
        MalformedError, "error", "An entry of the archive is not where its directory says.", _LOOK
    ),
    "header-mismatch": Rule(
        MalformedError,
        "error",
        "An entry's own header disagrees with the directory; readers take either.",
        _LOOK,
    ),
    "duplicate-name": Rule(
        MalformedError, "error", "Two entries have one name, but for case; readers differ.", _LOOK
    ),
    "overlap": Rule(MalformedError, "error", "Two entries share bytes of the archive.", _LOOK),
    "encrypted": Rule(
        IrregularityError,
        "error",
        "An entry is marked as encrypted, which model loaders ignore or refuse.",
        _LOOK,
    ),
    "wrong-crc": Rule(
        MalformedError,
        "error",
        "An entry's bytes do not have the CRC-32 that the directory states.",
        _FETCH,
    ),
    "hidden-data": Rule(
        IrregularityError, "warning", "There are bytes in the archive that no entry has.", _LOOK
    ),
}


def _collect() -> dict[str, Rule]:
    rules: dict[str, Rule] = {}
    for family, table in (
        ("gguf", _GGUF),
        ("safetensors", _SAFETENSORS),
        ("pickle", _PICKLE),
    ):
        for name, (meaning, remedy) in _NOT_A_MODEL.items():
            rules[f"{family}/{name}"] = Rule(NotAModelError, "error", meaning, remedy)
        rules.update((f"{family}/{name}", rule) for name, rule in table.items())
    rules.update((f"zip/{name}", rule) for name, rule in _ZIP.items())
    rules.update((f"weights/{name}", rule) for name, rule in _WEIGHTS.items())
    rules["sbom/not-a-model"] = Rule(
        NotAModelError, "error", "The file is neither GGUF nor safetensors.", _LOOK
    )
    return rules


RULES: Final = MappingProxyType(_collect())
"""Every code that a header reader can report."""


def make_error(code: str, *, offset: int, field: str, expected: str, found: str) -> HeaderError:
    """Return the error for a code, with the kind and severity of its rule.

    Raises:
        KeyError: There is no such code: a bug in the reader, not in the file.
    """
    rule = RULES[code]
    return rule.kind(
        code, rule.severity, offset=offset, field=field, expected=expected, found=found
    )
