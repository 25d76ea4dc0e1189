"""What is executed for a private podman service: a command line, an environment and a guard.

Everything here is a function of its arguments. The chain of programs is

    rootful   [sh SHARE  unshare --mount]  sh GUARD  podman system service
    rootless  podman unshare  [sh SHARE  unshare --mount]  sh GUARD  podman system service

Where the service has a mount namespace of its own, podman outside of it has to see the network
namespaces that it binds to files: podman 4.3.1 does not even list a container without, and after
our death only a podman outside is there to remove it. So their directory is made a shared mount
beforehand, exactly as podman itself does before it makes its first one, and the new namespace stays
its peer: what either side mounts or unmounts there, both do. Only the place of the cover is parted
from the host. The storage's mounts are private in any namespace, podman sees to that; one outside
makes its own when it needs them.

The guard is a page of POSIX shell that starts the service and stays with it. Standard input of the
chain is the listening socket, standard output the *control* connection to us:

- The guard prints the process ID of the service on it.
- A watcher, which the guard leaves behind, reads from it. The end of input means that we let go or
  that we are dead, by whatever signal: the kernel closes our end. The guard then ends the service,
  first with SIGTERM, and removes the socket's directory.
- Its end of file, seen by us, means that the guard has finished and nothing is left to wait for.

So a normal end and the death of our process take the same path, and the service never outlives us
by more than the few seconds it is given to stop. Other ways are weaker: podman's own `--time` would
have to be so short that it closes a client's idle connections too, and a parent-death signal alone
does not pass through rootless podman.

A service that dies although it was not told to is started again, in the same mount namespace and on
the same listening socket: who connects meanwhile waits in its queue. Not so before we have written
`READY_NAME`, since podman that cannot start has to be told about, and not for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from barasync.aiopodman.service_host import Cover
    from barasync.aiopodman.service_place import Places

SOCKET_NAME = "podman.sock"

STOP_SECONDS = 5.0
"""How long the watcher lets the service shut down before it kills it."""

READY_NAME = "ready"
"""The file in the socket's directory that says that the service has answered once."""

RESTARTS = 10

_POLL_SECONDS = 0.02

# Source: containers/common, `netns.NewNSAtPath` and `GetNSRunDir`; `podman unshare` sets
# XDG_RUNTIME_DIR. Who may not mount here has no networks of podman either, which will say so.
SHARE = """
namespaces=/run/netns
if [ "$1" = rootless ]; then namespaces=$XDG_RUNTIME_DIR/netns; fi
shift
mkdir -p "$namespaces"
if ! mount --make-rshared "$namespaces" 2>/dev/null; then
    mount --rbind "$namespaces" "$namespaces" && mount --make-rshared "$namespaces"
fi
exec "$@"
"""

# A child that was not waited for keeps its process ID, so none that is signalled here can be that
# of another process. Threads may outlive what `lives` looks at: the last `wait` waits for them. The
# service must die with the guard, by whatever signal, where util-linux can see to that. A mount is
# hidden by another one on top, because a rootless user may not unmount what the host has mounted.
GUARD = f"""
covered=$1 source=$2 directory=$3
shift 3
if [ -n "$covered" ]; then
    mount --make-private "$covered" && mount --bind "$source" "$covered" || exit
fi
if command -v setpriv >/dev/null; then
    set -- setpriv --pdeathsig KILL -- "$@"
fi
exec 3<&0 </dev/null
ending= service=
trap 'ending=1; if [ -n "$service" ]; then kill -TERM "$service"; fi' TERM
{{
    exec 3<&- 2>/dev/null
    read -r _ <&1
    if read -r _ _ _ parent _ </proc/self/stat && [ "$parent" = "$$" ]; then
        kill -TERM $$
    fi
}} &
watcher=$!
export LISTEN_FDS=1
start() {{
    sh -c 'echo $$; exec >/dev/null; export LISTEN_PID=$$; exec "$@"' sh "$@" &
    service=$!
    if [ -n "$ending" ]; then kill -TERM "$service"; fi
}}
lives() {{
    read -r _ _ state _ 2>/dev/null <"/proc/$service/stat" && [ "$state" != Z ]
}}
restarts={RESTARTS}
start "$@"
while :; do
    wait "$service"
    code=$?
    if [ -z "$ending" ] && [ -e "$directory/{READY_NAME}" ] && [ "$restarts" -gt 0 ]; then
        restarts=$((restarts - 1))
        start "$@"
        continue
    fi
    break
done
polls={int(STOP_SECONDS / _POLL_SECONDS)}
while [ "$polls" -gt 0 ] && lives; do
    sleep {_POLL_SECONDS}
    polls=$((polls - 1))
done
if lives; then kill -KILL "$service"; fi
wait "$service"
rm -f "$directory/{SOCKET_NAME}" "$directory/{READY_NAME}"
rmdir "$directory"
kill "$watcher" 2>/dev/null
trap - TERM
if [ -n "$ending" ]; then exit; fi
if [ "$code" -gt 128 ]; then kill -"$((code - 128))" $$; fi
exit "$code"
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
    places: Places,
    environ: Mapping[str, str],
) -> Launch:
    """Return how to start a private service.

    Args:
        podman: The podman program, with leading arguments where it takes some.
        rootless: Whether podman has to make a user namespace first.
        cover: What the service must not see, and what to hide it with.
        places: Its private directories; that of the socket is removed by the watcher.
        environ: The environment to start from.
    """
    local = (*podman, "--remote=false")
    guard = ("sh", "-c", GUARD, "barasync-guard", *_covering(cover), places.socket)
    namespace = _namespace(rootless=rootless) if cover else ()
    user_namespace = (*local, "unshare") if rootless else ()
    kept = {name: value for name, value in environ.items() if name not in _NOT_INHERITED}
    # Podman 5 prints a warning about version 1 cgroups with every command otherwise.
    kept.setdefault("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
    if places.temporary is not None:
        kept["TMPDIR"] = places.temporary
    return Launch(
        (*user_namespace, *namespace, *guard, *local, "system", "service", "--time=0"),
        kept,
        tuple(_notes(rootless=rootless, cover=cover)),
    )


def _namespace(*, rootless: bool) -> tuple[str, ...]:
    """Return what executes a command in a mount namespace, and shares what SHARE says with it."""
    kind = "rootless" if rootless else "rootful"
    share = ("sh", "-c", SHARE, "barasync-share", kind)
    return (*share, "unshare", "--mount", "--propagation", "unchanged")


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
