"""One licence in the spellings that people, languages and encodings have for it."""

import re
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.licenses._spdx import LICENSES

from prefect_mutagen.scanner.content.license_expressions import TEXT_LIMIT, leaves_of
from prefect_mutagen.scanner.content.license_families import current_id
from prefect_mutagen.scanner.content.license_matching import (
    allows,
    are_compatible,
    denies,
    is_recognized,
)
from prefect_mutagen.scanner.content.licenses import spdx_expression

NON_COMMERCIAL = [
    *("CC BY-NC 4.0", "cc_by_nc_4.0", "CC-BY-NC", "cc-by-nc-4.0 ", "license:cc-by-nc-4.0"),
    *("ccbync4.0", "CC BY NC 4", "cc-by-nc-4-0", "CC.BY.NC.4.0", "cc-nc-by-4.0", "CC BY 4.0 NC"),
    *("CC-NC", "BY-NC 4.0", "cc-by-nc-4.0+", "CC BY-NC 4.0 or later", "LicenseRef-cc-by-nc-4.0"),
    *("(CC BY-NC 4.0)", "**CC BY-NC 4.0**", "`cc-by-nc-4.0`", "'cc-by-nc-4.0'", "c c b y n c 4.0"),
    "creative commons non-commercial",
    "Creative Commons Attribution-NonCommercial 4.0",
    "Creative Commons Attribution Non Commercial 4.0 International",
    "Attribution-NonCommercial 4.0 International (CC BY-NC 4.0)",
    "creative_commons_attribution_noncommercial_4_0",
    "Creative Commons Attribution, Non-Commercial",
    "This model is released under the CC BY-NC 4.0 license.",
    "Licensed for non-commercial use under CC BY",
    "SPDX-License-Identifier: CC-BY-NC-4.0",
    # Lists, in which a forbidden part decides.
    "apache-2.0, cc-by-nc-4.0",
    "apache-2.0/cc-by-nc-4.0",
    "apache-2.0 and cc-by-nc-4.0",
    "MIT & CC BY-NC 4.0",
    "MIT; CC BY-NC 4.0",
    "MIT | CC BY-NC 4.0",
    "MIT + CC-BY-NC-4.0",
    "MIT\nCC BY-NC 4.0",
    "Apache 2.0 (code), CC BY-NC 4.0 (weights)",
    "MIT, or CC-BY-NC-4.0",
    # Addresses.
    "https://creativecommons.org/licenses/by-nc/4.0/",
    "http://www.creativecommons.org/licenses/by-nc/4.0/legalcode",
    "//creativecommons.org/licenses/by-nc/4.0/deed.ja",
    "creativecommons.org/licenses/by-nc/4.0",
    "https://creativecommons.org/licenses/by-nc/4.0/?ref=chooser-v1",
    "[CC BY-NC](https://creativecommons.org/licenses/by-nc/4.0/)",
    "https://spdx.org/licenses/CC-BY-NC-4.0.html",
    "https://example.org/licenses/CC-BY-NC-4.0.txt",
    # Letters that look alike, and letters that nobody sees.
    "СС-ВY-NС-4.0",  # noqa: RUF001 - Cyrillic
    "cc\u2011by\u2011nc\u20114.0",
    "cc–by–nc–4.0",  # noqa: RUF001 - en dashes
    "cc\u00a0by\u00a0nc\u00a04.0",
    "cc\u200b-by\u00ad-nc-4.0",
    "ＣＣ－ＢＹ－ＮＣ－４．０",  # noqa: RUF001 - full width
    "𝐂𝐂 𝐁𝐘-𝐍𝐂 𝟒.𝟎",  # noqa: RUF001 - mathematical
    "ᴄᴄ ʙʏ-ɴᴄ 4.0",  # noqa: RUF001 - small capitals
    "CC&nbsp;BY-NC&nbsp;4.0",
    "cc%2Dby%2Dnc%2D4.0",
    # Languages.
    "Licencia Creative Commons Atribución-NoComercial 4.0",
    "Creative Commons Namensnennung - Nicht kommerziell 4.0",
    "Creative Commons Attribution - Pas d’Utilisation Commerciale 4.0",  # noqa: RUF001
    "Creative Commons Attribuzione - Non commerciale 4.0",
    "知识共享署名-非商业性使用 4.0 国际许可协议",
    "クリエイティブ・コモンズ 表示-非営利 4.0",
    "Лицензия CC BY-NC 4.0",
    # Long texts.
    "These are the terms of the model. " * 300 + "The weights are under CC BY-NC 4.0.",
]


@pytest.mark.parametrize("stated", NON_COMMERCIAL, ids=lambda text: text[:40])
@pytest.mark.parametrize("denied", ["cc-by-nc-4.0", "CC BY-NC 4.0", "cc-by-nc-*", "CC BY-NC*"])
def test_a_denied_licence_passes_in_no_spelling(stated: str, denied: str) -> None:
    assert denies([denied], spdx_expression(stated), stated)


@pytest.mark.parametrize(
    "stated",
    [
        *("GPL v3", "gpl3", "GPLv3+", "GPL-3.0+", "GPL (>= 3)", "GNU GPL", "GNU/GPL 3", "GPL_v3"),
        *("GNU General Public License v3.0 or later", "GPL version 3", "GNU v3", "GPL3 or newer"),
        *("GPL 3, or (at your option) any later version", "Licence Publique Générale GNU v3"),
        *("https://www.gnu.org/licenses/gpl-3.0.en.html", "gnu.org/licenses/gpl.html"),
        *("https://opensource.org/license/gpl-3-0", "https://opensource.org/licenses/GPL-3.0"),
    ],
)
def test_gnu_licences_have_many_names(stated: str) -> None:
    assert denies(["gpl-3.0"], spdx_expression(stated), stated)
    assert not denies(["agpl-3.0"], spdx_expression(stated), stated)


@pytest.mark.parametrize(
    "stated",
    [
        *(
            "Apache 2.0",
            "apache2",
            "Apache-2",
            "Apache License, Version 2.0",
            "ASL 2.0",
            "ApacheV2",
        ),
        *("Apache Software License 2.0", "apache_2.0", "Licence Apache 2.0", "Apache-Lizenz 2.0"),
        *("http://www.apache.org/licenses/LICENSE-2.0.txt", "Licencia MIT", "MIT License", "Expat"),
        *("https://opensource.org/licenses/MIT", "The MIT License (MIT)", "MIT/Apache-2.0"),
        *('BSD 3-Clause "New" or "Revised" License', "New BSD", "MIT or gpl-3.0", "Licença MIT"),
        *("https://choosealicense.com/licenses/apache-2.0/", "M.I.T.", "[mit, apache-2.0]"),
        "Apache License Version 2.0, January 2004",
    ],
)
def test_an_allowed_licence_passes_in_its_spellings(stated: str) -> None:
    assert allows(["apache-2.0", "mit", "bsd-3-clause"], spdx_expression(stated))


@pytest.mark.parametrize(
    "stated",
    ["MIT with commons clause", "MIT for the code", "cc-by", "apache-2.0 and nobody-knows", "bsd"],
)
def test_what_is_more_or_less_than_the_allowed_licence_is_not_allowed(stated: str) -> None:
    fine = ["mit", "apache-2.0", "cc-by-4.0", "bsd-3-clause"]
    assert not allows(fine, spdx_expression(stated))


def test_a_denied_licence_is_found_in_a_list_of_unknown_ones() -> None:
    stated = "Acme Terms, Nobody's Licence"
    expression = spdx_expression(stated)
    assert expression == "LicenseRef-acme-terms-nobody-s-licence"
    assert denies(["acme terms"], expression, stated)
    assert not denies(["other terms"], expression, stated)
    assert allows([stated], expression)


def test_a_licence_without_a_version_is_each_of_its_versions_where_it_is_denied() -> None:
    assert denies(["cc-by-nc-4.0"], spdx_expression("cc"))
    assert denies(["gpl"], spdx_expression("gpl-2.0"))
    assert denies(["llama"], spdx_expression("llama3.1"))
    assert not denies(["cc-by-nc"], spdx_expression("cc-by-4.0"))
    assert allows(["cc-by"], spdx_expression("cc-by-4.0"))
    assert not allows(["cc"], spdx_expression("cc-by-nc-4.0"))


@pytest.mark.parametrize(
    ("stated", "link", "expression"),
    [
        ("other", "https://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC-4.0"),
        ("other", "https://huggingface.co/acme/x/blob/main/LICENSE", "NOASSERTION"),
        ("other", "LICENSE.md", "NOASSERTION"),
        ("mit", "https://creativecommons.org/licenses/by-nc/4.0/", "MIT"),
    ],
)
def test_a_link_counts_where_it_is_a_known_one(stated: str, link: str, expression: str) -> None:
    assert spdx_expression(stated, "", link) == expression


@pytest.mark.parametrize(
    ("stated", "reference"),
    [
        *(("llama3.1", "llama3.1"), ("Llama 3.1 Community License Agreement", "llama3.1")),
        *(("Meta Llama 2", "llama2"), ("gemma", "gemma"), ("openrail", "openrail"), ("cc", "cc")),
        *(("CreativeML Open RAIL-M", "creativeml-openrail-m"), ("gpl", "gpl"), ("bsd", "bsd")),
        *(("openrail++", "openrail-plus-plus"), ("Public Domain", "public-domain")),
        ("CreativeML Open RAIL++-M License", "openrail-plus-plus"),
        ("flux-1-dev-non-commercial-license", "flux-1-dev-non-commercial-license"),
        ("bigscience-bloom-rail-1.0", "bigscience-bloom-rail-1.0"),
    ],
)
def test_model_licences_are_recognised(stated: str, reference: str) -> None:
    assert spdx_expression(stated) == f"LicenseRef-{reference}"
    assert is_recognized(spdx_expression(stated))


def _spdx_names() -> dict[str, str]:
    """The names of the SPDX list, from the schema that CycloneDX's library carries."""
    schema = resources.files("cyclonedx.schema._res").joinpath("spdx.SNAPSHOT.xsd").read_text()
    pattern = r'enumeration value="([^"]+)">\s*<xs:annotation>\s*<xs:documentation>([^<]+)<'
    return {one: name.replace("&amp;", "&") for one, name in re.findall(pattern, schema)}


COPYLEFT = re.compile(
    r"(?:CC-BY-N[CD]|CC-BY-NC-|CC-BY-SA|[AL]?GPL-\d\.\d(?:-only|-or-later)?$|PolyForm|NCGL|SSPL|BUSL)"
)


@pytest.mark.parametrize(
    ("license_id", "name"),
    [one for one in _spdx_names().items() if COPYLEFT.match(one[0]) and one[0].lower() in LICENSES],
    ids=lambda value: value,
)
def test_restrictive_licences_are_recognised_by_their_spdx_names(
    license_id: str, name: str
) -> None:
    expression = spdx_expression(name)
    assert denies([license_id], expression)
    assert are_compatible(expression.partition(" AND ")[0], current_id(license_id))


@pytest.mark.parametrize("license_id", [entry["id"] for entry in LICENSES.values()])
def test_every_identifier_is_itself_in_any_case_and_with_spaces(license_id: str) -> None:
    expected = current_id(license_id)
    assert spdx_expression(license_id.upper()) == expected
    assert spdx_expression(license_id.lower().replace("-", "_")) == expected
    assert spdx_expression(license_id.replace("-", " ")) == expected


NOISE = st.text(alphabet=" \t_-.:'\"*`()[]<>!\u00a0\u200b\u2011", max_size=3)


@given(
    st.sampled_from(["apache-2.0", "mit", "cc-by-nc-4.0", "gpl-3.0", "llama3.1", "bsd-3-clause"]),
    st.lists(NOISE, min_size=14, max_size=14),
    st.lists(st.booleans(), min_size=14, max_size=14),
)
def test_noise_never_changes_a_licence(
    license_id: str, noise: list[str], upper: list[bool]
) -> None:
    letters = [
        letter.upper() if up else letter for letter, up in zip(license_id, upper, strict=False)
    ]
    noisy = "".join(mark + letter for mark, letter in zip(noise, letters, strict=False)) + noise[-1]
    assert are_compatible(spdx_expression(noisy), spdx_expression(license_id))


@given(st.text(max_size=600))
def test_any_text_has_a_valid_expression(text: str) -> None:
    expression = spdx_expression(text)
    for leaf in leaves_of(expression):
        assert re.fullmatch(r"[A-Za-z0-9.+-]+(?: WITH [A-Za-z0-9.+-]+)?", leaf), expression
    if "*" not in text:  # in an entry it stands for any characters
        denied = denies([text], expression, text)
        assert denied or expression == "NOASSERTION" or " OR " in expression


@pytest.mark.parametrize(
    "word", ["cc ", "by ", "gnu ", "llama license ", "a1,", "gpl or ", "cc nc "]
)
def test_long_texts_are_read_in_bounded_time(word: str) -> None:
    assert spdx_expression(word * (4 * TEXT_LIMIT // len(word)))


def test_the_modules_of_licences_need_no_import_of_the_list(tmp_path: Path) -> None:
    """The list is loaded when a licence is read, not when the command starts."""
    import subprocess
    import sys

    code = (
        "import sys, prefect_mutagen.scanner; assert 'packaging.licenses._spdx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
