"""Signatures beside a model: which files they cover, and whether a trusted signer made them.

* ``signatures``: parse signature files; ``digests``: compare their digests with the known ones.
* ``signers``: the signers a policy trusts; ``check``: verify signatures against them.
* ``document``: the signed payload; ``keys``, ``identities``: verification by key or certificate and
  by Sigstore identity. The last two need the extra ``signing``; they are imported only when a
  policy names signers.
"""
