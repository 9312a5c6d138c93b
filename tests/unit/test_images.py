"""The images by their Dockerfiles: one form, one place for each version, no rights, dependencies before code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows import __version__
from tests.conftest import REPOSITORY

DOCKERFILES = sorted((REPOSITORY / "images").glob("*/Dockerfile"))
TEXTS = {file.parent.name: file.read_text(encoding="utf-8") for file in DOCKERFILES}
BASE = TEXTS["base"]
DERIVED = {name: text for name, text in TEXTS.items() if name != "base"}
LOCKS = {"prefect": "server"}
"""The extra of an image, where it has another name."""
WITH_KERNELS = {"experiment", "evaluation"}

by_image = pytest.mark.parametrize("name", sorted(DERIVED))


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    command = [str(hadolint), "-c", str(REPOSITORY / ".hadolint.yaml"), *map(str, DOCKERFILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_has_no_rights_and_says_what_it_is() -> None:
    assert re.findall(r"^USER (.*)$", BASE, re.MULTILINE)[-1] == "1000:1000"
    assert f"ARG VERSION={__version__}\n" in BASE
    assert "PREFECT_SERVER_EPHEMERAL_ENABLED=false" in BASE
    assert set(re.findall(r"opencontainers\.image\.(\w+)=", BASE)) >= {"version", "source"}


@by_image
def test_an_image_ends_as_the_base_does(name: str) -> None:
    last = DERIVED[name].rpartition("\nFROM ")[2]
    assert last.startswith("$BASE\n")
    assert "USER" not in last
    assert f"org.opencontainers.image.title=taxi-flows-{name} " in last
    assert "org.opencontainers.image.revision=$REVISION" in last


@by_image
def test_an_image_installs_its_own_lock_before_any_code(name: str) -> None:
    text, lock = DERIVED[name], f"requirements/{LOCKS.get(name, name)}.txt"
    assert re.findall(r"requirements/\w+\.txt", text)[0] == lock
    assert (REPOSITORY / lock).is_file()
    assert "--require-hashes" in text
    assert text.index("--require-hashes") < text.index("COPY flows")


@by_image
def test_kernels_are_compiled_where_they_are_used_in_a_layer_before_the_code(name: str) -> None:
    text = DERIVED[name]
    assert ("python -m flows.kernels" in text) == (name in WITH_KERNELS)
    if name in WITH_KERNELS:
        assert text.index("COPY flows/kernels") < text.index("COPY flows /app/flows")
        assert text.index("COPY --from=kernels") < text.index("COPY --from=code")


def test_foreign_images_have_one_exact_tag_each() -> None:
    foreign = {found for text in TEXTS.values() for found in re.findall(r"^FROM ([\w./-]+:\S+)", text, re.MULTILINE)}
    assert len({name.partition(":")[0] for name in foreign}) == len(foreign)
    assert [name for name in foreign if not re.search(r":\d+\.\d+", name)] == []


def test_what_only_buildkit_knows_is_not_used() -> None:
    for text in TEXTS.values():
        assert not re.search(r"^# syntax=|RUN --mount|<<|COPY .*--(?:link|chmod)", text, re.MULTILINE)


def test_images_are_told_their_revision() -> None:
    skaffold = yaml.safe_load((REPOSITORY / "skaffold.yaml").read_text(encoding="utf-8"))
    given = {
        one["image"].removeprefix("taxi-flows-"): one["docker"]["buildArgs"] for one in skaffold["build"]["artifacts"]
    }
    assert {name for name, arguments in given.items() if arguments == {"REVISION": "{{.IMAGE_TAG}}"}} == set(DERIVED)
    assert set(given["base"]) == {"SOURCE"}


def test_skaffold_builds_every_image_that_a_release_uses() -> None:
    skaffold = yaml.safe_load((REPOSITORY / "skaffold.yaml").read_text(encoding="utf-8"))
    built = {one["image"].removeprefix("taxi-flows-"): one["docker"] for one in skaffold["build"]["artifacts"]}
    assert {name: docker["dockerfile"] for name, docker in built.items()} == {
        name: f"images/{name}/Dockerfile" for name in built
    }
    used = set(re.findall(r"IMAGE_FULLY_QUALIFIED_taxi_flows_(\w+)", yaml.safe_dump(skaffold)))
    assert used == set(built) - {"base"}
    assert set(built) <= set(TEXTS)
