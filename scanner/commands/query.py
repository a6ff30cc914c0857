"""``prefect-mutagen query``: query a table with DuckDB, through one view per table part.

``artifacts``: the latest state of every root; ``history``: all states; ``sboms``; ``scans``;
``census``; ``starts``: those of agents, read only if the query names them.
"""

import argparse
import csv
import sys
from glob import escape
from tempfile import gettempdir
from typing import Any, Final

from prefect_mutagen.scanner.commands.arguments import filled, one_of
from prefect_mutagen.scanner.commands.shared import PASSED, UNREACHABLE, add_storage, complain
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.sbom.json_text import to_json
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.options import load_options, refuse_unprintable

__all__ = ["VIEWS", "add_parser"]

VIEWS: Final = """
CREATE VIEW history AS FROM (FROM all_artifacts UNION ALL BY NAME FROM all_changes)
    SEMI JOIN scans USING (scan_id);
CREATE VIEW artifacts AS
WITH newest AS (
    SELECT source, unnest(files) AS scan_id, generate_subscripts(files, 1) AS place,
        place = len(files) AS is_last
    FROM (SELECT source,
            arg_max(list_prepend(state_scan_id, coalesce(changes, [])), scan_id) AS files
          FROM scans GROUP BY source)
), changed AS (
    FROM all_changes JOIN newest USING (source, scan_id)
    QUALIFY place = max(place) OVER (PARTITION BY source, url)
), state AS (
    FROM all_artifacts JOIN newest USING (source, scan_id) ANTI JOIN changed USING (source, url)
    UNION ALL BY NAME FROM changed
)
SELECT * EXCLUDE (place, is_last) REPLACE (
    CASE WHEN is_last THEN drift ELSE 'unchanged' END AS drift,
    CASE WHEN is_last THEN drift_details ELSE [] END AS drift_details)
FROM state WHERE state.drift <> 'removed';
CREATE VIEW sboms AS FROM all_sboms SEMI JOIN history USING (sbom_id)
    QUALIFY row_number() OVER (PARTITION BY sbom_id, object_url ORDER BY scan_id DESC) = 1;
CREATE VIEW census AS SELECT source, scan_id, started_at, counted.role, counted.state,
    counted.objects, counted.bytes,
    scan_id = max(scan_id) OVER (PARTITION BY source) AS is_newest
    FROM (SELECT source, scan_id, started_at, unnest(census) AS counted FROM scans);
"""

_STARTS: Final = """
CREATE VIEW starts AS FROM all_starts
    WHERE state <> 'waiting' OR scan_id IN (SELECT scan_id FROM scans);
"""
_CENSUS: Final = "FROM census WHERE is_newest ORDER BY source, objects DESC, role, state"


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser("query", help="query a table with SQL; needs DuckDB")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument(
        "sql",
        metavar="SQL",
        type=filled,
        nargs="?",
        help="views: artifacts, history, sboms, scans, census, starts",
    )
    asked.add_argument(
        "--census",
        action="store_true",
        help="what the newest scan of each root listed, by role, and whether it was examined",
    )
    parser.add_argument(
        "--table", metavar="URL", type=filled, required=True, help="the Parquet table"
    )
    parser.add_argument("--format", **one_of(_WRITERS), default="table", help="default: table")
    add_storage(parser)
    parser.set_defaults(run=_query, refuse_rest=parser.refuse_rest)


def _query(options: argparse.Namespace) -> int:
    try:
        import duckdb
    except ImportError:
        complain("query needs DuckDB: pip install 'prefect-mutagen[query]'")
        return UNREACHABLE
    try:
        # By default DuckDB spills to the current folder.
        with duckdb.connect(
            config={"autoinstall_known_extensions": "false", "temp_directory": gettempdir()}
        ) as connection:
            storage_options = load_options(options.storage_options or "")
            _add_views(connection, options.table, storage_options)
            if "starts" in (options.sql or ""):
                _add_starts(connection, options.table, storage_options)
            found = connection.execute(_CENSUS if options.census else options.sql)
            names = [name for name, *_ in found.description or ()]
            rows = found.fetchall()
            _WRITERS[options.format](names, rows)
            if options.census and not rows:
                complain("no scan of this table has counted its objects yet; scan again")
            return PASSED
    except duckdb.Error as problem:
        complain(str(problem).partition("\n\n")[0])
    return UNREACHABLE


def _add_views(connection: Any, url: str, options: dict[str, Any]) -> None:
    """Register one view per table part, across schema versions."""
    import duckdb
    import fsspec

    from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS, SCANS

    address = Address.parse(url)
    schemas = {"artifacts": ARTIFACTS, "changes": ARTIFACTS, "sboms": SBOMS, "scans": SCANS}
    try:
        refuse_unprintable(options)
        system, path = fsspec.core.url_to_fs(address.secret_text, **options)
        if "file" not in system.protocol:
            connection.register_filesystem(system)
        for part, schema in schemas.items():
            paths = system.glob(f"{escape(path)}/{part}/*/*.parquet")
            if part == "scans":
                _require(paths, address)
            connection.register(f"no_{part}", schema.empty_table())
            known = connection.table(f"no_{part}")
            if paths:
                places = [system.unstrip_protocol(path).removeprefix("file://") for path in paths]
                connection.read_parquet(places, union_by_name=True).create_view(f"some_{part}")
                known = connection.sql(f"FROM no_{part} UNION ALL BY NAME FROM some_{part}")
            known.create_view("scans" if part == "scans" else f"all_{part}")
    except (StorageError, duckdb.Error):
        raise
    except Exception as problem:  # noqa: BLE001 - every file system raises its own errors
        reason = f"the table cannot be read: {type(problem).__name__}"
        raise StorageError("storage/failed", address.text, reason) from None
    connection.execute(VIEWS)


def _add_starts(connection: Any, url: str, options: dict[str, Any]) -> None:
    """Register the view of starts: a file each, so they are read only where they are asked for."""
    from prefect_mutagen.scanner.agents.start_table import read_starts

    connection.register("all_starts", read_starts(url, options))
    connection.execute(_STARTS)


def _require(paths: list[str], address: Address) -> None:
    if not paths:
        raise StorageError("storage/not-found", address.text, "there is no table")


def _write_table(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*map(visible, names), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(visible(_text(value)) for value in row))
    width = None if sys.stdout.isatty() else 10_000  # pipes have no width
    Console(width=width, markup=False, emoji=False).print(table)


def _write_json(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    plain = [dict(zip(names, _plain(row), strict=True)) for row in rows]
    sys.stdout.write(to_json(plain, indent=2) + "\n")


def _write_csv(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    for row in rows:
        texts = [visible(_text(value), 1 << 20) for value in row]
        writer.writerow("'" * text.startswith(("=", "+", "-", "@")) + text for text in texts)


def _text(value: Any) -> str:
    plain = "" if value is None else _plain(value)
    return plain if isinstance(plain, str) else to_json(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


_WRITERS: Final = {"table": _write_table, "json": _write_json, "csv": _write_csv}
