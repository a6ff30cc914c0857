"""From a root to artifacts: listings, inventories, selection, roles, grouping.

Hands out `list_artifacts` and `list_selected` (``listing``) and the `Artifact` record. Knows what
files are called, not what is in them.
"""
