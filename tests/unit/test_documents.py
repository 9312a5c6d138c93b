"""What the documents name exists, and their generated parts are up to date."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
from pathlib import Path

import click
import pytest

from flows.adapters.registry import adapter_names
from flows.cli import main
from flows.core.settings import ScoreSettings
from flows.telemetry.metrics import METRICS
from scripts.docs.parts import PARTS, Part, with_part
from scripts.telemetry.model import DOCS
from tests.conftest import REPOSITORY
from tests.documents import DOCUMENTS, PAGES, README, anchors, code, name_of
from tests.promql import DASHBOARDS, FLAT

TARGETS = re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

by_document = pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)


def check_usage(command: click.Command, words: list[str]) -> None:
    """Every subcommand and option among the words exists."""
    while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z]+", words[0]):
        assert words[0] in command.commands, f"no command {words[0]!r} in {command.name}"
        command = command.commands[words.pop(0)]
    known = {"--help"} | {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


@by_document
def test_commands_in_documents_exist(document: Path) -> None:
    for line in re.findall(r"^(?:.* && )?taxi-flows (.+)$", code(document), re.MULTILINE):
        check_usage(main, shlex.split(re.split(r" \| | > | && ", line)[0], comments=True))


@by_document
def test_scripts_in_documents_exist(document: Path) -> None:
    for line in re.findall(r"python (scripts/.+)$", code(document), re.MULTILINE):
        script, *words = shlex.split(line)
        check_usage(runpy.run_path(str(REPOSITORY / script))["main"], words)


@by_document
def test_modules_in_documents_exist(document: Path) -> None:
    for module in re.findall(r"python -m ((?:flows|scripts|tests|benchmarks)[\w.]*)", code(document)):
        path = REPOSITORY / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


@by_document
def test_make_targets_in_documents_exist(document: Path) -> None:
    named = re.findall(r"^make (?:[A-Z]+=\S+ )?([a-z-]+)", code(document), re.MULTILINE)
    assert set(named) <= set(TARGETS)


@by_document
def test_files_in_documents_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [document.parent / link for link in re.findall(r"\]\(([\w./-]+)(?:#[\w-]*)?\)", text)]
    folders = r"(?:flows|tests|docs|scripts|benchmarks|requirements|charts|k8s|examples|\.ci|\.github)/[\w./-]*"
    spans = [REPOSITORY / span for span in re.findall(rf"`({folders})`", text)]
    assert [str(path) for path in links + spans if not path.exists()] == []


@by_document
def test_links_lead_to_headings(document: Path) -> None:
    for page, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", document.read_text(encoding="utf-8")):
        assert anchor in anchors(document.parent / page if page else document), f"{page}#{anchor}"


@by_document
def test_python_in_documents_compiles(document: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flows"):
                module = REPOSITORY / (node.module or "").replace(".", "/")
                assert module.with_suffix(".py").is_file() or (module / "__init__.py").is_file(), node.module


@by_document
def test_metrics_in_documents_exist(document: Path) -> None:
    known = {f"{one.name}{suffix}" for one in METRICS for suffix in ("", "_sum", "_count", "_bucket")}
    named = re.findall(r"\b(?:prefect|taxi_experiment)_[a-z_]+[a-z]\b(?!\.)", document.read_text(encoding="utf-8"))
    assert set(named) <= known


@by_document
def test_dashboards_in_documents_exist(document: Path) -> None:
    titles = {dashboard["title"] for dashboard in DASHBOARDS.values()}
    text = re.sub(r"\s+", " ", document.read_text(encoding="utf-8"))
    assert set(re.findall(r"\*+((?:\w+ )+Monitoring)\*+", text)) <= titles


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_generated_parts_are_up_to_date(part: Part) -> None:
    text = (REPOSITORY / part.page).read_text(encoding="utf-8")
    assert text == with_part(text, part), "run `python -m scripts.docs`"


def test_alerts_link_to_their_section_of_the_runbook() -> None:
    page = REPOSITORY / "docs" / "operations" / "runbook.md"
    for alert in FLAT:
        url, _, anchor = alert.runbook_url.partition("#")
        assert url == f"{DOCS}/operations/{page.stem}.html"
        assert anchor in anchors(page)


def test_a_page_without_its_part_is_refused() -> None:
    part = Part("settings", "a page", lambda: "new")
    assert with_part("<!-- settings: old -->\nold\n<!-- end -->\n", part).split("\n\n") == [
        "<!-- settings: old -->",
        "new",
        "<!-- end -->\n",
    ]
    with pytest.raises(ValueError, match="a page has 0 parts"):
        with_part("nothing", part)


def test_the_formula_of_the_score_has_the_default_weights() -> None:
    score, text = ScoreSettings(), (REPOSITORY / "docs" / "concepts.md").read_text(encoding="utf-8")
    assert f"{score.quality_weight} quality + {score.performance_weight} performance" in text
    assert f"{score.silhouette_weight} (silhouette + 1) / 2" in text
    assert f"{score.davies_bouldin_weight} / (1 + Davies-Bouldin)" in text
    assert f"{score.noise_weight} (1 - noise ratio)" in text
    assert f"t / {score.half_score_seconds:g} s" in text


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    for page in PAGES:
        if page.parent == REPOSITORY / "docs" and page.stem != "index":
            assert f"]({name_of(page)})" in text, page.name


def test_the_concepts_have_a_row_for_each_adapter() -> None:
    text = (REPOSITORY / "docs" / "concepts.md").read_text(encoding="utf-8")
    assert [name for name in adapter_names() if f"| `{name}` |" not in text] == []


def test_the_architecture_names_every_package_and_flow() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = [path for path in (REPOSITORY / "flows").glob("*.py") if path.stem != "__init__"]
    packages = [path.parent for path in (REPOSITORY / "flows").glob("*/__init__.py")]
    assert [name for name in map(name_of, modules) if f"`{name}`" not in text] == []
    assert [name for name in map(name_of, packages) if f"`{name}/`" not in text] == []
