"""Spellings of forbidden and of permitted licences, as cards and headers have them."""

import pytest

from prefect_mutagen.scanner.content.license_matching import allows, denies, is_recognized
from prefect_mutagen.scanner.content.licenses import spdx_expression

FORBIDDEN = [
    "CC-BY-NC4.0",
    "CCBYNC 4.0",
    "CC BY-NC 4.0 International",
    "cc by nc v4",
    "CC-BY-NC-V4.0",
    "by-nc",
    "CC BY NC",
    "cc by-nc-4",
    "CC/BY/NC/4.0",
    "cc:by-nc:4.0",
    "CC-BY(NC)-4.0",
    "CC BY\u2013NC",
    "creative commons by-nc 4.0",
    "Creative Commons BY NC 4.0 License",
    "CreativeCommons-BY-NC-4.0",
    "creativecommons by nc",
    "Creative Commons NonCommercial Attribution 4.0",
    "Attribution-Noncommercial 4.0",
    "Attribution NonCommercial",
    "attribution-non-commercial 4.0 intl",
    "CC Attribution-NonCommercial",
    "CC Attribution (non-commercial) 4.0",
    "http://creativecommons.org/licenses/by-nc/4.0/",
    "https://creativecommons.org/licenses/by-nc/4.0/legalcode.txt",
    "https://creativecommons.org/licenses/by-nc/4.0/deed.de#x",
    "HTTPS://CREATIVECOMMONS.ORG/licenses/by-nc/4.0",
    "<https://creativecommons.org/licenses/by-nc/4.0/>",
    "https://creativecommons.org/licenses/by-nc/4.0/.",
    "cc-by-nc-4.0 OR proprietary AND cc-by-nc-4.0",
    "MIT AND CC-BY-NC-4.0",
    "mit,cc-by-nc-4.0",
    "mit cc-by-nc-4.0",
    "apache-2.0 + cc-by-nc-4.0",
    "code: mit, weights: cc-by-nc-4.0",
    "MIT (code) / CC-BY-NC 4.0 (model)",
    "['mit', 'cc-by-nc-4.0']",
    "cc-by-nc-4.0; see LICENSE",
    "cc-by-nc-4.0 (research only)",
    "CC-BY-NC-4.0 with acceptable use addendum",
    "CC-BY-NC-4.0 WITH Classpath-exception-2.0",
    "cc-by-nc-4.0 license",
    "Model: cc-by-nc-4.0",
    "the license is cc by nc 4.0",
    "lizenz: cc-by-nc-4.0",
    "SPDX: CC-BY-NC-4.0",
    "CC\tBY-NC\n4.0",
    "CC\u3000BY\u3000NC\u30004.0",
    "Cc-By-Nc-4.0",
    "\u24d2\u24d2-by-nc-4.0",
    "cc-by-nc-4\uff0e0",
    "cc-by-nc-4.0\u200e",
    "\ufeffcc-by-nc-4.0",
    "cc\u2010by\u2010nc\u20104.0",
    "\u0441\u0441-by-nc-4.0",
    "\u7f72\u540d-\u975e\u5546\u4e1a\u6027\u4f7f\u7528 4.0 \u56fd\u9645",
    "CC BY-NC 4.0 \u56fd\u9645",
    "Creative Commons Atribui\xe7\xe3o-N\xe3oComercial 4.0 Internacional",
    "Creative Commons Reconocimiento-NoComercial 4.0",
    "Attribution - Pas d'Utilisation Commerciale 4.0",
    "CC-BY-NC-4.0-DEED",
    "cc_by_nc",
    "cc-by-nc-4.0.0",
    "CC BY-NC-4.0-International",
    "cc-by-nc-4",
    "&copy; CC BY-NC 4.0",
    "https://www.creativecommons.org/licenses/by-nc/4.0/legalcode.en",
    "https://creativecommons.org/licences/by-nc/4.0",
    "https://creativecommons.org/licenses/nc-by/4.0/",
    "https://licensebuttons.net/l/by-nc/4.0/88x31.png",
    "web.archive.org/web/2020/https://creativecommons.org/licenses/by-nc/4.0/",
    "https://spdx.org/licenses/CC-BY-NC-4.0",
    "https://huggingface.co/datasets/license/cc-by-nc-4.0",
    "https://github.com/spdx/license-list-data/blob/main/text/CC-BY-NC-4.0.txt",
    "https://choosealicense.com/licenses/cc-by-nc-4.0",
    "LicenseRef-CC-BY-NC-4.0",
    "LicenseRef-CC_BY_NC",
    "DocumentRef-x:LicenseRef-cc-by-nc-4.0",
    "cc-by-nc-4.0*",
    "~cc-by-nc-4.0",
    "CC-BY NC 4.0 only",
    "CC-BY-NC-4.0-only",
    "cc-by-nc-4.0-or-later",
    "no MIT, CC-BY-NC-4.0",
    "c.c. by-nc 4.0",
    "C.C.B.Y.N.C. 4.0",
    "CC BY - NC 4 . 0",
    "CC-BY-NC-IV",
    "CC-BY-NC 4,0",
]

PERMITTED = [
    ("apache-2.0", "APACHE-2.0"),
    ("apache-2.0", "Apache License v2.0"),
    ("apache-2.0", "Apache-2.0 License"),
    ("apache-2.0", "The Apache License, Version 2.0"),
    ("apache-2.0", "apache license 2.0"),
    ("apache-2.0", "Apache v2"),
    ("apache-2.0", "apache 2"),
    ("apache-2.0", "Apache2.0"),
    ("apache-2.0", "apache20"),
    ("apache-2.0", "Apache_2"),
    ("apache-2.0", "APL-2.0"),
    ("apache-2.0", "ASLv2"),
    ("apache-2.0", "License: Apache-2.0"),
    ("apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    ("apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0.html"),
    ("apache-2.0", "apache.org/licenses/LICENSE-2.0"),
    ("apache-2.0", "https://opensource.org/licenses/Apache-2.0"),
    ("apache-2.0", "https://spdx.org/licenses/Apache-2.0.html"),
    ("apache-2.0", "Apache 2.0 license."),
    ("apache-2.0", "Apache Software License"),
    ("apache-2.0", "Apache-2.0 OR MIT"),
    ("apache-2.0", "Apache 2.0 or MIT"),
    ("apache-2.0", "Apache-2.0 (the License)"),
    ("apache-2.0", "Licensed under the Apache License, Version 2.0"),
    ("apache-2.0", "[Apache 2.0](https://www.apache.org/licenses/LICENSE-2.0)"),
    ("apache-2.0", "Apache\u20112.0"),
    ("apache-2.0", "apache-2.0 "),
    ("apache-2.0", "'apache-2.0'"),
    ("apache-2.0", "Apache License, 2.0"),
    ("apache-2.0", "Apache-Lizenz, Version 2.0"),
    ("apache-2.0", "Licence Apache, version 2.0"),
    ("apache-2.0", "apache-2.0 \u30e9\u30a4\u30bb\u30f3\u30b9"),
    ("apache-2.0", "Apache \u8bb8\u53ef\u8bc1 2.0"),
    ("apache-2.0", "apache-2.0-license"),
    ("apache-2.0", "Apache-2.0-only"),
    ("apache-2.0", "Apache-2.0+"),
    ("apache-2.0", '["apache-2.0"]'),
    ("apache-2.0", "apache-2.0,"),
    ("mit", "MIT"),
    ("mit", "mit"),
    ("mit", "The MIT License"),
    ("mit", "MIT-License"),
    ("mit", "MIT Licence"),
    ("mit", "mit_license"),
    ("mit", "MIT (Expat)"),
    ("mit", "http://opensource.org/licenses/mit-license.php"),
    ("mit", "https://opensource.org/license/mit/"),
    ("mit", "https://mit-license.org/"),
    ("mit", "https://choosealicense.com/licenses/mit/"),
    ("mit", "MIT License (MIT)"),
    ("mit", "Licence MIT"),
    ("mit", "\u8bb8\u53ef\u8bc1 MIT"),
    ("mit", "OSI Approved :: MIT License"),
    ("mit", "License :: OSI Approved :: MIT License"),
    ("mit", "MIT, see LICENSE"),
    ("mit", "MIT License\n"),
    ("mit", "mit license 2024"),
    ("llama3.1", "llama3.1"),
    ("llama3.1", "Llama 3.1"),
    ("llama3.1", "llama-3.1"),
    ("llama3.1", "Llama 3.1 Community License"),
    ("llama3.1", "META LLAMA 3.1 COMMUNITY LICENSE AGREEMENT"),
    ("llama3.1", "llama3_1"),
    ("llama3.1", "https://llama.meta.com/llama3_1/license"),
    ("llama3.1", "https://www.llama.com/llama3_1/license/"),
    ("gemma", "gemma"),
    ("gemma", "Gemma"),
    ("gemma", "Gemma Terms of Use"),
    ("gemma", "gemma license"),
    ("gemma", "https://ai.google.dev/gemma/terms"),
    ("cc-by-4.0", "CC BY 4.0"),
    ("cc-by-4.0", "Creative Commons Attribution 4.0 International"),
    ("cc-by-4.0", "https://creativecommons.org/licenses/by/4.0/"),
    ("cc-by-4.0", "cc-by-4"),
    ("cc-by-4.0", "CC-BY-4.0 International License"),
    ("gpl-3.0", "GPL v3"),
    ("gpl-3.0", "GPL-3.0-only"),
    ("gpl-3.0", "GPL-3.0-or-later"),
    ("gpl-3.0", "GPL-3.0+"),
    ("gpl-3.0", "GNU GPLv3"),
]

HARMLESS = [
    "MIT",
    "Apache 2.0",
    "cc-by-4.0",
    "CC BY-SA 4.0",
    "https://creativecommons.org/licenses/by/4.0/",
    "openrail",
    "llama3.1",
    "bsd-3-clause-clear",
    "commercial use allowed, MIT",
    "NCSA",
    "public domain",
    "cc0-1.0",
    "Apache-2.0 (no NC clause)",
    "MIT (free for commercial and non-commercial use)",
    "bigscience-bloom-rail-1.0",
    "nvidia-open-model-license",
    "BSD-3-Clause No Nuclear License",
    "LicenseRef-acme-nc",
    "cc-by-4.0 OR cc-by-nc-4.0",
]


@pytest.mark.parametrize("stated", FORBIDDEN)
def test_a_forbidden_licence_is_denied(stated: str) -> None:
    for denied in ("cc-by-nc-4.0", "cc-by-nc*", "CC-BY-NC"):
        assert denies([denied], spdx_expression(stated), stated)


@pytest.mark.parametrize(("allowed", "stated"), PERMITTED)
def test_a_permitted_licence_is_allowed(allowed: str, stated: str) -> None:
    assert allows([allowed], spdx_expression(stated))


@pytest.mark.parametrize("stated", HARMLESS)
def test_another_licence_is_not_denied(stated: str) -> None:
    for denied in ("cc-by-nc-4.0", "cc-by-nc-*", "cc-by-nc"):
        assert not denies([denied], spdx_expression(stated), stated)


@pytest.mark.parametrize(
    ("denied", "stated"),
    [
        ("gpl-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("gpl-2.0", "GPL-2.0-or-later WITH GCC-exception-2.0"),
        ("apache-2.0", "Apache-2.0 WITH LLVM-exception"),
    ],
)
def test_an_exception_does_not_lift_a_denial(denied: str, stated: str) -> None:
    assert denies([denied], spdx_expression(stated), stated)


@pytest.mark.parametrize(
    "stated", ["\u975e\u5546\u7528", "https://github.com/acme/x/blob/main/LICENSE"]
)
def test_what_nobody_knows_is_a_licence_all_the_same(stated: str) -> None:
    expression = spdx_expression(stated)
    assert expression.startswith("LicenseRef-")
    assert not is_recognized(expression)
    assert denies([stated], expression, stated)
