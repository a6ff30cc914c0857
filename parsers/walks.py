"""Choose between the compiled walks and their twins in pure Python.

The extension is optional: where no compiler was at hand when this package was installed, the twins
do the same, slower. ``PREFECT_MUTAGEN_PURE=1`` asks for them where both are there. Callers look
the names up here at every call, so that tests can hold both to the same cases.
"""

import os
from typing import Final

from prefect_mutagen.parsers import string_walk, tensor_columns

__all__ = ["COMPILED", "TensorColumns", "walk_strings"]

walk_strings = string_walk.walk_strings
TensorColumns: type[tensor_columns.TensorColumns] = tensor_columns.TensorColumns
COMPILED: bool = False
"""Whether the compiled walks are in use."""

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
