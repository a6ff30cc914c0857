"""From an artifact to its result.

The machine without I/O (``examiner``) and its engines: ``engine`` for one store, ``remote_engine``
for many requests under way, ``processes`` for all cores. Knows no table and no output.
"""
