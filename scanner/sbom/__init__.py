"""From facts and their sources to the 20-field document.

Hands out `build_sbom` and `describe` (``document``) and the JSON that documents are written as
(``json_text``). Knows no policy and no storage requests.
"""
