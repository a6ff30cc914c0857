"""Pages of the site that are made while it is built: nothing of them is kept beside the code.

MkDocs calls the functions whose names begin with ``on_`` (hooks of mkdocs.yml).
"""

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS, SCANS

ROOT: Final = Path(__file__).parent.parent
_PARTS: Final = {
    "artifacts": ("a row per artifact; the view `history` has all states of it", ARTIFACTS),
    "sboms": ("the documents, joined by `sbom_id`", SBOMS),
    "scans": ("a row per scan", SCANS),
}
_COLUMNS: Final = """\
# Columns of the table

What `prefect-mutagen query` and every other reader of Parquet find, from the schema itself. Columns
are only ever appended. [The table](../table.md) says what they are for and has queries to copy.
"""
_POLICY: Final = """\
# Fields of the policy

All fields, from the code itself. [Policy](../policy.md) explains them by subject, with examples.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {
        "reference/columns.md": columns_page(),
        "reference/policy.md": policy_page(),
        "changes.md": changes_page(),
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def columns_page() -> str:
    """Return the page on the columns of the table."""
    lines = [_COLUMNS]
    for part, (what, schema) in _PARTS.items():
        lines += [f"## {part}", "", f"{what[0].upper()}{what[1:]}.", ""]
        lines += ["| column | type |", "|---|---|"]
        lines += [f"| `{column.name}` | {_kind(column.type)} |" for column in schema]
        lines.append("")
    return "\n".join(lines)


def _kind(kind: pa.DataType) -> str:
    """Return a type in words; DuckDB has the same ones under names of its own."""
    if pa.types.is_list(kind):
        return f"list of {_kind(kind.value_type)}"
    if pa.types.is_map(kind):
        return f"map of {_kind(kind.key_type)} to {_kind(kind.item_type)}"
    if pa.types.is_struct(kind):
        inner = ", ".join(f"`{field.name}` {_kind(field.type)}" for field in kind)
        return f"struct ({inner})"
    if pa.types.is_timestamp(kind):
        return "timestamp (UTC)"
    names = {"string": "text", "int64": "integer", "bool": "boolean", "double": "number"}
    return names.get(str(kind), str(kind))


def policy_page() -> str:
    """Return the page on the fields of a policy."""
    lines = [_POLICY, *_field_rows(Policy)]
    for name, record in _records(Policy):
        lines += [f"## Entries of {name}", "", *_field_rows(record)]
    return "\n".join(lines)


def _records(owner: Any) -> Iterator[tuple[str, type]]:
    """Yield the fields whose entries are records, with these."""
    for field in fields(owner):
        for record in getattr(field.type, "__args__", ()):
            if is_dataclass(record) and isinstance(record, type):
                yield f"`{field.name}`", record


def _field_rows(owner: Any) -> list[str]:
    said = _docstrings(owner)
    lines = ["| field | default | meaning |", "|---|---|---|"]
    for field in fields(owner):
        cells = (f"`{field.name}`", _default(field), said[field.name])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, ""]


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    plain = {"()": "none", "''": "none", "True": "`true`", "False": "`false`"}
    return plain.get(repr(field.default), f"`{field.default}`")


def _docstrings(owner: Any) -> dict[str, str]:
    """Return what stands below the fields of a record: the help of Prefect's form."""
    import ast
    import inspect
    import textwrap

    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - it is one
    found: dict[str, str] = {}
    for above, below in zip(tree.body, tree.body[1:], strict=False):
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name) and is_text:
            found[above.target.id] = " ".join(str(below.value.value).split())
    return {field.name: found.get(field.name, "") for field in fields(owner)}


def changes_page() -> str:
    """Return the changelog, whose links begin at the root of the repository."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text)
