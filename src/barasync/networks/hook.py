"""The program of the OCI hook: the rules of the policy that a container's annotation names.

    python -I -m barasync.networks.hook POLICIES LOG…

The runtime calls it at the stage `createRuntime` with the container's state on its standard input.
The container's namespaces are there, nothing in it has run, and nothing does where this fails.
crun throws away what a hook prints, so what was refused goes to a file as well: the first LOG that
can be written to.

Source: OCI runtime specification 1.0.2, "POSIX-platform Hooks"; measured with podman 4.3.1 (crun
1.8.1) and 5.4.2 (crun 1.21).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from barasync.config.policies import Policy
from barasync.errors import BarasyncError, InternalError
from barasync.networks import host
from barasync.networks.hook_container import (
    Configuration,
    HookError,
    State,
    check_container,
    parse_links,
    parse_served,
    policy_of,
    resolvers,
)
from barasync.networks.hook_policies import read_policies
from barasync.networks.loading import enforce
from barasync.networks.namespace import enter
from barasync.networks.resolv_conf import servers
from barasync.networks.rules import Ruleset, Surroundings, ruleset
from barasync.terminal_text import one_line

_PROC = Path("/proc")
_NAMES = Path("/run/containers/networks/aardvark-dns")
_DEPTH = 3
_MOST_BYTES = 16 * 1024**2
"""Of what is read; podman's configuration of a container has some 50 kB."""
_MOST_LOG_BYTES = 256 * 1024


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise HookError(f"{path} cannot be read: {error.strerror}") from None


def _surroundings(state: State, config: Configuration, policy: Policy) -> Surroundings:
    sources = [each.source for each in config.mounts if each.destination == "/etc/resolv.conf"]
    resolv_conf = Path(sources[-1]) if sources else None
    # Podman 5 writes the file only after the hook, and netavark its own before.
    nameservers = servers(_text(resolv_conf)) if resolv_conf is not None else ()
    net = _PROC / str(state.pid) / "net"
    links = parse_links(_text(net / "route"), _text(net / "ipv6_route"))
    served = [
        address
        for directory in _directories_of_names(resolv_conf)
        for path in sorted(directory.glob("*"))
        for address in parse_served(_text(path), state.id)
    ]
    return Surroundings(
        resolvers=resolvers(served, nameservers, links, policy),
        host=host.addresses(os.getpid()),
        links=tuple(links),
    )


def _directories_of_names(resolv_conf: Path | None) -> Iterator[Path]:
    """Give where podman's resolver has its files: one for root, or in the run directory of a user.

    Source: `netavarkBackendFromConf` of containers/common, which podman 4.3 and 5.4 call.
    """
    yield _NAMES
    # RUNROOT/overlay-containers/ID/userdata/resolv.conf
    if resolv_conf is not None and len(resolv_conf.parents) > _DEPTH:
        yield resolv_conf.parents[_DEPTH] / "networks/aardvark-dns"


def _text(path: Path) -> str:
    """Return what a file says, which may be nothing: podman takes networks away meanwhile."""
    return _read(path).decode(errors="replace") if path.exists() else ""


def check_alone(state: State) -> None:
    """Refuse a container in whose network namespace another process lives; blocking.

    With `--network=ns:PATH` that may be another container's, whose rules these would replace.
    Processes that this user may not look at are not seen.

    Raises:
        HookError: there is one.
    """
    own = _network_of(state.pid)
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and int(entry.name) != state.pid:
            other = _network_of(int(entry.name))
            if own is not None and other == own:
                raise HookError(
                    f"the process {entry.name} is in its network already, whose rules these would"
                    " be as well",
                    hint="give it a network of its own, or take away the annotation",
                )


def _network_of(pid: int) -> tuple[int, int] | None:
    """Tell network namespaces apart; `None` where the process has ended or is not to be seen."""
    try:
        found = (_PROC / str(pid) / "ns/net").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


async def _enforce(state: State, rules: Ruleset) -> None:
    async with enter(state.pid, state.id) as namespace:
        await to_thread.run_sync(check_alone, state)
        await enforce(namespace, rules, anew=True)


def apply(told: bytes, policies: Path) -> None:
    """Put the rules in force for the container whose state the runtime has `told`; blocking.

    Raises:
        BarasyncError: they are not, or nobody knows.
    """
    try:
        state = msgspec.json.decode(told, type=State)
        config = msgspec.json.decode(_read(Path(state.bundle) / "config.json"), type=Configuration)
    except msgspec.MsgspecError as error:
        raise HookError(
            f"the runtime says nothing of the container that is known: {error}"
        ) from None
    policy = policy_of(config, read_policies(policies))
    check_container(config, policy)
    anyio.run(_enforce, state, ruleset(policy, _surroundings(state, config, policy)))


def main() -> int:
    """Run the hook; anything but 0 keeps the container from its start."""
    policies, *logs = map(Path, sys.argv[1:])
    told = b""
    try:
        told = sys.stdin.buffer.read(_MOST_BYTES)
        apply(told, policies)
    except BarasyncError as error:
        _tell(told, f"{error}{f'; {error.hint}' if error.hint else ''}", logs)
        return error.exit_code
    # Whatever it is: the sentence has to get where a person looks for it.
    except Exception as error:  # noqa: BLE001 - the container does not start, and that is told
        _tell(told, f"a defect of barasync: {type(error).__name__}: {error}", logs)
        return InternalError.exit_code
    return 0


def _tell(told: bytes, why: str, logs: Iterable[Path]) -> None:
    """Say why a container does not start: on stderr, which runc shows, and in a log."""
    name = "of an unknown ID"
    with suppress(msgspec.MsgspecError):
        name = msgspec.json.decode(told, type=State).id[:12]
    line = one_line(f"barasync does not let the container {name} start: {why}")
    print(line, file=sys.stderr)  # noqa: T201 - as said
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for path in logs:
        with suppress(OSError):
            _append(path, f"{at} {line}\n")
            return


def _append(path: Path, line: str) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        if os.fstat(descriptor).st_size > _MOST_LOG_BYTES:
            os.ftruncate(descriptor, 0)
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
