"""Names that a chat template must not select, and the filters, tests and globals it may use.

The attributes are those that `jinja2.sandbox` calls internal and those of CPython's frames, code,
function, method, generator, coroutine and traceback objects (`inspect`'s tables of 3.13, and the
names of Python 2, which some interpreters keep). Filters and tests are those of Jinja 3.1.
"""

import re
import unicodedata
from typing import Final

__all__ = [
    "ATTRIBUTE_ARGUMENT",
    "CALLED_GLOBALS",
    "DATA_ROOTS",
    "FILTERS",
    "FORBIDDEN_GLOBALS",
    "TESTS",
    "is_forbidden",
    "suspicious_part",
]

_INTERNALS: Final = frozenset(
    """
    gi_frame gi_code gi_yieldfrom gi_running gi_suspended
    cr_frame cr_code cr_await cr_origin cr_running cr_suspended
    ag_frame ag_code ag_await ag_running ag_suspended
    tb_frame tb_next tb_lasti tb_lineno
    f_back f_builtins f_code f_generator f_globals f_lasti f_lineno f_locals f_restricted f_trace
    f_trace_lines f_trace_opcodes f_exc_type f_exc_value f_exc_traceback
    co_argcount co_cellvars co_code co_consts co_exceptiontable co_filename co_firstlineno co_flags
    co_freevars co_kwonlyargcount co_lines co_linetable co_lnotab co_name co_names co_nlocals
    co_positions co_posonlyargcount co_qualname co_stacksize co_varnames
    func_closure func_code func_defaults func_dict func_doc func_globals func_name
    im_class im_func im_self mro with_traceback
    """.split()
)
_SUSPICIOUS: Final = re.compile(rf"__|\b(?:{'|'.join(sorted(_INTERNALS))})\b")

FORBIDDEN_GLOBALS: Final = frozenset({"lipsum", "cycler", "joiner", "self"})
"""Jinja's globals through which Python's internals are in reach; no honest template uses one."""
CALLED_GLOBALS: Final = frozenset({"range", "dict", "namespace"})
"""Jinja's globals that may be called, and nothing else."""

DATA_ROOTS: Final = frozenset({"messages", "tools", "documents"})
"""Variables that a loader fills with what the user sends.

Any other variable may be a special token, which is a text of the model.
"""

ATTRIBUTE_ARGUMENT: Final = {
    "attr": 0,
    "groupby": 0,
    "join": 1,
    "max": 1,
    "min": 1,
    "rejectattr": 0,
    "selectattr": 0,
    "sort": 2,
    "sum": 0,
    "unique": 1,
}
"""Filters that select attributes by a text, with the position of that argument."""

FILTERS: Final = frozenset(
    """
    abs attr batch capitalize center count d default dictsort e escape filesizeformat first float
    forceescape format groupby indent int items join last length list lower map max min pprint
    random reject rejectattr replace reverse round safe select selectattr slice sort string
    striptags sum title tojson trim truncate unique upper urlencode urlize wordcount wordwrap
    xmlattr
    """.split()
)
TESTS: Final = frozenset(
    """
    boolean callable defined divisibleby eq equalto escaped even false filter float ge greaterthan
    gt in integer iterable le lessthan lower lt mapping ne none number odd sameas sequence string
    test true undefined upper == != > >= < <=
    """.split()
)


def is_forbidden(name: str) -> bool:
    """Whether an attribute of this name could lead to Python's internals."""
    # Python normalises identifiers, among them the keyword names of a call.
    name = name if name.isascii() else unicodedata.normalize("NFKC", name)
    return name.startswith("_") or name in _INTERNALS


def suspicious_part(text: str) -> str:
    """Return the part of a text that is such a name or has double underscores; empty if none."""
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    found = _SUSPICIOUS.search(text)
    return text[found.start() : found.start() + 24] if found else ""
