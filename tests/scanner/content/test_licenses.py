import pytest

from prefect_mutagen.scanner.content.licenses import NOASSERTION, allows, denies, spdx_expression


@pytest.mark.parametrize(
    ("raw", "name", "expression"),
    [
        ("apache-2.0", "", "Apache-2.0"),
        (" MIT ", "", "MIT"),
        ("cc-by-nc-4.0", "", "CC-BY-NC-4.0"),
        ("mit or apache-2.0", "", "MIT OR Apache-2.0"),
        ("llama3.1", "", "LicenseRef-llama3.1"),
        ("Gemma Terms of Use", "", "LicenseRef-gemma-terms-of-use"),
        ("LicenseRef-Own", "", "LicenseRef-Own"),
        ("other", "", NOASSERTION),
        ("other", "Tongyi Qianwen", "LicenseRef-tongyi-qianwen"),
        ("unknown", "unknown", NOASSERTION),
        ("", "", NOASSERTION),
        ("///", "", NOASSERTION),
        ("a\nb: c", "", "LicenseRef-a-b-c"),
        ("x" * 100_000, "", "LicenseRef-" + "x" * 256),
    ],
)
def test_what_people_write_becomes_an_expression(raw: str, name: str, expression: str) -> None:
    assert spdx_expression(raw, name) == expression


@pytest.mark.parametrize(
    ("expression", "allowed", "denied"),
    [
        ("MIT", True, False),
        ("GPL-3.0-only", False, True),
        ("MIT OR GPL-3.0-only", True, False),
        ("MIT AND GPL-3.0-only", False, True),
        ("MIT AND Apache-2.0", True, False),
        ("(MIT AND GPL-3.0-only) OR Apache-2.0", True, False),
        ("(MIT OR GPL-3.0-only) AND Apache-2.0", True, False),
        ("(MIT OR Apache-2.0) AND GPL-3.0-only", False, True),
        ("MIT AND Apache-2.0 OR GPL-3.0-only", True, False),
        ("GPL-3.0-only OR MIT AND BSD-3-Clause", False, False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True, False),
        ("LicenseRef-llama3.1", False, True),
    ],
)
def test_or_needs_one_side_and_and_needs_both(
    expression: str,
    allowed: bool,  # noqa: FBT001 - a column of the table
    denied: bool,  # noqa: FBT001 - a column of the table
) -> None:
    fine = ["mit", "apache-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"]
    assert allows(fine, expression) == allowed
    assert denies(["gpl-3.0-only", "llama3.1"], expression) == denied


def test_an_empty_list_denies_nothing() -> None:
    assert not denies([], "MIT")
