"""List the artifacts below a root: listings, inventories, selection, roles, grouping.

Provides `list_artifacts` and `list_selected` (``listing``) and the `Artifact` record. Knows file
names, not file contents.
"""
