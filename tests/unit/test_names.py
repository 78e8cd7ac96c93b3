"""One key for the ways in which one organisation is written."""

from __future__ import annotations

import pytest

from monitor.entity.names import company_key, name_key


@pytest.mark.parametrize(
    "name",
    [
        "Silicon Valley Bank",
        "SILICON VALLEY BANK",
        "The Silicon Valley Bank, Inc.",
        "Silicon  Valley Bank Ltd.",
        "Silicon Valley Bank's",
        "Ｓilicon Valley Bank",
    ],
)
def test_case_legal_form_article_and_punctuation_do_not_matter(name: str) -> None:
    assert "name:silicon valley bank" == name_key(name)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Dienstag S.p.A.", "name:dienstag"),
        ("Kessel & Co. KGaA", "name:kessel"),
        ("AT&T", "name:at&t"),
        ("Limited", "name:limited"),
        ("华为技术", "name:华为技术"),
        ("...", "name:"),
    ],
)
def test_what_is_left_of_a_name(name: str, key: str) -> None:
    assert key == name_key(name)


def test_a_company_s_key_holds_country_and_symbol() -> None:
    assert "company:CN:600519" == company_key("CN", "600519")
