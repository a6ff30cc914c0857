"""Keep bad model files away from agents: scan models, judge them, start only what passed.

The house, from the ground up. Imports run one way, from the last line to the first:

* ``parsers``: bytes to facts. Pure readers of GGUF and safetensors headers; no I/O.
* ``scanner``: a URL to an SBOM, findings and a verdict. Knows storage, knows no Prefect.
* ``tasks``: the scanner's steps as Prefect tasks. Thin.
* ``flows``: what runs, in what order, how wide, and which agents start after it.

Three ways in::

    from prefect_mutagen.parsers import read_header        # bytes in, a header or "need bytes" out
    from prefect_mutagen.scanner import scan, verify       # a bucket, or the line before a load
    from prefect_mutagen.flows import scan_models          # the same as a Prefect flow

The types of blocks are handed out here, too, for ``prefect block register -m prefect_mutagen``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_mutagen.flows.blocks import ModelPolicy, ModelRoot, ModelTable

__version__ = "0.2.0.dev0"

__all__ = ["ModelPolicy", "ModelRoot", "ModelTable", "__version__"]

_BLOCKS = frozenset({"ModelPolicy", "ModelRoot", "ModelTable"})


def __getattr__(name: str) -> Any:
    """Import a block type on first use, because importing Prefect takes seconds."""
    if name not in _BLOCKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("prefect_mutagen.flows.blocks"), name)


def __dir__() -> list[str]:
    """Name the block types, too: Prefect looks for them among a module's names."""
    return sorted({*globals(), *__all__})
