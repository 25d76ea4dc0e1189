"""What is executed for a private podman service: a command line, an environment and a guard.

Everything here is a function of its arguments. The chain of programs is

    rootful   [unshare --mount]  sh GUARD  podman system service
    rootless  podman unshare [unshare --mount]  sh GUARD  podman system service

The guard is a few lines of POSIX shell that become podman (`exec`, the same process) and leave a
watcher behind. Standard input of the chain is the listening socket, standard output the *control*
connection to us:

- The guard prints the process ID of the service on it.
- The watcher reads from it. The end of input means that we let go or that we are dead, by whatever
  signal: the kernel closes our end. It then ends the service, first with SIGTERM, and removes the
  socket's directory.
- Its end of file, seen by us, means that the watcher has finished and nothing is left to wait for.

So a normal end and the death of our process take the same path, and the service never outlives us
by more than the few seconds it is given to stop. Other ways are weaker. A parent-death signal does
not pass through rootless podman, which runs the service in a child process (4.3.1: the parent exits
at SIGTERM, the child stays; likewise at SIGKILL), and it fires when the thread ends that started
the child. Podman's own `--time` would have to be so short that it closes a client's idle
connections too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from barasync.aiopodman.service_host import Cover

SOCKET_NAME = "podman.sock"

STOP_SECONDS = 5.0
"""How long the watcher lets the service shut down before it kills it."""

_POLL_SECONDS = 0.02

# The watcher is a child of the service, so "its parent is still the service" is a test that no
# recycled process ID can pass. It must hold neither the listening socket, because connecting to a
# service that has died has to fail, nor standard error, whose end of file is that of the service's
# last words. A mount is hidden by another one on top, because a rootless user may not unmount what
# the host has mounted.
GUARD = f"""
covered=$1 source=$2 directory=$3
shift 3
if [ -n "$covered" ]; then
    mount --bind "$source" "$covered" || exit
fi
exec 3<&0 </dev/null
service_lives() {{
    read -r _ _ _ parent _ </proc/self/stat && [ "$parent" = "$$" ]
}}
{{
    exec 3<&- 2>/dev/null
    read -r _ <&1
    if service_lives; then
        kill -TERM $$
        polls={int(STOP_SECONDS / _POLL_SECONDS)}
        while [ "$polls" -gt 0 ] && service_lives; do
            sleep {_POLL_SECONDS}
            polls=$((polls - 1))
        done
        if service_lives; then kill -KILL $$; fi
    fi
    rm -f "$directory/{SOCKET_NAME}"
    rmdir "$directory"
}} &
echo $$
exec >/dev/null
export LISTEN_PID=$$ LISTEN_FDS=1
exec "$@"
"""

# The first three would make podman talk to another podman instead of being the service; the others
# are systemd's, and would be meant for our own process.
_NOT_INHERITED = frozenset(
    {
        "CONTAINER_HOST",
        "CONTAINER_CONNECTION",
        "CONTAINER_SSHKEY",
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
    }
)


@dataclass(frozen=True, slots=True)
class Launch:
    """A command to execute, its environment, and what a person may want to know about it."""

    command: tuple[str, ...]
    environ: Mapping[str, str]
    notes: tuple[str, ...]


def plan_launch(
    *,
    podman: Sequence[str],
    rootless: bool,
    cover: Cover | None,
    directory: str,
    environ: Mapping[str, str],
) -> Launch:
    """Return how to start a private service.

    Args:
        podman: The podman program, with leading arguments where it takes some.
        rootless: Whether podman has to make a user namespace first.
        cover: What the service must not see, and what to hide it with.
        directory: The private directory of the socket, which the watcher removes.
        environ: The environment to start from.
    """
    local = (*podman, "--remote=false")
    guard = ("sh", "-c", GUARD, "barasync-guard", *_covering(cover), directory)
    namespace = ("unshare", "--mount", "--propagation", "slave") if cover else ()
    user_namespace = (*local, "unshare") if rootless else ()
    kept = {name: value for name, value in environ.items() if name not in _NOT_INHERITED}
    # Podman 5 prints a warning about version 1 cgroups with every command otherwise.
    kept.setdefault("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
    return Launch(
        (*user_namespace, *namespace, *guard, *local, "system", "service", "--time=0"),
        kept,
        tuple(_notes(rootless=rootless, cover=cover)),
    )


def _covering(cover: Cover | None) -> tuple[str, str]:
    return (cover.mount_point, cover.source) if cover else ("", "")


def _notes(*, rootless: bool, cover: Cover | None) -> list[str]:
    kind = "rootless" if rootless else "rootful"
    notes = [f"started a {kind} podman service of our own"]
    if cover:
        notes.append(
            "this host's cgroups are hybrid, which crun refuses: the service has a mount namespace "
            f"of its own, in which {cover.mount_point} is hidden"
        )
    return notes
