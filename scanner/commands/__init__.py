"""The command ``prefect-mutagen``: one module per subcommand, each with ``add_parser``.

Subcommands that need more than the scanner register as entry points of the group
``prefect_mutagen.commands``; `program` combines all of them.
"""
