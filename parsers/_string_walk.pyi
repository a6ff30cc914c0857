from prefect_mutagen.parsers.string_walk import walk_strings as walk_strings
