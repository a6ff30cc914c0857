"""What may be handed to an agent: fields, judging, waivers, lineage, publishers.

Hands out `Policy` and `load_policy` (``policy``) and `judge`. Knows facts and findings, not where
they were read.
"""
