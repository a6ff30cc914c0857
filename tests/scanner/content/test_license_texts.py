"""Licence files, recognised by what they say."""

import re
from importlib import metadata
from pathlib import Path

import pytest

from prefect_mutagen.scanner.content.license_files import is_license_file
from prefect_mutagen.scanner.content.license_statements import license_in_text
from prefect_mutagen.scanner.content.license_texts import license_of_text
from prefect_mutagen.scanner.content.licenses import spdx_expression

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy\nof this "
    "software to deal in it without restriction, including without limitation\nthe rights to use, "
    "copy, modify, merge, publish, distribute, sublicense, and/or sell copies.\nThe above "
    "copyright notice and this permission notice shall be included in all copies."
)


@pytest.mark.parametrize(
    ("text", "license_id"),
    [
        (f"Copyright (c) 2024 Acme\n\n{MIT}", "MIT"),
        ("# LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version", "LicenseRef-llama3.1"),
        ("LLAMA 2 COMMUNITY LICENSE AGREEMENT\n", "LicenseRef-llama2"),
        ("Gemma Terms of Use\n\nLast modified: February 21, 2024", "LicenseRef-gemma"),
        ("Attribution-NonCommercial 4.0 International\n====\n", "CC-BY-NC-4.0"),
        ("Creative Commons\nAttribution Non-Commercial\nShare Alike 4.0", "CC-BY-NC-SA-4.0"),
        ("CreativeML Open RAIL-M\ndated August 22, 2022", "LicenseRef-creativeml-openrail-m"),
        ("CreativeML Open RAIL++-M License dated July 26, 2023", "LicenseRef-openrail-plus-plus"),
        ("BigScience RAIL License v1.0", "LicenseRef-bigscience-bloom-rail-1.0"),
        ("Tongyi Qianwen LICENSE AGREEMENT", "LicenseRef-qwen"),
        ("Qwen RESEARCH LICENSE AGREEMENT", "LicenseRef-qwen-research"),
        ("# Mistral AI Non-Production License", "LicenseRef-mnpl-0.1"),
        ("# Mistral AI Research License", "LicenseRef-mrl-0.1"),
        ("DEEPSEEK LICENSE AGREEMENT\nVersion 1.0", "LicenseRef-deepseek"),
        ("GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3, 19 November 2007", "AGPL-3.0-only"),
        (f'"Commons Clause" License Condition v1.0\n{MIT}', "LicenseRef-commons-clause"),
        (f"{MIT}\n\nGemma Terms of Use", "MIT AND LicenseRef-gemma"),
        (f"{MIT}\nThe model may not be used for any commercial purpose.", None),
        ("Some licence text", None),
        ("", None),
    ],
)
def test_a_text_is_recognised_by_title_or_sentences(text: str, license_id: str | None) -> None:
    assert license_of_text(text) == license_id


def _installed() -> list[tuple[Path, str]]:
    """Licence files of installed packages that state one simple licence in their metadata."""
    found = []
    for package in metadata.distributions():
        stated = package.metadata.json.get("license_expression", "")
        files = [
            one for one in package.files or () if re.fullmatch(r"LICEN[CS]E(\.\w+)?", one.name)
        ]
        if stated in ("MIT", "Apache-2.0", "BSD-2-Clause", "ISC", "MPL-2.0") and len(files) == 1:
            found.append((Path(str(files[0].locate())), stated))
    return found


def test_the_files_of_installed_packages_are_what_their_authors_say() -> None:
    known = [
        (license_of_text(path.read_text("utf-8", "replace")), one) for path, one in _installed()
    ]
    assert len(known) > 10
    wrong = [pair for pair in known if pair[0] is not None and not pair[0].startswith(pair[1])]
    assert not wrong
    assert sum(one is None for one, _ in known) <= len(known) // 10


@pytest.mark.parametrize(
    "name",
    [
        "LICENSE",
        "LICENCE.md",
        "COPYING.txt",
        "UNLICENSE",
        "LICENSE-MIT",
        "LICENSE_MODEL.txt",
        "copying",
    ],
)
def test_names_of_licence_files(name: str) -> None:
    assert is_license_file(name)


@pytest.mark.parametrize("name", ["license.py", "README.md", "licensing", "LICENSE.pdf", "a.gguf"])
def test_other_names(name: str) -> None:
    assert not is_license_file(name)


def test_a_licence_may_stand_in_a_field_as_a_text() -> None:
    text = f"Copyright 2024 Acme\n{MIT}\n" + "The software is provided as is. " * 20
    assert spdx_expression(text) == "MIT"
    assert spdx_expression(f"{text} The weights are under CC BY-NC 4.0.") == "MIT AND CC-BY-NC-4.0"


def test_a_file_that_is_not_recognised_is_told_apart_by_its_text() -> None:
    [one] = license_in_text("LICENSE", b"# Acme Terms\n\nDo what we say.")
    assert one.value == "Acme Terms"
    assert one.spdx.startswith("LicenseRef-text-")
    assert one.spdx != license_in_text("LICENSE", b"# Acme Terms\n\nDo as you like.")[0].spdx
    assert license_in_text("LICENSE", b"MIT License")[0].spdx == "MIT"
