"""Examine each artifact under the policy that holds where it lies.

What is read depends on the policy: its signers, the globals that it trusts in pickles. So each
override of a policy has an examiner of its own, which shares what folders and models have in common
with the others.
"""

from dataclasses import replace

from prefect_mutagen.scanner.examine.examiner import Examiner

__all__ = ["examiner_at"]


def examiner_at(examiner: Examiner, url: str) -> Examiner:
    """Return the examiner for an artifact.

    Args:
        examiner: The examiner of the scan; the one that is returned if its policy has no overrides.
        url: Address of the artifact.

    Raises:
        ValueError: Signatures of the policy's signers cannot be verified here.
    """
    policy = examiner.policy.at(url)
    if policy is examiner.policy:
        return examiner
    # By identity: the policies live as long as the set that they are of.
    found = examiner.others.get(id(policy))
    if found is None:
        # Owners are the scan's: an override states none.
        applied = replace(policy, owner_tag=examiner.policy.owner_tag)
        found = examiner.others.setdefault(id(policy), replace(examiner, policy=applied))
    return found
