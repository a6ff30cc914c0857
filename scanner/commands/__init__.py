"""The parts of the command ``prefect-mutagen``: one file per command, each with ``add_parser``.

Commands that need more than the scanner announce themselves under the entry points
``prefect_mutagen.commands``; `program` puts all of them together.
"""
