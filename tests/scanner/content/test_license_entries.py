"""Entries of a policy that no licence can match are refused, and others are taken."""

import pytest

from prefect_mutagen.scanner.policy.policy import Policy, load_policy


@pytest.mark.parametrize("field", ["allowed_licenses", "denied_licenses"])
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("none", "names no licence"),
        ("other", "names no licence"),
        ("apach-2.0", "did you mean Apache-2.0?"),
        ("cc-by-cn-4.0", "did you mean CC-BY-NC-4.0?"),
        ("lama3.1", "did you mean llama3.1?"),
        ("openrial", "did you mean openrail?"),
        ("mit OR apach-2.0", "did you mean Apache-2.0?"),
    ],
)
def test_an_entry_without_effect_is_refused(field: str, entry: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as problem:
        load_policy(f"{field}: [{entry!r}]")
    assert field in str(problem.value)


@pytest.mark.parametrize(
    "entry",
    [
        *("cc-by-nc", "GPL3", "gemma3n", "llama3.5", "our-license", "internal", "Acme Terms"),
        *("acme-2.0", "\u975e\u5546\u7528", "LicenseRef-apach-2.0", "*acme*", "cc-by-nc-*", "nc"),
    ],
)
def test_a_licence_of_ones_own_is_taken(entry: str) -> None:
    assert Policy(denied_licenses=(entry,)).denied_licenses == (entry,)
