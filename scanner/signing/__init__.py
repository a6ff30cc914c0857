"""Signatures beside a model: what they name, and whether someone whom the policy trusts made them.

* ``signatures``: reads them; ``digests``: holds what they name against what is known.
* ``signers``: what a policy says of signers; ``check``: looks for a signature by one of them.
* ``document``: the signed text; ``keys``, ``identities``: keys and certificates, and Sigstore. The
  last two need the extra ``signing``, and are imported when a policy names signers.
"""
