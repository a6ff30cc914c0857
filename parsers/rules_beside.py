"""The rules of pickles, of ZIP archives, and of weights that are neither GGUF nor safetensors.

An error is what runs code or reaches outside when the file is loaded, and what hides it: no loader
refuses those. What can be read by every loader, and is merely odd, is a warning.
"""

from typing import Final

from prefect_mutagen.parsers.errors import (
    IrregularityError,
    MalformedError,
    TruncatedError,
    UnsafeError,
    UnsupportedError,
)
from prefect_mutagen.parsers.rule import FETCH, LIMIT, LOOK, REPORT, Rule

__all__ = ["PICKLE", "WEIGHTS", "ZIP"]

_TRUST = "Do not load it; ask its publisher for safetensors, or allow the name if you trust it."
PICKLE: Final = {
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
        UnsupportedError, "error", "The pickle is larger than this tool examines.", LIMIT
    ),
    "truncated-data": Rule(
        TruncatedError, "error", "The stream is complete; the data behind it is truncated.", FETCH
    ),
    "trailing-data": Rule(
        IrregularityError, "info", "There are bytes behind the pickle that are none.", REPORT
    ),
}

WEIGHTS: Final = {
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
        TruncatedError, "error", "The file ends before the length that it states.", FETCH
    ),
    "unexamined": Rule(
        UnsupportedError, "error", "The file is larger than this tool examines.", LIMIT
    ),
}

ZIP: Final = {
    "no-directory": Rule(
        MalformedError, "error", "The archive has no directory that can be read.", FETCH
    ),
    "two-directories": Rule(
        MalformedError, "error", "The archive has two directories; readers open either.", LOOK
    ),
    "prefix": Rule(
        IrregularityError, "warning", "There are bytes before the archive's first entry.", LOOK
    ),
    "bad-entry": Rule(
        MalformedError, "error", "An entry of the archive is not where its directory says.", LOOK
    ),
    "header-mismatch": Rule(
        MalformedError,
        "error",
        "An entry's own header disagrees with the directory; readers take either.",
        LOOK,
    ),
    "duplicate-name": Rule(
        MalformedError, "error", "Two entries have one name, but for case; readers differ.", LOOK
    ),
    "overlap": Rule(MalformedError, "error", "Two entries share bytes of the archive.", LOOK),
    "encrypted": Rule(
        IrregularityError,
        "error",
        "An entry is marked as encrypted, which model loaders ignore or refuse.",
        LOOK,
    ),
    "wrong-crc": Rule(
        MalformedError,
        "error",
        "An entry's bytes do not have the CRC-32 that the directory states.",
        FETCH,
    ),
    "hidden-data": Rule(
        IrregularityError, "warning", "There are bytes in the archive that no entry has.", LOOK
    ),
}
