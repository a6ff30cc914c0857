"""Read the small files beside a model: cards, configs, tokenizers, templates, licences.

Provides facts and findings from untrusted text, read under limits. Knows no storage requests, no
listing and no verdict.
"""
