"""`platform apply|freeze|env|forward|...`: bring the cluster to what is declared, and get in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from flows.cli.common import TaxiGroup, echo
from flows.operator.names import FLOWS_NAMESPACE, PLATFORM_NAMESPACE

if TYPE_CHECKING:
    from flows.operator.prefect.reconcile import Change

Command = TypeVar("Command", bound=Callable[..., None])

_COLOURS = {"create": "green", "update": "yellow", "delete": "red", "unchanged": None, "frozen": "blue"}


@click.group(cls=TaxiGroup)
def platform() -> None:
    """The stack on Kubernetes: bring it to what is declared, and get in."""


def _context_option(command: Command) -> Command:
    return click.option("--context", metavar="NAME", help="Kube context; by default the current one.")(command)


def _flows_namespace_option(command: Command) -> Command:
    return click.option(
        "--flows-namespace", default=FLOWS_NAMESPACE, show_default=True, help="Namespace of the release of flows."
    )(command)


def _platform_namespace_option(command: Command) -> Command:
    return click.option(
        "--platform-namespace", default=PLATFORM_NAMESPACE, show_default=True, help="Namespace of the stack."
    )(command)


@platform.command()
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option(
    "--wait-seconds", default=120.0, show_default=True, type=click.FloatRange(min=0), help="Wait for Prefect's API."
)
@click.option(
    "--declarations",
    default=".",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of prefect.yaml and k8s/; by default the current one.",
)
@_context_option
@_flows_namespace_option
def apply(dry_run: bool, wait_seconds: float, declarations: Path, context: str | None, flows_namespace: str) -> None:
    """Bring work pools, limits, deployments and automations of Prefect to what the files declare.

    Needs PREFECT_API_URL and PREFECT_API_AUTH_STRING. What earlier runs made and is no longer declared is deleted;
    nothing else is touched.
    """
    from flows.core.settings import load_settings
    from flows.operator.prefect.platform import Platform, reconcile

    where = Platform(declarations, load_settings(), context, flows_namespace)
    changes = reconcile(where, wait_seconds, lambda text: click.echo(text, err=True), _print_change, dry_run=dry_run)
    counts = Counter(change.action.value for change in changes)
    click.echo(", ".join(f"{action}: {counts[action]}" for action in _COLOURS))
    if dry_run:
        click.echo("Dry run: nothing was changed.")


def _print_change(change: Change) -> None:
    for line in _change_lines(change):
        echo(line)


def _change_lines(change: Change) -> Iterator[str]:
    action = click.style(f"{change.action.value:<10}", fg=_COLOURS[change.action.value])
    yield f"{action}{change.kind.value:<18}{change.name}"
    for field in change.fields:
        values = "" if field.declared is None else f": {field.held} -> {field.declared}"
        yield f"            {field.field}{values}"


@platform.command()
@click.option("--port", default=9107, show_default=True, type=click.IntRange(0, 65535), help="Of metrics and health.")
@_context_option
@_platform_namespace_option
@_flows_namespace_option
def operate(port: int, context: str | None, platform_namespace: str, flows_namespace: str) -> None:
    """Keep the cluster as declared, and run Experiments and ParameterSweeps, until Ctrl-C.

    It is what the operator's pod does. Run it from the folder of prefect.yaml and k8s/.
    """
    import logging

    from flows.core.settings import load_settings
    from flows.operator.prefect.platform import Platform
    from flows.operator.service import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    serve(Platform(Path(), load_settings(), context, flows_namespace, platform_namespace), port)


@platform.command()
@click.argument("entry", metavar="KIND/NAME")
@_context_option
@_flows_namespace_option
def freeze(entry: str, context: str | None, flows_namespace: str) -> None:
    """Leave KIND/NAME as it is on the server, such as deployment/daily_adapter_comparison_flow/default.

    Neither the operator nor `apply` then changes or deletes it, until it is unfrozen.
    """
    _mark(entry, context, flows_namespace, frozen=True)


@platform.command()
@click.argument("entry", metavar="KIND/NAME")
@_context_option
@_flows_namespace_option
def unfreeze(entry: str, context: str | None, flows_namespace: str) -> None:
    """Bring KIND/NAME to what is declared again, at the operator's next pass."""
    _mark(entry, context, flows_namespace, frozen=False)


def _mark(entry: str, context: str | None, namespace: str, *, frozen: bool) -> None:
    from flows.core.settings import load_settings
    from flows.operator.prefect.platform import Platform, mark

    mark(Platform(Path(), load_settings(), context, namespace), entry, frozen=frozen)
    click.echo(f"{entry} is left as it is." if frozen else f"{entry} is brought to what is declared again.")


@platform.command()
@_context_option
@_platform_namespace_option
@_flows_namespace_option
def env(context: str | None, platform_namespace: str, flows_namespace: str) -> None:
    """Print what lets this machine use the stack, for eval "$(taxi-flows platform env)".

    The addresses are those of the port-forwards (`taxi-flows platform forward`). The output holds passwords.
    """
    from flows.operator.access.people import environment, exports
    from flows.operator.cluster.kube import connect

    click.echo(exports(environment(connect(context), platform_namespace, flows_namespace)))


@platform.command()
@click.argument("service", type=click.Choice(["grafana", "prefect", "minio"]))
@_context_option
@_platform_namespace_option
def password(service: str, context: str | None, platform_namespace: str) -> None:
    """Print the password of a service on stdout, and whose it is on stderr."""
    from flows.operator.access.people import password as read_password
    from flows.operator.cluster.kube import connect

    user, secret = read_password(connect(context), service, platform_namespace)
    click.echo(f"user: {user}" if user else "Prefect's page asks for all of it, user:password.", err=True)
    click.echo(secret)


@platform.command()
@_context_option
@_platform_namespace_option
def forward(context: str | None, platform_namespace: str) -> None:
    """Forward the ports of the stack to this machine until Ctrl-C."""
    from flows.operator.access.forward import forward as forward_ports

    forward_ports(context, platform_namespace, click.echo)


@platform.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_context_option
@_platform_namespace_option
def backup(folder: Path, context: str | None, platform_namespace: str) -> None:
    """Copy Prefect's database, months and records into the new folder DIR."""
    from flows.core.settings import load_settings
    from flows.operator.access import backup as operator
    from flows.operator.cluster.kube import connect
    from flows.operator.cluster.kubectl import Kubectl

    operator.backup(folder, Kubectl(context, platform_namespace), connect(context), load_settings(), click.echo)


@platform.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a database that holds flow runs.")
@_context_option
@_platform_namespace_option
def restore(folder: Path, force: bool, context: str | None, platform_namespace: str) -> None:
    """Bring a backup back; Prefect's server is stopped meanwhile."""
    from flows.core.settings import load_settings
    from flows.operator.access import backup as operator
    from flows.operator.cluster.kube import connect
    from flows.operator.cluster.kubectl import Kubectl

    kubectl = Kubectl(context, platform_namespace)
    operator.restore(folder, kubectl, connect(context), load_settings(), click.echo, force)
