"""The stack on the cluster of the current kube context, installed by Skaffold once for the session.

Without kubectl, helm and Skaffold on PATH or without a context the tests are skipped. Images go to the registry that
SKAFFOLD_DEFAULT_REPO or TAXI_REGISTRY names; on kind they are loaded.
"""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from minio import Minio
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from flows.core.settings import MinioSettings, Settings
from flows.store import ObjectStore, open_store
from tests.cluster.faults import FAULT, Outcome
from tests.cluster.kube import PLATFORM, forwarded, get, run
from tests.cluster.runs import Cluster

TOOLS = ("kubectl", "helm", "skaffold")
REGISTRY = os.environ.get("SKAFFOLD_DEFAULT_REPO") or os.environ.get("TAXI_REGISTRY")
INSTALL_SECONDS = 1500
TEST_SECONDS = 1800
"""The first test waits for the installation; each wait within a test has a bound of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder more time than the others have."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))
        for fault in item.iter_markers("fault"):
            item.user_properties.extend(zip(FAULT, fault.args, strict=True))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try each fault three times; once where only quick tests are asked for."""
    if "repetition" in metafunc.fixturenames:
        chosen = str(metafunc.config.option.markexpr)
        metafunc.parametrize("repetition", range(1 if chosen == "smoke" else 3), indirect=True)


@pytest.fixture
def repetition(request: pytest.FixtureRequest) -> None:
    """Each fault is tried three times by `make soak`, once by `make smoke`."""


@pytest.fixture
def outcome(record_property: Callable[[str, object], None]) -> Outcome:
    """The stopwatch of a fault."""
    return Outcome(record_property)


def _why_not() -> str | None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not on PATH: {', '.join(missing)}"
    asked = subprocess.run(["kubectl", "get", "namespaces"], capture_output=True, text=True, check=False, timeout=30)
    return f"no cluster: {asked.stderr.strip()[:200]}" if asked.returncode != 0 else None


@pytest.fixture(scope="session")
def kube() -> None:
    """A cluster that answers."""
    if reason := _why_not():
        pytest.skip(reason)


def skaffold(*arguments: str) -> str:
    """Skaffold with the profile that fits a small cluster."""
    repo = ["--default-repo", REGISTRY] if REGISTRY else []
    return run("skaffold", *arguments, "--profile", "small", *repo, timeout_seconds=INSTALL_SECONDS)


@pytest.fixture(scope="session")
def stack(kube: None) -> None:
    """The whole stack, as `skaffold run` leaves it."""
    skaffold("run")


def platform_env() -> dict[str, str]:
    """What `taxi-flows platform env` tells a shell."""
    printed = run(sys.executable, "-m", "flows", "platform", "env")
    lines = [shlex.split(line)[1] for line in printed.splitlines() if line.startswith("export ")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def environment(stack: None) -> Mapping[str, str]:
    """The exports of `taxi-flows platform env`."""
    return platform_env()


@contextmanager
def connected(environment: Mapping[str, str]) -> Iterator[Cluster]:
    """The stack through forwarded ports of its own; they end with the pods that they lead to."""
    with ExitStack() as stack:
        api = stack.enter_context(forwarded(PLATFORM, "prefect-server", 4200))
        stack.enter_context(
            temporary_settings(
                {
                    PREFECT_API_URL: f"http://{api}/api",
                    PREFECT_API_AUTH_STRING: environment["PREFECT_API_AUTH_STRING"],
                }
            )
        )
        client = stack.enter_context(get_client(sync_client=True))
        store = stack.enter_context(opened_store("minio-people"))
        yield Cluster(client, store)


@pytest.fixture
def cluster(environment: Mapping[str, str]) -> Iterator[Cluster]:
    """The stack; connected anew for each test, since some of them install it anew."""
    with connected(environment) as cluster:
        yield cluster


@pytest.fixture
def by_hand(cluster: Cluster, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a person after `eval "$(taxi-flows platform env)"`, at the forwarded port."""
    api = PREFECT_API_URL.value()
    assert api is not None
    ours = {"PREFECT_API_URL": api, "DO_NOT_TRACK": "1"}
    return {**os.environ, **environment, **ours}


@contextmanager
def opened_store(secret: str) -> Iterator[ObjectStore]:
    """MinIO with the keys of one of its Secrets, through a forwarded port of its own."""
    data = get(PLATFORM, "secret", secret)["data"]
    access_key, secret_key = (
        SecretStr(base64.b64decode(data[name]).decode()) for name in ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")
    )
    with forwarded(PLATFORM, "minio", 9000) as endpoint:
        minio = MinioSettings(endpoint=endpoint, secure=False, access_key=access_key, secret_key=secret_key)
        yield open_store(Settings(minio=minio))


@contextmanager
def root_of_minio() -> Iterator[Minio]:
    """MinIO as its root user sees it, through a forwarded port of its own."""
    data = get(PLATFORM, "secret", "minio-root")["data"]
    user, password = (base64.b64decode(data[key]).decode() for key in ("rootUser", "rootPassword"))
    with forwarded(PLATFORM, "minio", 9000) as endpoint:
        yield Minio(endpoint, user, password, secure=False)


@pytest.fixture
def months(cluster: Cluster, real_files: Path) -> tuple[str, ...]:
    """Real months in MinIO, by their keys."""
    return put_months(cluster.store, real_files)


def put_months(store: ObjectStore, folder: Path) -> tuple[str, ...]:
    """Put the months that are not there yet; their keys."""
    for name in MONTHS:
        if store.stat("taxi-data", name) is None:
            store.put_file("taxi-data", name, folder / "coords" / name)
    return MONTHS


MONTHS = (
    "yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet",
    "yellow_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet",
)


@pytest.fixture(scope="session")
def real_files(shared_data: Path) -> Path:
    """The folder of real TLC files."""
    return shared_data
