import pytest

from prefect_mutagen.scanner.content.license_expressions import NOASSERTION
from prefect_mutagen.scanner.content.license_matching import allows, denies
from prefect_mutagen.scanner.content.licenses import spdx_expression


@pytest.mark.parametrize(
    ("raw", "name", "expression"),
    [
        ("apache-2.0", "", "Apache-2.0"),
        (" MIT ", "", "MIT"),
        ("cc-by-nc-4.0", "", "CC-BY-NC-4.0"),
        ("mit or apache-2.0", "", "MIT OR Apache-2.0"),
        ("llama3.1", "", "LicenseRef-llama3.1"),
        ("Gemma Terms of Use", "", "LicenseRef-gemma"),
        ("LicenseRef-Own", "", "LicenseRef-Own"),
        ("other", "", NOASSERTION),
        ("other", "Tongyi Qianwen", "LicenseRef-qwen"),
        ("other", "Own Terms", "LicenseRef-own-terms"),
        ("unknown", "unknown", NOASSERTION),
        ("", "", NOASSERTION),
        ("///", "", NOASSERTION),
        ("x\nw: z", "", "LicenseRef-x-w-z"),
        # What SPDX has replaced.
        ("gpl-3.0", "", "GPL-3.0-only"),
        ("LGPL-2.1+", "", "LGPL-2.1-or-later"),
        ("agpl-3.0 or mit", "", "AGPL-3.0-only OR MIT"),
        ("GPL-2.0 WITH Classpath-exception-2.0", "", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("GFDL-1.3", "", "GFDL-1.3-only"),
        ("LicenseRef-GPL-3.0", "", "LicenseRef-GPL-3.0"),
        # Names.
        ("Apache 2.0", "", "Apache-2.0"),
        ("Apache License, Version 2.0", "", "Apache-2.0"),
        ("apache2", "", "Apache-2.0"),
        ("The MIT License", "", "MIT"),
        ("GPLv3", "", "GPL-3.0-only"),
        ("gpl v2+", "", "GPL-2.0-or-later"),
        ("BSD 3-Clause License", "", "BSD-3-Clause"),
        ("CC BY-NC 4.0", "", "CC-BY-NC-4.0"),
        ("other", "GPLv3", "GPL-3.0-only"),
        ("Llama 3 Community License", "", "LicenseRef-llama3"),
        ("MIT, CMU", "", "MIT AND LicenseRef-cmu"),
        ("MIT/Apache-2.0", "", "MIT AND Apache-2.0"),
        ("licence", "", "LicenseRef-licence"),
        # Expressions with a licence that SPDX does not know.
        ("llama3.1 AND mit", "", "LicenseRef-llama3.1 AND MIT"),
        ("(gemma or GPLv3) and mit", "", "(LicenseRef-gemma OR GPL-3.0-only) AND MIT"),
        ("llama3 WITH mit", "", "LicenseRef-llama3 AND MIT"),
        ("llama3.1 mit", "", "LicenseRef-llama3.1 AND MIT"),
        ("mit and", "", "MIT"),
        ("(" * 250 + "mit", "", "MIT"),
        ("x" * 100_000, "", f"LicenseRef-{'x' * 64}-d69e68988157"),
        ("通义千问许可证", "", "LicenseRef-bbd927030950"),
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


@pytest.mark.parametrize(
    ("stated", "denied"),
    [
        ("gpl-3.0", "GPL-3.0-only"),
        ("GPL-3.0-only", "gpl-3.0"),
        ("GPLv3", "gpl-3.0"),
        ("gpl-3.0+", "gpl-3.0-or-later"),
        ("gpl-3.0", "gpl-3.0*"),
        ("agpl-3.0", "*gpl-3.0"),
        ("lgpl-2.1+", "*gpl-2.1+"),
        ("Apache License 2.0", "apache-2.0"),
        ("llama3.1 AND mit", "llama3.1"),
        ("mit and llama3.1", "llama*"),
    ],
)
def test_a_denied_licence_is_denied_in_each_spelling(stated: str, denied: str) -> None:
    assert denies([denied], spdx_expression(stated))
    assert allows([denied, "mit"], spdx_expression(stated))
