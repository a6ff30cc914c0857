"""Select the compiled scanners or their pure Python equivalents.

The extension modules are optional. Where they could not be compiled at installation, the pure
Python modules do the same, only slower. ``PREFECT_MUTAGEN_PURE=1`` forces the pure ones. Callers
look the names up in this module at every call, so that tests can switch implementations.
"""

import os
from typing import Final

from prefect_mutagen.parsers import string_walk, tensor_columns

__all__ = ["COMPILED", "TensorColumns", "walk_strings"]

walk_strings = string_walk.walk_strings
TensorColumns: type[tensor_columns.TensorColumns] = tensor_columns.TensorColumns
COMPILED: bool = False
"""Whether the compiled scanners are in use."""

_PURE: Final = os.environ.get("PREFECT_MUTAGEN_PURE", "") not in ("", "0")
if not _PURE:
    try:
        from prefect_mutagen.parsers import _string_walk, _tensor_columns
    except ImportError:
        pass
    else:
        walk_strings = _string_walk.walk_strings
        TensorColumns = _tensor_columns.TensorColumns
        COMPILED = True
