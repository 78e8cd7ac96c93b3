"""What the files say of each other, and what none of them may say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
MACHINE = [
    re.compile(rb"(?<![\w.~/-])/" + top + rb"(?=[/\s\"'`])")
    for top in (rb"work", rb"home/\w+", rb"Users/\w+")
]
REGISTRIES = [b"artifactory", b"/simple/", b"index-url", b"extra-index"]


def tracked() -> list[Path]:
    """The files of the repository; in an unpacked archive, all there are."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_links_between_documents_lead_to_files() -> None:
    dead = [
        f"{path.relative_to(ROOT)}: {link}"
        for path in tracked()
        if path.suffix == ".md"
        for link in LINK.findall(path.read_text("utf-8"))
        if "://" not in link and not link.startswith(("#", "mailto:"))
        if not (path.parent / unquote(link.partition("#")[0])).exists()
    ]
    assert [] == dead


def test_paths_that_the_documents_name_exist() -> None:
    named = re.compile(r"`((?:monitor|models|dashboards|deploy|docs|tests)/[\w./-]*\w)`")
    dead = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in tracked()
        if path.suffix == ".md"
        for name in named.findall(path.read_text("utf-8"))
        if not (ROOT / name).exists()
    ]
    assert [] == dead


def test_no_package_lies_among_the_sources() -> None:
    built = {".whl", ".gz", ".jar", ".pyc", ".so"}
    assert [] == [path.name for path in tracked() if path.suffix in built]


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in tracked()
        for pattern in MACHINE
        if (match := pattern.search(path.read_bytes()))
    ]
    assert [] == found


def test_no_file_names_a_package_index() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {word.decode()}"
        for path in tracked()
        if path.suffix != ".safetensors" and path != Path(__file__)
        for word in REGISTRIES
        if word in path.read_bytes().lower()
    ]
    assert [] == found


def test_every_file_ends_with_one_line_end() -> None:
    texts = [p for p in tracked() if p.suffix in {".py", ".md", ".toml", ".yml", ".json", ".txt"}]
    wrong = [
        str(path.relative_to(ROOT))
        for path in texts
        if (body := path.read_bytes()) and (not body.endswith(b"\n") or body.endswith(b"\n\n"))
    ]
    assert [] == wrong
