"""One pass of the reconciliation: what `taxi-flows platform apply` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flows.core.settings import Settings
from flows.operator.cluster.kube import Cluster, connect
from flows.operator.names import FLOWS_NAMESPACE, PLATFORM_NAMESPACE
from flows.operator.prefect.api import prefect_api
from flows.operator.prefect.declare import load_declared
from flows.operator.prefect.inventory import ConfigMapInventory, FileInventory, InventoryStore, parse_entry
from flows.operator.prefect.reconcile import Change, apply, plan
from flows.operator.prefect.release import release_values
from flows.operator.prefect.values import PlatformValues, parse_values, read_text
from flows.operator.prefect.wait import wait_for_prefect_api


@dataclass(frozen=True)
class Platform:
    """Where declarations, values and inventory come from; the cluster is asked only where a file is not named."""

    declarations: Path
    settings: Settings
    context: str | None = None
    namespace: str = FLOWS_NAMESPACE
    platform_namespace: str = PLATFORM_NAMESPACE

    @cached_property
    def cluster(self) -> Cluster:
        """The pod's cluster, or that of the kube context."""
        return connect(self.context)

    def values(self) -> PlatformValues:
        """What the release decides.

        Raises:
            DeclarationError: the values are wrong.
            ClusterError: the ConfigMap can't be read.
        """
        file = self.settings.platform_file
        if file is not None:
            return parse_values(read_text(file), str(file))
        return release_values(self.cluster, self.namespace)

    def inventory(self, namespace: str) -> InventoryStore:
        """Where what is ours is kept."""
        file = self.settings.inventory_file
        return FileInventory(file) if file is not None else ConfigMapInventory(self.cluster, namespace)


def mark(platform: Platform, text: str, *, frozen: bool) -> None:
    """Have KIND/NAME left as it is on the server, or brought to what is declared again.

    Raises:
        PlatformError: it names nothing of ours.
        ClusterError: the inventory can't be read or written.
    """
    store, entry = platform.inventory(platform.namespace), parse_entry(text)
    before = store.read()
    store.write(before.freeze(entry) if frozen else before.unfreeze(entry), before=before)


def reconcile(
    platform: Platform,
    wait_seconds: float,
    say: Callable[[str], None],
    tell: Callable[[Change], None],
    *,
    dry_run: bool,
) -> tuple[Change, ...]:
    """Bring Prefect to what is declared, or only say what that would take.

    Args:
        platform: where everything is.
        wait_seconds: how long to wait for Prefect's API.
        say: told what is waited for.
        tell: called with each change, once it is made.
        dry_run: change nothing; `tell` is called all the same.

    Returns:
        What each object needed.

    Raises:
        DeclarationError: a file is wrong; nothing was changed.
        PlatformError: Prefect or Kubernetes does not answer, or refuses.
    """
    values = platform.values()
    declared = load_declared(platform.declarations, values)
    inventory = platform.inventory(values.namespace)
    owned = inventory.read()
    wait_for_prefect_api(wait_seconds, say)
    with prefect_api() as api:
        changes = plan(declared, owned, api)
        if dry_run:
            for change in changes:
                tell(change)
        else:
            apply(declared, changes, owned, api, inventory, tell)
    return changes
