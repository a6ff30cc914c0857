"""The digest of a policy, by which people and records tell policies apart.

It stands beside verdicts and says by what rules they were made, so it covers what can decide one.
Whose models are decides none: a model that goes to another team is not judged by other rules, and
nothing is judged again because of it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from prefect_mutagen.scanner.policy.policy import Policy

__all__ = ["policy_digest"]

_DECIDES_NOTHING: Final = frozenset(("owners", "owner_tag"))
"""Fields that no verdict depends on."""


def policy_digest(policy: Policy | Mapping[str, Any]) -> str:
    """Return the SHA-256 of a policy: of its fields but those about owners, as sorted JSON.

    Args:
        policy: The policy, or its fields as they stand in a record; lists and tuples are alike.

    Returns:
        64 hexadecimal digits.
    """
    stated = policy.to_dict() if isinstance(policy, Policy) else policy
    deciding = {name: value for name, value in stated.items() if name not in _DECIDES_NOTHING}
    text = json.dumps(deciding, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
