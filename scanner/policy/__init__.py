"""Policies and verdicts: fields, judging, waivers, licences of base models, publishers.

Provides `Policy` and `load_policy` (``policy``) and `judge`. Works on facts and findings alone and
does no I/O on models.
"""
