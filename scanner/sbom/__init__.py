"""Build the 20-field document from facts and their sources.

Provides `build_sbom` and `describe` (``document``), and the JSON encoder for all documents
(``json_text``). Knows no policy and no storage requests.
"""
