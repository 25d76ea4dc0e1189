"""Real podman services, each with storage and configuration of its own.

Three installations: this host's podman, podman 5 in a Debian 13 root, and this host's podman
without root. Every service runs in a child process that holds it (`hold_service.py`), so that it
ends with this process, however that ends.
"""

from __future__ import annotations

import json
import os
import re
import resource
import select
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from barasync.aiopodman import Endpoint
from barasync.aiopodman.service_threads import thread_at_home
from tests.rig import busybox, debian, leftovers, libpod, networks
from tests.rig.accounts import ROOTLESS_USER, ensure_rootless_user

PROJECT = Path(__file__).parents[2]
HOLD_SERVICE = Path(__file__).parent / "hold_service.py"
ENTER_ROOT = Path(__file__).parent / "enter-root.sh"

START_SECONDS = 60.0
STOP_SECONDS = 30.0

SANE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Installation:
    """A podman that can be started: `host(scratch)` executes a command where it is installed.

    `scratch` is a directory for what that needs while it runs. `program(scratch)` is the command
    line of podman itself.
    """

    name: str
    program: Callable[[Path], tuple[str, ...]]
    host: Callable[[Path], tuple[str, ...]]
    user: str = "root"

    @property
    def version(self) -> str:
        """The version, as the summary of the tests names it."""
        return self.name.removeprefix("podman-")


@dataclass(slots=True)
class RigService:
    """A running service; `environ` makes other commands use the same storage and configuration."""

    name: str
    endpoint: Endpoint
    version: str
    pid: int
    rlimits: tuple[tuple[str, int, int], ...]
    notes: tuple[str, ...]
    environ: Mapping[str, str]
    directory: Path
    holder: subprocess.Popen[bytes]
    _images: dict[str, str] = field(default_factory=dict)

    @property
    def thread(self) -> int:
        """A thread of it that has the mounts of the service: see `thread_at_home`."""
        return thread_at_home(self.pid, "mnt")

    def busybox(self, architecture: str) -> str:
        """Return the ID of a busybox image, imported at the first call."""
        if architecture not in self._images:
            self._images[architecture] = libpod.import_image(
                self.endpoint.socket_path,
                busybox.archive(architecture),
                reference=f"localhost/busybox:{architecture}",
                architecture=architecture,
            )
        return self._images[architecture]


@cache
def host_version() -> str | None:
    """Return the version of this host's podman, `None` where there is none."""
    program = shutil.which("podman")
    if program is None:
        return None
    run = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+\.\d+\.\d+)", run.stdout)
    return found[1] if found else None


def host_podman() -> Installation:
    return Installation(f"podman-{host_version() or 'missing'}", lambda _: ("podman",), _this_host)


def trixie_podman() -> Installation:
    """Debian 13's podman; 5.4.2 is what it had when this was written."""
    version = debian.podman_version_in_cache() or "5.4.2"
    name = f"podman-{version}" if version != host_version() else f"podman-{version}-trixie"
    return Installation(name, lambda scratch: (*_trixie(scratch), "podman"), _trixie)


def rootless_podman() -> Installation:
    installed = host_podman()
    name = f"{installed.name}-rootless"
    return Installation(name, installed.program, installed.host, user=ROOTLESS_USER)


def installations() -> tuple[Installation, ...]:
    """Return all podmans that the contract tests have to run against."""
    return host_podman(), trixie_podman(), rootless_podman()


def _this_host(_: Path) -> tuple[str, ...]:
    return ("unshare", "--mount", "--propagation", "private")


def _trixie(scratch: Path) -> tuple[str, ...]:
    root = debian.root_with_podman()
    visible = dict.fromkeys((tempfile.gettempdir(), str(PROJECT), *_interpreter()))
    return (
        *("unshare", "--mount", "--propagation", "private", str(ENTER_ROOT)),
        *(str(root), str(scratch), *visible, "--"),
    )


def _interpreter() -> Iterator[str]:
    """Give what the Python of these tests consists of, for hooks that podman runs in another root.

    Of a system's own Python that is what the other root lacks.
    """
    if Path(sys.base_prefix) != Path("/usr"):
        yield sys.base_prefix
        return
    yield sysconfig.get_path("platstdlib", vars={"platbase": sys.base_prefix})
    links = [Path("/usr/bin/python3"), Path(sys.executable).resolve()]
    for path in (*links, *Path("/usr/lib").glob("*/libexpat.so.1")):
        yield str(path)


@contextmanager
def running(installation: Installation) -> Iterator[RigService]:
    """Run a service of its own storage; afterwards nothing of it is left, or this raises."""
    with private_directory(installation.user) as directory:
        environ = isolated_environment(directory, default_ulimits=True)
        service = start(installation, environ, directory)
        try:
            yield service
        finally:
            try:
                forgotten = _remove_containers(service)
            finally:
                stop(service)
                left = leftovers.clear(directory)
    assert not forgotten, f"{installation.name}: containers were left at the end: {forgotten}"
    assert not left, f"{installation.name} left behind: {left}"


@contextmanager
def private_directory(user: str = "root") -> Iterator[Path]:
    """Make a directory that belongs to a user, and remove it with what podman mounted in it.

    Root's has networks that no other has; what is left of them on this host goes as well.
    """
    directory = Path(tempfile.mkdtemp(prefix="barasync-test-"))
    try:
        with ExitStack() as stack:
            if user == "root":
                stack.enter_context(networks.own_networks(directory))
            else:
                account = ensure_rootless_user()
                os.chown(directory, account.pw_uid, account.pw_gid)
            yield directory
    finally:
        leftovers.unmount_storage(directory)
        shutil.rmtree(directory)


def isolated_environment(directory: Path, *, default_ulimits: bool) -> dict[str, str]:
    """Write podman's configuration into a directory; return the environment that makes it used.

    Rootful podmans of one host share their locks in memory unless these are files (`lock_type`).
    `default_ulimits` is what a user of such a host would configure, see `service_host`; without it
    containers have to be created with the limits of the service.
    """
    stat = directory.stat()
    for name in ("home", "runtime", "scratch"):
        (directory / name).mkdir(mode=0o700)
        os.chown(directory / name, stat.st_uid, stat.st_gid)
    containers_conf = directory / "containers.conf"
    containers_conf.write_text(_containers_conf(directory, default_ulimits=default_ulimits))
    environ = {
        "PATH": SANE_PATH,
        "HOME": str(directory / "home"),
        "TMPDIR": tempfile.gettempdir(),
        "CONTAINERS_CONF": str(containers_conf),
    }
    if stat.st_uid != 0:
        # Rootless podman takes the place of its storage from HOME.
        return {**environ, "XDG_RUNTIME_DIR": str(directory / "runtime")}
    storage_conf = directory / "storage.conf"
    storage_conf.write_text(
        f'[storage]\ndriver = "overlay"\n'
        f'graphroot = "{directory}/graph"\nrunroot = "{directory}/run"\n'
    )
    return {**environ, "CONTAINERS_STORAGE_CONF": str(storage_conf)}


def _containers_conf(directory: Path, *, default_ulimits: bool) -> str:
    lines = ["[engine]", 'cgroup_manager = "cgroupfs"', 'events_logger = "file"']
    lines += ['lock_type = "file"']
    if directory.stat().st_uid == 0:
        lines += [f'tmp_dir = "{directory}/tmp"']
        lines += ["[network]", *networks.settings(directory)]
    # As in the file of the package, in whose place this one is: who may ping has no capability.
    lines += ["[containers]", 'default_sysctls = ["net.ipv4.ping_group_range=0 0"]']
    if default_ulimits:
        files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1048576)
        lines += [f'default_ulimits = ["nofile={files}:{files}", "nproc=32768:32768"]']
    return "\n".join(lines) + "\n"


_WITH_TUN = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-ec"),
    'mount -t tmpfs tmpfs /dev/net; mknod -m 666 /dev/net/tun c 10 200; exec "$@"',
    "sh",
)
"""Executes a command that sees a device for networks which users may open, as hosts have it."""


def start(
    installation: Installation,
    environ: Mapping[str, str],
    directory: Path,
    *,
    within: Sequence[str] = (),
) -> RigService:
    """Start a service in a process that holds it; `stop` ends both.

    `within` is a command that executes another one, after changing what it sees of the host. The
    holder has a session of its own: what a terminal sends to the tests' group must not end the
    service before the fixtures have cleared up.
    """
    reach = () if installation.user == "root" else _WITH_TUN
    command = [*reach, *within, sys.executable, str(HOLD_SERVICE), installation.user]
    command += installation.program(directory / "scratch")
    log = directory / "holder.log"
    with log.open("wb") as errors:
        holder = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environ,
            start_new_session=True,
        )
    try:
        facts = _receive(holder)
    except BaseException:
        _end(holder)
        raise
    if facts is None:
        _end(holder)
        raise debian.SetupError(f"{installation.name} cannot be had:\n{log.read_text()[-3000:]}")
    return RigService(
        name=installation.name,
        endpoint=Endpoint(facts["url"], "the test rig"),
        version=facts["version"],
        pid=facts["pid"],
        rlimits=tuple((kind, soft, hard) for kind, soft, hard in facts["rlimits"]),
        notes=tuple(facts["notes"]),
        environ=environ,
        directory=directory,
        holder=holder,
    )


def _receive(holder: subprocess.Popen[bytes]) -> dict[str, Any] | None:
    assert holder.stdout is not None
    ready, _, _ = select.select([holder.stdout], [], [], START_SECONDS)
    line = holder.stdout.readline() if ready else b""
    return json.loads(line) if line else None


def stop(service: RigService) -> None:
    _end(service.holder)


def _end(holder: subprocess.Popen[bytes]) -> None:
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.close()
    try:
        holder.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        holder.kill()
        holder.wait()
    finally:
        holder.stdout.close()


def _remove_containers(service: RigService) -> list[str]:
    found = libpod.containers(service.endpoint.socket_path)
    libpod.remove_containers(service.endpoint.socket_path, found)
    return sorted(found.values())
