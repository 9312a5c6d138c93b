"""What importing costs: flow modules and the command line stay light, so that registration runs from a small image."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = {"numpy", "pandas", "pyarrow", "scipy", "sklearn", "joblib", "numba", "pyproj", "shapely", "shapefile"}
LIGHT_MODULES = [
    "flows.experiment_pipeline",
    "flows.evaluation_flows",
    "flows.telemetry.exporter.service",
    "flows.parameter_sweep",
    "flows.scheduled_flows",
    "flows.sweep_cells",
    "flows.aggregate_results",
    "flows.records.browse",
    "flows.cli",
    "flows.runtime.diff",
    "flows.records.find",
    "flows.records.flat",
    "flows.core.errors",
    "flows.model.records",
    "flows.operator.access.people",
    "flows.operator.prefect.build_steps",
    "flows.operator.prefect.platform",
    "flows.operator.service",
    "flows.model.outcome",
    "flows.model.parameters",
    "flows.telemetry.push",
    "flows.core.settings",
    "flows.store",
]


def imported_by(statement: str) -> set[str]:
    """Top-level modules in memory after the statement ran in a fresh interpreter."""
    program = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}}, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    return set(done.stdout.split("\n"))


def test_light_modules_import_nothing_heavy() -> None:
    assert imported_by(f"import {', '.join(LIGHT_MODULES)}") & HEAVY == set()


def test_registration_needs_none_of_the_flows_libraries() -> None:
    """It imports the module of each flow, from an image that holds Prefect, pydantic and kubernetes alone."""
    statement = (
        "from pathlib import Path; from flows.operator.prefect.declare import load_declared; "
        "from tests.unit.declarations import values; load_declared(Path('.'), values())"
    )
    heavy = HEAVY | {"minio", "plotly", "jinja2", "psutil", "prefect_kubernetes", "kubernetes_asyncio"}
    assert imported_by(statement) & heavy <= {"jinja2"}, "jinja2 is Prefect's own"


def test_reports_are_written_without_what_clusters() -> None:
    """The images that only report hold neither numba nor scikit-learn."""
    modules = [f"flows.report.{path.stem}" for path in (REPOSITORY / "flows" / "report").glob("[a-z]*.py")]
    assert imported_by(f"import {', '.join(modules)}") & HEAVY <= {
        "numpy",
        "pandas",
        "pyarrow",
        "pyproj",
        "shapefile",
        "shapely",
    }


def test_who_speaks_to_prefects_api() -> None:
    found = set()
    for path in (REPOSITORY / "flows").rglob("*.py"):
        modules = [
            node.module or ""
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
        ]
        if any(module.startswith(("prefect.client.orchestration", "prefect.deployments")) for module in modules):
            found.add("/".join(path.relative_to(REPOSITORY / "flows").parts[:2]))
    assert found == {
        "operator/prefect",
        "operator/resources",
        "operator/worker",
        "runtime/publish.py",
        "sweeps/dispatch.py",
        "telemetry/exporter",
    }, "others leave it to flows and tasks"


def test_a_coordinator_needs_nothing_that_clusters() -> None:
    """The sweep image holds none of these; what the flow imports later on is imported here."""
    absent = ("sklearn", "scipy", "numba", "joblib", "threadpoolctl", "isal")
    modules = (
        "flows.scheduled_flows",
        "flows.report.page",
        "flows.runtime.publish",
        "flows.report.gather",
        "pyarrow.parquet",
    )
    adapters = "; ".join(f"get_adapter({name!r})" for name in ("sklearn", "sklearn_parallel", "grid"))
    statement = (
        f"sys.modules.update(dict.fromkeys({absent!r}))\n"
        f"import {', '.join(modules)}\n"
        f"from flows.adapters.registry import get_adapter; {adapters}\n"
        f"for name in {absent!r}: del sys.modules[name]"
    )
    assert imported_by(statement) & set(absent) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]], ids=" ".join)
def test_help_imports_neither_prefect_nor_numpy(arguments: list[str]) -> None:
    statement = f"from flows.cli import main\nmain({arguments!r}, standalone_mode=False)"
    assert imported_by(statement) & (HEAVY | {"prefect", "pydantic", "rich"}) == set()


def test_what_the_package_imports_is_declared() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [texts for name, texts in project["optional-dependencies"].items() if name not in {"bench", "dev"}]
    declared = {Requirement(text).name for texts in [project["dependencies"], *extras] for text in texts}
    providers = packages_distributions()
    undeclared = {}
    for path in (REPOSITORY / "flows").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for module in {name.partition(".")[0] for name in named} - sys.stdlib_module_names - {"flows"}:
                distributions = {canonicalize_name(name) for name in providers.get(module, [module])}
                if not distributions & declared:
                    undeclared[module] = path.name
    assert undeclared == {}
