"""The scripts of k8s/, against a kubectl that keeps what it is given in a folder."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY

SCRIPTS = sorted((REPOSITORY / "k8s").glob("*.sh"))
SECRETS = {
    "taxi-platform": {
        "grafana-admin",
        "minio-backup",
        "minio-flows",
        "minio-people",
        "minio-root",
        "postgresql",
        "prefect-auth",
        "prefect-server-database",
    },
    "taxi-flows": {"minio-flows", "prefect-auth"},
}

KUBECTL = """#!{python}
import base64, pathlib, re, subprocess, sys
import yaml
held = pathlib.Path({held!r})
words = sys.argv[1:]
namespace = words[words.index("--namespace") + 1] if "--namespace" in words else ""
output = words[words.index("--output") + 1] if "--output" in words else ""
if words[0] == "get" and words[1] == "storageclasses":
    print("standard " if "annotations" not in output else "standard", end="")
elif words[:2] == ["get", "pods"]:
    print((held / "pods").read_text() if (held / "pods").exists() else "", end="")
elif words[0] == "get" and "annotations" in output:
    file = held / namespace / "annotation" / words[2]
    print(file.read_text() if file.exists() else "", end="")
elif words[0] == "annotate":
    file = held / namespace / "annotation" / words[2]
    file.parent.mkdir(exist_ok=True)
    file.write_text(words[-1].partition("=")[2])
elif words[0] == "get":
    file = held / namespace / words[1] / words[2]
    if not file.exists():
        sys.exit(0 if "--ignore-not-found" in words else 1)
    if output == "name":
        print(f"{{words[1]}}/{{words[2]}}")
    else:
        data = yaml.safe_load(file.read_text())
        key = re.search(r'index \\.data "([^"]+)"|\\.data\\.(\\w+)', output)
        value = data.get(key[1] or key[2], "")
        print(base64.b64decode(value).decode() if "base64decode" in output else value, end="")
elif words[0] in ("create", "apply") and "-" in words:
    found = yaml.safe_load(sys.stdin.read())
    assert not [word for word in words if len(word) >= 32], "content among the arguments"
    data = dict(found.get("data", {{}}))
    for key, value in found.get("stringData", {{}}).items():
        data[key] = base64.b64encode(value.encode()).decode()
    file = held / found["metadata"]["namespace"] / "secret" / found["metadata"]["name"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(data))
elif words[0] == "patch":
    file = held / namespace / "secret" / words[2]
    found = yaml.safe_load(sys.stdin.read())
    data = {{**yaml.safe_load(file.read_text()), **found.get("data", {{}})}}
    for key, value in found.get("stringData", {{}}).items():
        data[key] = base64.b64encode(value.encode()).decode()
    file.write_text(yaml.safe_dump({{key: value for key, value in data.items() if value is not None}}))
elif words[0] == "replace":
    # A flow run starts while MinIO is set up, with the keys that its namespace still has.
    with (held / "pods").open("a") as pods:
        pods.write(subprocess.run(["date"], capture_output=True, text=True).stdout.strip() + " pod-of-a-run\\n")
    sys.exit(1 if (held / "broken").exists() else 0)
elif words[0] == "delete":
    (held / namespace / words[1] / words[2]).unlink()
"""

DATE = """#!{python}
import pathlib
clock = pathlib.Path({clock!r})
seconds = int(clock.read_text()) + 1 if clock.exists() else 0
clock.write_text(str(seconds))
print(f"2026-01-01T00:00:{{seconds:02}}Z")
"""
"""A second passes between any two looks at the clock."""


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the cluster holds: <namespace>/<kind>/<name>."""
    programs = {
        "kubectl": KUBECTL.format(python=sys.executable, held=str(tmp_path / "held")),
        "date": DATE.format(python=sys.executable, clock=str(tmp_path / "clock")),
        "helm": "#!/bin/sh\n",
    }
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path / "held"


def script(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(REPOSITORY / "k8s" / name), *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def contents(held: Path) -> dict[str, dict[str, str]]:
    return {f"{file.parts[-3]}/{file.name}": yaml.safe_load(file.read_text()) for file in held.glob("*/secret/*")}


def test_scripts_can_be_run() -> None:
    """By make and by Skaffold, from a fresh clone."""
    scripts = [*(REPOSITORY / "k8s").glob("*.sh"), REPOSITORY / "images" / "taxi-flows", REPOSITORY / ".ci" / "run"]
    assert [script.name for script in scripts if not os.access(script, os.X_OK)] == []


def test_shellcheck_finds_nothing() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([str(shellcheck), *map(str, SCRIPTS)], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_every_secret_is_made_once_and_none_is_printed(held: Path) -> None:
    first = script("ensure-secrets.sh")
    assert first.returncode == 0, first.stderr
    made = contents(held)
    assert {tuple(name.split("/")) for name in made} == {
        (namespace, name) for namespace, names in SECRETS.items() for name in names
    }
    again = script("ensure-secrets.sh")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert contents(held) == made
    values = {base64.b64decode(value).decode() for data in made.values() for value in data.values()}
    assert [value for value in values if len(value) > 8 and value in first.stdout + first.stderr] == []
    assert len({value for value in values if re.fullmatch(r"\w{32}", value)}) == 6, "each password is its own"


def test_both_namespaces_hold_the_same_keys(held: Path) -> None:
    script("ensure-secrets.sh")
    made = contents(held)
    for name in SECRETS["taxi-flows"]:
        assert made[f"taxi-flows/{name}"] == made[f"taxi-platform/{name}"]


def test_no_new_password_for_an_old_database(held: Path) -> None:
    claim = held / "taxi-platform" / "persistentvolumeclaim" / "data-postgresql-0"
    claim.parent.mkdir(parents=True)
    claim.write_text("{}")
    done = script("ensure-secrets.sh")
    assert done.returncode == 1
    assert "restore the Secrets postgresql and prefect-server-database" in done.stderr
    assert "delete persistentvolumeclaim data-postgresql-0 --namespace taxi-platform" in done.stderr
    assert contents(held) == {}


def test_a_storage_class_that_is_not_there_is_named_with_those_that_are(held: Path) -> None:
    done = script("before-install.sh", TAXI_STORAGE_CLASS="fast")
    assert done.returncode == 1
    assert "no storage class fast (TAXI_STORAGE_CLASS). There are: standard" in done.stderr
    assert contents(held) == {}


@pytest.mark.parametrize("breaks_off", [False, True])
def test_former_keys_stay_while_a_pod_may_have_them(held: Path, breaks_off: bool) -> None:
    script("ensure-secrets.sh")
    former = contents(held)["taxi-flows/minio-flows"]
    if breaks_off:
        (held / "broken").touch()
    renewed = script("rotate-secrets.sh", "minio")
    assert renewed.returncode == breaks_off, renewed.stderr
    (held / "broken").unlink(missing_ok=True)
    refused = script("rotate-secrets.sh", "minio", "--finish")
    assert (refused.returncode, refused.stderr.splitlines()[-1]) == (1, "pod-of-a-run")
    made = contents(held)
    assert made["taxi-platform/minio-flows"]["formerAccessKey"] == former["MINIO_ACCESS_KEY"]
    assert not set(former.values()) & set(made["taxi-flows/minio-flows"].values()), "new runs have the new keys"
    (held / "pods").write_text("2026-01-01T00:00:59Z pod-of-a-later-run\n")
    finished = script("rotate-secrets.sh", "minio", "--finish")
    assert finished.returncode == 0, finished.stderr
    assert not [name for name, data in contents(held).items() if "formerAccessKey" in data]
