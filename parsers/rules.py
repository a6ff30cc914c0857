"""The rules of all formats as one table: code, error class, severity, meaning, remedy.

Severities follow one principle. The reference loader refuses the file: ``error``. The specification
forbids it but the reference loads it: ``warning``. Anything else worth knowing: ``info``. There are
two exceptions. Duplicates are errors even where a loader accepts them, because two readers would
load two different models. A big-endian file is a warning, because big-endian hosts load it.

The references are ggml's ``gguf.cpp`` for GGUF and the Rust crate ``safetensors`` for safetensors.
"""

from types import MappingProxyType
from typing import Final

from prefect_mutagen.parsers.errors import (
    HeaderError,
    IrregularityError,
    MalformedError,
    NotAModelError,
    TruncatedError,
    UnsupportedError,
)
from prefect_mutagen.parsers.rule import FETCH, FORK, LIMIT, LOOK, REPORT, REWRITE, Rule
from prefect_mutagen.parsers.rules_beside import PICKLE, WEIGHTS, ZIP

__all__ = ["RULES", "Rule", "make_error"]


_NOT_A_MODEL: Final = {
    "empty-file": ("The file has no bytes at all.", FETCH),
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
    "executable": ("A program: another kind of file under a model's name.", LOOK),
    "apple-double": (
        "Attributes that a Mac keeps beside a file (._NAME); the file itself is another one.",
        "Remove it (dot_clean on a Mac), and look whether the file of that name is there.",
    ),
    "zeros": ("Only zero bytes: space was allocated and never written.", FETCH),
    "wrong-format": (
        "A model of the other format: the name does not match the content.",
        "Rename the file to match its content.",
    ),
    "bad-magic": ("The first bytes match no model format.", LOOK),
}

_GGUF: Final = {
    "truncated": Rule(TruncatedError, "error", "The file ends inside its header.", FETCH),
    "truncated-data": Rule(
        TruncatedError,
        "error",
        "The header is complete; the tensor data is truncated, or a fork of ggml laid it out.",
        f"{FETCH} {FORK}",
    ),
    "version-1": Rule(
        UnsupportedError, "error", "GGUF version 1: no current loader reads it.", REWRITE
    ),
    "unknown-version": Rule(
        UnsupportedError, "error", "A GGUF version that does not exist yet, or never did.", LOOK
    ),
    "big-endian": Rule(
        UnsupportedError,
        "warning",
        "A big-endian file: it loads on big-endian hosts only.",
        "Convert it for little-endian hosts.",
    ),
    "negative-count": Rule(
        MalformedError, "error", "A negative number of tensors or keys.", REWRITE
    ),
    "string-too-long": Rule(
        MalformedError, "error", "A string of more than 1 GiB is declared.", REWRITE
    ),
    "empty-key": Rule(MalformedError, "error", "A metadata key has no name.", REWRITE),
    "duplicate-key": Rule(MalformedError, "error", "A metadata key appears twice.", REWRITE),
    "long-key": Rule(
        IrregularityError, "warning", "A metadata key is longer than 65535 bytes.", REPORT
    ),
    "non-ascii-key": Rule(
        IrregularityError, "warning", "A metadata key has non-ASCII characters.", REPORT
    ),
    "bad-value-type": Rule(
        MalformedError, "error", "A metadata value has a type that does not exist.", REWRITE
    ),
    "nested-array": Rule(
        MalformedError, "error", "An array of arrays, which loaders refuse.", REWRITE
    ),
    "array-too-long": Rule(
        MalformedError, "error", "An array of more than 2^30 elements is declared.", REWRITE
    ),
    "bad-bool": Rule(
        IrregularityError, "warning", "A boolean is neither 0 nor 1; read as true.", REPORT
    ),
    "invalid-utf8": Rule(
        IrregularityError,
        "warning",
        "A string is not UTF-8; shown with replacement characters.",
        REPORT,
    ),
    "non-finite-number": Rule(
        IrregularityError, "info", "A number is NaN or infinite; shown as null.", REPORT
    ),
    "bad-alignment": Rule(
        MalformedError, "error", "general.alignment is not a UINT32 power of two.", REWRITE
    ),
    "odd-alignment": Rule(
        IrregularityError, "warning", "general.alignment is not a multiple of 8.", REPORT
    ),
    "missing-architecture": Rule(
        IrregularityError, "warning", "general.architecture is missing or not a string.", REPORT
    ),
    "long-tensor-name": Rule(
        MalformedError, "error", "A tensor's name has 64 bytes or more.", REWRITE
    ),
    "duplicate-tensor": Rule(MalformedError, "error", "A tensor's name appears twice.", REWRITE),
    "too-many-dimensions": Rule(
        MalformedError, "error", "A tensor has more than four dimensions.", REWRITE
    ),
    "negative-dimension": Rule(
        MalformedError, "error", "A tensor has a negative dimension.", REWRITE
    ),
    "tensor-too-large": Rule(
        MalformedError, "error", "A tensor's elements or bytes overflow 64 bits.", REWRITE
    ),
    "bad-tensor-type": Rule(
        MalformedError,
        "error",
        "A tensor has a type that ggml does not know: a fork's own, or a newer one.",
        f"Convert the model with ggml's own tools. {FORK}",
    ),
    "removed-tensor-type": Rule(
        UnsupportedError, "error", "A tensor has a type that loaders no longer support.", REWRITE
    ),
    "partial-block": Rule(
        MalformedError, "error", "A tensor's rows do not fill its type's blocks.", REWRITE
    ),
    "bad-tensor-offset": Rule(
        MalformedError,
        "error",
        "A tensor does not start where the one before ends, as ggml counts.",
        f"{REWRITE} {FORK}",
    ),
    "missing-padding": Rule(
        IrregularityError, "info", "The padding after the last tensor is missing.", REPORT
    ),
    "trailing-data": Rule(
        IrregularityError, "info", "There are bytes after the last tensor.", REPORT
    ),
    "polyglot": Rule(
        IrregularityError,
        "warning",
        "The file is something else as well: an archive, a program or a script follows the model, "
        "or its last bytes are a zip archive's directory.",
        "Find out who added it; take the file from its publisher and compare the SHA-256.",
    ),
    "nonzero-padding": Rule(
        IrregularityError, "info", "The padding before the tensors is not zero.", REPORT
    ),
    "no-tensors": Rule(
        IrregularityError, "info", "The file has no tensors, only metadata.", REPORT
    ),
    "header-too-large": Rule(
        UnsupportedError, "error", "The header is larger than this reader examines.", LIMIT
    ),
}

_SAFETENSORS: Final = {
    "truncated": Rule(TruncatedError, "error", "The file ends inside its header.", FETCH),
    "truncated-data": Rule(
        TruncatedError, "error", "The header is complete; the tensor data is truncated.", FETCH
    ),
    "header-too-large": Rule(
        MalformedError, "error", "A header of more than 100,000,000 bytes is declared.", REWRITE
    ),
    "too-complex": Rule(
        UnsupportedError, "error", "The header has more parts than this reader examines.", LIMIT
    ),
    "not-utf8": Rule(MalformedError, "error", "The header is not UTF-8.", REWRITE),
    "bad-json": Rule(MalformedError, "error", "The header is not JSON.", REWRITE),
    "not-an-object": Rule(MalformedError, "error", "The header is not a JSON object.", REWRITE),
    "nesting-too-deep": Rule(
        MalformedError, "error", "The JSON is nested deeper than loaders read.", REWRITE
    ),
    "leading-space": Rule(
        IrregularityError, "warning", "The header does not start with a brace.", REPORT
    ),
    "duplicate-key": Rule(
        MalformedError,
        "error",
        "A key appears twice; readers disagree on which one counts.",
        REWRITE,
    ),
    "null-metadata": Rule(IrregularityError, "warning", "__metadata__ is null.", REPORT),
    "bad-metadata": Rule(
        MalformedError, "error", "__metadata__ is not an object of strings.", REWRITE
    ),
    "bad-tensor": Rule(
        MalformedError, "error", "A tensor is not an object of its three fields.", REWRITE
    ),
    "unusual-tensor": Rule(
        IrregularityError,
        "warning",
        "A tensor is written in a form that only the Rust reader accepts.",
        REPORT,
    ),
    "unknown-field": Rule(
        IrregularityError,
        "warning",
        "A tensor has a field that the format does not define.",
        REPORT,
    ),
    "missing-field": Rule(
        MalformedError, "error", "A tensor lacks dtype, shape or data_offsets.", REWRITE
    ),
    "bad-dtype": Rule(MalformedError, "error", "A tensor's dtype does not exist.", REWRITE),
    "bad-shape": Rule(
        MalformedError, "error", "A shape is not a list of non-negative integers.", REWRITE
    ),
    "tensor-too-large": Rule(
        MalformedError, "error", "A tensor's elements or bits overflow 64 bits.", REWRITE
    ),
    "partial-byte": Rule(
        MalformedError, "error", "A tensor of small elements ends inside a byte.", REWRITE
    ),
    "bad-offsets": Rule(MalformedError, "error", "data_offsets is not an ascending pair.", REWRITE),
    "size-mismatch": Rule(
        MalformedError, "error", "A tensor's bytes do not match its shape and dtype.", REWRITE
    ),
    "hole": Rule(MalformedError, "error", "There is a gap between two tensors.", REWRITE),
    "overlap": Rule(MalformedError, "error", "Two tensors share bytes.", REWRITE),
    "trailing-data": Rule(
        MalformedError, "error", "There are bytes that belong to no tensor.", REWRITE
    ),
    "polyglot": Rule(
        IrregularityError,
        "warning",
        "The file is something else as well: an archive, a program or a script follows the model, "
        "or its last bytes are a zip archive's directory.",
        "Find out who added it; take the file from its publisher and compare the SHA-256.",
    ),
}


def _collect() -> dict[str, Rule]:
    rules: dict[str, Rule] = {}
    for family, table in (
        ("gguf", _GGUF),
        ("safetensors", _SAFETENSORS),
        ("pickle", PICKLE),
    ):
        for name, (meaning, remedy) in _NOT_A_MODEL.items():
            rules[f"{family}/{name}"] = Rule(NotAModelError, "error", meaning, remedy)
        rules.update((f"{family}/{name}", rule) for name, rule in table.items())
    rules.update((f"zip/{name}", rule) for name, rule in ZIP.items())
    rules.update((f"weights/{name}", rule) for name, rule in WEIGHTS.items())
    rules["sbom/not-a-model"] = Rule(
        NotAModelError, "error", "The file is neither GGUF nor safetensors.", LOOK
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
