"""The documents of the repository, and the code in them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import REPOSITORY

README = REPOSITORY / "README.md"
PAGES = sorted((REPOSITORY / "docs").rglob("*.md"))
DOCUMENTS = [README, REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "charts" / "README.md", *PAGES]


def name_of(document: Path) -> str:
    """Its path in the repository."""
    return document.relative_to(REPOSITORY).as_posix()


def code(document: Path) -> str:
    """All code of a document: its fenced blocks, and its code spans one per line."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", without_blocks(text))
    return "\n".join([*blocks, *spans]).replace("\\\n", " ")


def without_blocks(text: str) -> str:
    """The text without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
