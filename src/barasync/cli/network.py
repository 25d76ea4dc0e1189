"""`barasync network`: networks of podman's, and what presets and tables of the file allow."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from barasync.cli import options
from barasync.cli.commands import group_of
from barasync.cli.list_forms import Names, require_one_form
from barasync.config.policies import Preset

_COMMANDS = {
    "create": "barasync.cli.network:create",
    "list": "barasync.cli.network:list_",
    "show": "barasync.cli.network:show",
    "remove": "barasync.cli.network:remove",
    "exists": "barasync.cli.network:exists",
    "install-hook": "barasync.cli.network_hook:install_hook",
    "uninstall-hook": "barasync.cli.network_hook:uninstall_hook",
}

app = typer.Typer(
    cls=group_of(_COMMANDS), help="Networks of cells and of podman.", no_args_is_help=True
)

_Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
_Names = Annotated[list[str], typer.Argument(metavar="NAME…", show_default=False)]


@app.callback()
def networks() -> None:
    """Networks of cells and of podman."""


def create(
    name: _Name,
    *,
    subnet: Annotated[
        list[str] | None,
        typer.Option(
            "--subnet",
            help="Its addresses; podman's choice by default. Repeatable: one of IPv4, one of IPv6.",
            metavar="CIDR",
        ),
    ] = None,
    gateway: Annotated[
        list[str] | None,
        typer.Option(
            "--gateway",
            help="That of the subnet it is in; its first address by default. Repeatable.",
            metavar="ADDR",
        ),
    ] = None,
    internal: Annotated[bool, typer.Option("--internal", help="Without a way out of it.")] = False,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="With addresses of IPv6 as well.")] = False,
    no_dns: Annotated[
        bool, typer.Option("--no-dns", help="Without the names of its containers.")
    ] = False,
    preset: Annotated[
        Preset | None,
        typer.Option(
            "--preset", help="What cells with `--network NAME` reach; private by default."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", help="A label of it. Repeatable.", metavar="NAME=VALUE"),
    ] = None,
    url: options.Url = None,
) -> None:
    """Make a bridge network of podman's that stays until it is removed.

    `--network NAME` puts cells on it, and a table can `join` it.
    """
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.network_create import create_network, wanted  # noqa: PLC0415 - likewise

    network = wanted(
        name,
        subnets=subnet or (),
        gateways=gateway or (),
        labels=label or (),
        preset=preset,
        internal=internal,
        ipv6=ipv6,
        dns=not no_dns,
    )
    finish(lambda _interrupts: create_network(network, url=url, environ=os.environ))


def list_(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    names: Names = False,
    url: options.Url = None,
) -> None:
    """List the networks of the service, and who has made each."""
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.network_actions import list_networks  # noqa: PLC0415 - likewise

    require_one_form(as_json=as_json, names=names)
    finish(
        lambda _interrupts: list_networks(as_json=as_json, names=names, url=url, environ=os.environ)
    )


def show(
    name: _Name,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    rules: Annotated[
        bool, typer.Option("--rules", help="The nftables rules of a preset or table.")
    ] = False,
    define: options.Define = None,
    url: options.Url = None,
) -> None:
    """Say what a preset or a table of the file allows and denies, or what a network is.

    The name of a cell's network means the preset or table; any other is looked for at the service,
    and that which a table of the command line joins.
    """
    import json  # noqa: PLC0415 - keeps `--help` quick
    from pathlib import Path  # noqa: PLC0415 - likewise

    from barasync.cli.interrupts import finish  # noqa: PLC0415 - likewise
    from barasync.cli.network_actions import show_network  # noqa: PLC0415 - likewise
    from barasync.cli.policy_words import (  # noqa: PLC0415 - likewise
        MODES_IN_WORDS,
        as_rules,
        in_words,
        policies_of,
    )
    from barasync.cli.project import find_project  # noqa: PLC0415 - likewise
    from barasync.cli.service_networks import with_joined  # noqa: PLC0415 - likewise
    from barasync.config.spelling import did_you_mean  # noqa: PLC0415 - likewise
    from barasync.errors import ConfigError  # noqa: PLC0415 - likewise

    project = find_project(Path.cwd(), define)
    if not rules:
        project = with_joined(project, name, url=url, environ=os.environ)
    policies = policies_of(project)
    policy = policies.get(name)
    if name in MODES_IN_WORDS:
        if as_json or rules:
            raise ConfigError(
                f"{name} is podman's own, and has no rules of ours",
                hint=f"`barasync network show {name}` says what it is",
            )
        typer.echo(MODES_IN_WORDS[name])
        return
    if policy is not None:
        if rules:
            typer.echo(as_rules(policy))
        else:
            typer.echo(json.dumps(policy.as_data(), indent=2) if as_json else in_words(policy))
        return
    if rules:
        raise ConfigError(
            f"{name} is no preset and no table of a barasync.toml here, and has no rules"
            f"{did_you_mean(name, policies)}",
            hint=f"there are {', '.join(policies)}",
        )
    finish(
        lambda _interrupts: show_network(
            name, policies, as_json=as_json, url=url, environ=os.environ
        )
    )


def remove(names: _Names, *, url: options.Url = None) -> None:
    """Remove networks that `create` made, and no others; one that a container uses stays."""
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.network_actions import remove_networks  # noqa: PLC0415 - likewise

    finish(lambda _interrupts: remove_networks(names, url=url, environ=os.environ))


def exists(name: _Name, *, url: options.Url = None) -> None:
    """End with 0 if the service has a network of that name, else with 1; say nothing."""
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.network_actions import network_exists  # noqa: PLC0415 - likewise

    finish(lambda _interrupts: network_exists(name, url=url, environ=os.environ))
