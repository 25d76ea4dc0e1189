"""Policies of networks and users: a podman without root, and one that belongs to somebody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.accounts import ensure_rootless_user
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.second_user import admitted, as_user
from tests.rig.services import RigService

BASE = f"localhost/busybox:{native_architecture()}"
SCRIPT = """
httpd -p 8000 -h /tmp
nc -w 2 127.0.0.1 8000 </dev/null 2>/dev/null && echo open || echo closed
"""


def command(service: RigService, directory: Path) -> Barasync:
    directory.mkdir()
    return Barasync(directory, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


def words(network: str, script: str = SCRIPT) -> tuple[str, ...]:
    options = ("--workspace", "none", "--network", network)
    return ("run", BASE, *options, "--", "sh", "-c", script)


@pytest.mark.parametrize(("network", "itself"), [("local", "open"), ("isolated", "closed")])
@pytest.mark.parametrize("user", ["root", "owner"])
def test_a_podman_without_root_has_its_policies_enforced_by_root_and_by_its_user(
    rootless_service: RigService,
    rootless_busybox: str,
    tmp_path: Path,
    *,
    user: str,
    network: str,
    itself: str,
) -> None:
    assert rootless_busybox
    barasync = command(rootless_service, tmp_path / "project")
    if user == "owner":
        barasync = as_user(barasync, ensure_rootless_user(), hidden_proc=False)

    ended = barasync(*words(network))

    assert (ended.code, ended.out) == (0, f"{itself}\n"), ended.err


@pytest.mark.parametrize("user", ["root", "owner"])
def test_a_command_that_has_ended_at_once_is_known_to_have_had_its_rules(
    rootless_service: RigService, rootless_busybox: str, tmp_path: Path, user: str
) -> None:
    assert rootless_busybox
    barasync = command(rootless_service, tmp_path / "project")
    if user == "owner":
        barasync = as_user(barasync, ensure_rootless_user(), hidden_proc=False)

    ended = [barasync(*words("local", "exit 7")) for _ in range(3)]

    assert [(each.code, each.out) for each in ended] == [(7, "")] * 3, ended[0].err


def test_who_may_use_roots_podman_and_is_not_root_starts_nothing(
    service: RigService, busybox: str, tmp_path: Path
) -> None:
    assert busybox
    barasync = command(service, tmp_path / "project")
    with admitted(service.endpoint.socket_path) as account:
        ended = as_user(barasync, account, hidden_proc=False)(*words("local"))

    assert (ended.code, ended.out) == (4, ""), ended.err
    assert "is another user's" in ended.err
    assert "run barasync as the user whose podman service it is" in ended.err


@pytest.mark.parametrize("user", ["root", "owner"])
def test_what_goes_on_is_not_started_again_without_its_rules(
    rootless_service: RigService, rootless_busybox: str, tmp_path: Path, user: str
) -> None:
    assert rootless_busybox
    barasync = command(rootless_service, tmp_path / "project")
    if user == "owner":
        barasync = as_user(barasync, ensure_rootless_user(), hidden_proc=False)
    options = ("--detach", "--network", "local", "--workspace", "none")

    ended = barasync("run", *options, BASE, "--", "sleep", "1000")

    assert ended.code == 0, ended.err
    socket_path, name = rootless_service.endpoint.socket_path, ended.out.strip()
    try:
        with pytest.raises(libpod.RefusedError, match="starts-only-once"):
            libpod.request(socket_path, "POST", f"containers/{name}/restart", query={"t": "1"})
    finally:
        libpod.remove_container(socket_path, name)
