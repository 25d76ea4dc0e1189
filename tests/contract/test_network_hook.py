"""The OCI hook and `podman run` by hand: what starts, and what its packets do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.command import Barasync
from tests.rig.services import Installation, RigService

NETWORK = "barasync-test-hook"
PORT = 8080
CONNECT = 'nc -w 5 "$0" 8080 </dev/null && echo connected'
# crun refuses hybrid cgroups, and this podman has no service that would see to it.
AS_PODMAN = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec podman "$@"'
WITHOUT_NFT = 'mount --bind /dev/null "$(command -v nft)" && ' + f"{{ {AS_PODMAN}; }}"


@dataclass(frozen=True, slots=True)
class ByHand:
    """Runs `podman run` as a person does, with the hooks of a directory."""

    installation: Installation
    service: RigService
    image: str
    hooks: Path
    log: Path
    begun: int = 0
    """How long the log was when the test began."""

    def __call__(
        self,
        *options: str,
        script: str = "echo started",
        argument: str = "",
        shell: str = AS_PODMAN,
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of busybox in a container with these options."""
        enter = self.installation.host(self.service.directory / "scratch")
        # Podman 4.3 gives NET_RAW where containers.conf does not take it away.
        words = ["--hooks-dir", str(self.hooks), "run", "--rm", "--cap-drop=NET_RAW", *options]
        return subprocess.run(
            [*enter, "sh", "-c", shell, "sh", *words, self.image, "sh", "-c", script, argument],
            env={**self.service.environ, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def connects(self, address: str, *options: str) -> bool:
        """Tell whether a container reaches a port of an address; what refuses does so at once."""
        done = self(f"--network={NETWORK}", *options, script=CONNECT, argument=address)
        assert "OCI runtime" not in done.stderr, (done.stderr, self.said())
        return "connected" in done.stdout

    def said(self) -> str:
        """Return what the hook has written into its log since the test began."""
        return self.log.read_text()[self.begun :] if self.log.exists() else ""


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    return Barasync(tmp_path, None, service.environ)


@pytest.fixture(scope="module")
def installed(service: RigService) -> Iterator[tuple[Path, Path]]:
    """A directory of hooks with ours, and its log."""
    # Seen by podman in the root of another distribution too.
    hooks, log = service.directory / "hooks", service.directory / "hook.log"
    barasync = Barasync(service.directory, None, service.environ)
    ended = barasync("network", "install-hook", "--hooks-dir", str(hooks), "--log", str(log))
    assert ended.code == 0, ended.err
    yield hooks, log
    barasync("network", "uninstall-hook", "--hooks-dir", str(hooks))
    assert not hooks.exists()


@pytest.fixture
def by_hand(
    installation: Installation, service: RigService, busybox: str, installed: tuple[Path, Path]
) -> ByHand:
    hooks, log = installed
    begun = len(log.read_text()) if log.exists() else 0
    return ByHand(installation, service, busybox, hooks, log, begun)


@pytest.fixture
def apart(installation: Installation, service: RigService, busybox: str, tmp_path: Path) -> ByHand:
    """The same, with a directory for hooks that the test itself installs."""
    hooks = service.directory / "hooks-apart"
    return ByHand(installation, service, busybox, hooks, tmp_path / "hook.log")


@pytest.fixture
def server(service: RigService, busybox: str) -> Iterator[tuple[str, str]]:
    """A container on a network with a resolver: its ID and its address."""
    socket_path = service.endpoint.socket_path
    libpod.request(
        socket_path, "POST", "networks/create", body={"name": NETWORK, "dns_enabled": True}
    )
    body = {
        "image": busybox,
        "name": "hook-server",
        "command": ["httpd", "-f", "-p", str(PORT)],
        "netns": {"nsmode": "bridge"},
        "networks": {NETWORK: {"aliases": ["server"]}},
        "r_limits": [{"type": t, "soft": s, "hard": h} for t, s, h in service.rlimits],
    }
    container = ""
    try:
        container = libpod.request(socket_path, "POST", "containers/create", body=body)["Id"]
        libpod.request(socket_path, "POST", f"containers/{container}/start")
        found = libpod.request(socket_path, "GET", f"containers/{container}/json")
        yield container, found["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
    finally:
        if container:
            libpod.remove_container(socket_path, container)
        libpod.request(socket_path, "DELETE", f"networks/{NETWORK}")


def test_the_annotation_decides_what_a_container_reaches(
    by_hand: ByHand, server: tuple[str, str]
) -> None:
    _, address = server

    assert by_hand.connects(address)
    assert by_hand.connects(address, "--annotation=barasync.network=private")
    assert not by_hand.connects(address, "--annotation=barasync.network=public")
    assert not by_hand.connects(address, "--annotation=barasync.network=isolated")


@pytest.mark.usefixtures("server")
def test_names_are_resolved_where_the_policy_has_them(by_hand: ByHand) -> None:
    def resolves(policy: str) -> bool:
        done = by_hand(
            f"--network={NETWORK}",
            f"--annotation=barasync.network={policy}",
            script="nslookup server && echo resolved",
        )
        return "resolved" in done.stdout

    assert resolves("public")
    assert not resolves("local")


def test_a_table_of_a_file_is_kept_as_it_was(
    barasync: Barasync, apart: ByHand, server: tuple[str, str], tmp_path: Path
) -> None:
    _, address = server
    file = tmp_path / "barasync.toml"
    file.write_text(f'[network.web]\nallow = ["{address} {PORT}/tcp"]\n[network.other]\n')
    words = ("--hooks-dir", str(apart.hooks))
    ended = barasync("network", "install-hook", *words, "--policies", str(file))
    file.unlink()

    try:
        assert "policies: public, private, local, isolated, web, other" in ended.out
        assert apart.connects(address, "--annotation=barasync.network=web")
        assert not apart.connects(address, "--annotation=barasync.network=other")
    finally:
        barasync("network", "uninstall-hook", *words)


@pytest.mark.parametrize(
    ("options", "policy", "why"),
    [
        (("--network=none",), "no-such-policy", "names the policy 'no-such-policy'"),
        (("--network=none",), "", "names the policy ''"),
        (("--network=none", "--cap-add=NET_ADMIN"), "local", "it has NET_ADMIN"),
        (("--network=none", "--privileged"), "local", "which no policy bears"),
        (("--network=host",), "local", "it has the network of the host"),
        (("--network=ns:/proc/self/ns/net",), "local", "shares the network of another"),
        (("--network=none", "--pid=host"), "local", "sees processes outside of it"),
        (("--network=none",), "public", "the container has no network yet"),
        ((), "public", "the container's network has no resolver"),
    ],
)
def test_what_cannot_be_enforced_does_not_start_and_says_why(
    by_hand: ByHand, options: tuple[str, ...], policy: str, why: str
) -> None:
    done = by_hand(*options, f"--annotation=barasync.network={policy}")

    assert done.returncode != 0
    assert "started" not in done.stdout
    assert f"error executing hook `{by_hand.hooks}/barasync-network.sh`" in done.stderr
    assert why in by_hand.said()


def test_a_container_that_joins_another_ones_network_does_not_change_its_rules(
    by_hand: ByHand, server: tuple[str, str]
) -> None:
    container, address = server

    done = by_hand(f"--network=container:{container}", "--annotation=barasync.network=isolated")

    assert done.returncode != 0
    assert "shares the network of another" in by_hand.said()
    assert by_hand.connects(address)


def test_the_file_of_another_ones_network_does_not_lead_past_that(
    by_hand: ByHand, service: RigService, server: tuple[str, str]
) -> None:
    container, address = server
    found = libpod.request(service.endpoint.socket_path, "GET", f"containers/{container}/json")
    network = found["NetworkSettings"]["SandboxKey"]

    done = by_hand(f"--network=ns:{network}", "--annotation=barasync.network=isolated")

    assert done.returncode != 0
    # To who runs podman 5.4 in the rig, in mounts of its own, the file is no namespace.
    assert "is in its network already" in by_hand.said() or "cannot setns" in done.stderr
    assert by_hand.connects(address)


def test_nothing_starts_without_nft(by_hand: ByHand) -> None:
    options = ("--network=none", "--annotation=barasync.network=local")

    assert "started" in by_hand(*options).stdout
    done = by_hand(*options, shell=WITHOUT_NFT)

    assert done.returncode != 0
    assert "started" not in done.stdout
    assert "nft is not installed" in by_hand.said()
    assert "install the package nftables" in by_hand.said()


def test_without_the_hook_the_annotation_is_nothing(barasync: Barasync, apart: ByHand) -> None:
    words = ("--hooks-dir", str(apart.hooks))
    installed = barasync("network", "install-hook", *words, "--log", str(apart.log))
    options = ("--network=none", "--annotation=barasync.network=no-such-policy")
    assert apart(*options).returncode != 0

    removed = barasync("network", "uninstall-hook", *words)
    apart.hooks.mkdir()
    try:
        done = apart(*options)
    finally:
        apart.hooks.rmdir()

    assert "WITHOUT any rules" in installed.out
    assert f"removed {apart.hooks}/barasync-network.json" in removed.out
    assert done.stdout == "started\n"


@pytest.mark.parametrize("mapped", [(), ("--uidmap=0:100000:5000", "--gidmap=0:100000:5000")])
def test_rules_hold_without_an_interface_and_in_a_user_namespace(
    by_hand: ByHand, mapped: tuple[str, ...]
) -> None:
    def loops(policy: str) -> str:
        done = by_hand(
            "--network=none",
            *mapped,
            f"--annotation=barasync.network={policy}",
            script="httpd -p 127.0.0.1:8080 && echo started; " + CONNECT,
            argument="127.0.0.1",
        )
        return done.stdout

    assert loops("local") == "started\nconnected\n", by_hand.said()
    assert loops("isolated") == "started\n", by_hand.said()
