"""A host of a test's own, for a private service: a mount namespace where no podman has been yet.

What barasync starts to have a service goes there, barasync itself stays outside.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.rig import busybox, leftovers, services
from tests.rig.services import Installation

# Where this host's podman has been, the mount that it keeps for networks is there, shared.
_BEGIN = """
while umount --recursive /run/netns 2>/dev/null; do :; done
echo begun
exec sleep 100000
"""

# Whichever of these is the first that barasync executes for a service enters the host.
_ENTERING = ("sh", "unshare")
_PROGRAM = """#!/bin/sh
if [ -n "$BARASYNC_TEST_ENTERED" ]; then exec /usr/bin/{name} "$@"; fi
BARASYNC_TEST_ENTERED=1 exec nsenter --target {pid} --mount /usr/bin/{name} "$@"
"""


@dataclass(frozen=True, slots=True)
class OwnHost:
    """Podman's storage in a directory, and a process in the mount namespace that is the host.

    Who starts shells and `unshare` with `environ` has them executed on this host. Temporary files
    are in the directory: whatever runs beside the test looks for those of the dead elsewhere.
    """

    directory: Path
    environ: Mapping[str, str]
    pid: int

    def podman(self, *words: str) -> str:
        """Run the installed podman beside any service, as a person would; return its stdout."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--mount", "podman", *words],
            env=self.environ,
            cwd="/",
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            timeout=30,
            check=True,
        )
        return done.stdout.decode()

    def import_busybox(self, name: str) -> None:
        """Make an image of the native architecture."""
        archive = self.directory / "busybox.tar"
        archive.write_bytes(busybox.archive(busybox.native_architecture()))
        self.podman("import", str(archive), name)

    def mounts(self) -> list[str]:
        """Return the mount points of the host."""
        table = Path(f"/proc/{self.pid}/mountinfo").read_text()
        return [line.split()[4] for line in table.splitlines()]


@contextmanager
def own_host(installation: Installation) -> Iterator[OwnHost]:
    """Make a host for a test, with storage of its own, and take it away."""
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=False)
        before = leftovers.network_namespaces()
        command = (*installation.host(directory / "scratch"), "sh", "-c", _BEGIN)
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        with holder:
            try:
                assert holder.stdout is not None
                assert holder.stdout.readline() == b"begun\n"
                programs = directory / "programs"
                programs.mkdir()
                for name in _ENTERING:
                    (programs / name).write_text(_PROGRAM.format(name=name, pid=holder.pid))
                    (programs / name).chmod(0o755)
                environ["PATH"] = f"{programs}:{environ['PATH']}"
                environ["TMPDIR"] = str(directory / "temporary")
                (directory / "temporary").mkdir()
                yield OwnHost(directory, environ, holder.pid)
            finally:
                holder.kill()
        left = [*leftovers.clear(directory), *leftovers.clear_network_namespaces(before)]
        assert not left, left
