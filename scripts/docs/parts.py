"""Every generated part: its name, its page, and the function that writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.docs import benchmarks, cli, crds, faults, metrics, runbook, settings

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Part:
    """A generated part.

    page: path in the repository of the page that holds the part.
    write: returns the part as Markdown.
    """

    name: str
    page: str
    write: Callable[[], str]


PARTS = (
    Part("settings", "docs/reference/settings.md", settings.table),
    Part("metrics", "docs/reference/metrics.md", metrics.table),
    Part("crds", "docs/reference/crds.md", crds.tables),
    Part("cli", "docs/reference/cli.md", cli.commands),
    Part("alerts", "docs/operations/runbook.md", runbook.alerts),
    Part("faults", "docs/operations/reliability.md", faults.table),
    Part("benchmarks", "docs/benchmarks.md", benchmarks.sections),
)


def pages() -> Mapping[str, str]:
    """Path of each page with a generated part -> its text with the part up to date."""
    return {part.page: with_part((REPOSITORY / part.page).read_text(encoding="utf-8"), part) for part in PARTS}


def with_part(text: str, part: Part) -> str:
    """The text of a page with its part up to date.

    Raises:
        ValueError: the page has no such part, or more than one.
    """
    pattern = re.compile(rf"(<!-- {part.name}: .*?-->\n).*?(<!-- end -->)", re.DOTALL)
    body = part.write()
    text, n_found = pattern.subn(lambda match: f"{match[1]}\n{body}\n\n{match[2]}", text)
    if n_found != 1:
        raise ValueError(f"{part.page} has {n_found} parts `<!-- {part.name}: ... -->`; exactly one is needed.")
    return text
