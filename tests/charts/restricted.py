"""Pod Security "restricted", as Kubernetes states it, and two rules of our own: no writable root, a numeric user."""

from __future__ import annotations

from tests.charts.charts import Object

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def faults(pod: Object) -> list[str]:
    """What a pod's template breaks; nothing where it may run."""
    spec = pod["spec"]
    found = [f"{key} is set" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= VOLUMES:
            found.append(f"volume {volume['name']} is of kind {kinds}")
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        found += [f"{container['name']}: {fault}" for fault in _container_faults(spec, container)]
    return found


def _container_faults(spec: Object, container: Object) -> list[str]:
    own = container.get("securityContext", {})
    merged = {**spec.get("securityContext", {}), **own}
    user = merged.get("runAsUser")
    rules = {
        "runAsNonRoot is not true": merged.get("runAsNonRoot") is True,
        "runAsUser is no number above 0": isinstance(user, int) and user > 0,
        "seccompProfile is not RuntimeDefault": merged.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "allowPrivilegeEscalation is not false": own.get("allowPrivilegeEscalation") is False,
        "capabilities are not all dropped": own.get("capabilities") == {"drop": ["ALL"]},
        "privileged": not own.get("privileged"),
        "readOnlyRootFilesystem is not true": own.get("readOnlyRootFilesystem") is True,
        "a host port": not any("hostPort" in port for port in container.get("ports", [])),
    }
    return [fault for fault, holds in rules.items() if not holds]
