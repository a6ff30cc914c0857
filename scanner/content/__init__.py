"""What the small files beside a model say: cards, configs, tokenizers, templates, licences.

Hands out the facts and findings of texts that strangers wrote, read under limits. Knows no storage
requests, no listing and no verdict.
"""
