"""What a container is to be: `ContainerSpec`, and its translation to podman's create body.

Source: podman `pkg/specgen/specgen.go` (`SpecGenerator`), `POST /libpod/containers/create`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from barasync.aiopodman.health import NO_CHECK, HealthCheck
from barasync.aiopodman.texts import refuse_text

LOG_BYTES = 32 * 1024 * 1024
"""What podman keeps of a container's output, with 45 bytes around each line; older lines go.

So much that the first 64 KiB are there still when they are compared (`output`), by when conmon may
be some hundred KiB ahead.
"""

_CPU_PERIOD_MICROSECONDS = 100_000
_NETWORKS = frozenset({"none", "bridge", "host"})
_SEQUENCES = (
    "command",
    "entrypoint",
    "dns_servers",
    "dns_search",
    "publish",
    "cap_add",
    "cap_drop",
    "mounts",
    "overlays",
    "hidden",
    "secret_files",
    "rlimits",
)


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the service's host, or a named volume, in a container.

    `source` is an absolute path or a volume's name; podman makes a volume that does not exist.
    """

    source: str
    destination: str
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        refuse_text("options", self.options)

    @property
    def is_volume(self) -> bool:
        """Whether the source is a named volume."""
        return not self.source.startswith("/")


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret of the service as a file in a container; the owner is root.

    `target` is a path, a relative one below `/run/secrets`. By default every user of the container
    may read it, as with podman's own command.
    """

    secret: str
    target: str
    mode: int = 0o444


@dataclass(frozen=True, slots=True)
class Rlimit:
    """A limit of setrlimit(2); `type` without its prefix, such as `nofile`."""

    type: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of a container that is reached through a port of the service's host.

    Podman looks for a free `host` port where that is 0, when the container is created. `address` is
    that of the host on which it listens, all of them where it is empty.
    """

    container: int
    host: int = 0
    protocol: str = "tcp"
    address: str = ""

    def to_body(self) -> dict[str, object]:
        """Return the mapping in a create body."""
        return {
            "container_port": self.container,
            "host_port": self.host,
            "protocol": self.protocol,
            "host_ip": self.address,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """A container that does not exist yet.

    `image` is an image's ID: podman takes any local image of that name, of whatever architecture,
    when it is given a name. `command` goes to the image's entrypoint where there is one, unless
    `entrypoint` replaces it; empty, it is the image's. `timeout` is in whole seconds, after which
    podman itself kills the container, whether or not this client still lives; its exit code is
    then -1. `memory_bytes` limits memory and swap together. `cpus` are cores, `cgroup_parent` a
    path in every hierarchy of cgroups. Conmon lives below it as well, and what conmon starts at the
    container's end, unless `monitor_stays` with the service. Whoever gives `rlimits` gives both
    nofile and nproc (see `quirks.RLIMITS_REPLACE_DEFAULTS`). With `terminal` the two output streams
    are one.

    Podman refuses to start a command in a `work_dir` that is not there; with `make_work_dir` it
    makes the directory, as that of an image, and gives it to the container's user.

    `overlays` are mounts whose source stays as it is: what the container writes there goes to its
    own storage, and is removed with it. At the paths of `hidden` the container finds an empty
    directory that cannot be written, whatever lies there.
    With `only_env` the environment is `env`, without that of the image and of podman's defaults: a
    commit then adds nothing else to the image's own. HOME is set all the same. With `only_users`
    podman leaves the image's `/etc/passwd` and `/etc/group` alone; by default it adds a `user` that
    is a number to them, podman 5 by the name that the service's host has for it (measured). With
    `no_volumes` the image's volumes are directories like any other: a commit has what was written
    there.
    `secret_env` maps a variable to the name of the secret that it holds; the secret has to be there
    when the container starts, that of a file when it is created.

    With `pod`, a name or an ID, the container is in that pod. Its `network` may be `pod` then, for
    the namespaces that the pod's containers share.

    `network` is `none`, `bridge`, `host`, or `container:ID` for the network namespace of another
    one, which has to be removed after this. A bridge is podman's default network, unless `networks`
    says which ones, each with the further names by which its other containers find this one.
    `dns_servers` are asked instead of the network's own, and `dns_search` are the domains that a
    name may be in, `.` alone for none; `extra_hosts` are names and their
    addresses in `/etc/hosts`. A joined namespace comes with all of these, and with what is
    published, unless the namespace has no interface (measured on 4.3.1 and 5.4.2). With
    `image_hosts` podman leaves the image's `/etc/hosts` alone. Capabilities have no prefix, such as
    `NET_RAW`. With `own_processes` it sees none but its own, and with `unprivileged` it is not
    privileged, whatever podman's configuration says: of one that is nothing is dropped.

    `health_check` is what `Container.check_health` executes; without one it is the image's, if that
    has one, and with `no_health_check` there is none.

    `None` and empty values leave a setting to podman.

    Raises:
        TypeError: a sequence is a text, which no shell takes apart here.
        ValueError: a number is not positive, or a network does not exist, or has no such settings,
            or there is to be a health check and none.
    """

    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    name: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    only_env: bool = False
    only_users: bool = False
    no_volumes: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    work_dir: str | None = None
    make_work_dir: bool = False
    user: str | None = None
    timeout: int | None = None
    memory_bytes: int | None = None
    cpus: float | None = None
    pids_limit: int | None = None
    pod: str | None = None
    network: str = "none"
    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dns_servers: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    image_hosts: bool = False
    health_check: HealthCheck | None = None
    no_health_check: bool = False
    publish: tuple[PublishedPort, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    own_processes: bool = False
    unprivileged: bool = False
    mounts: tuple[Mount, ...] = ()
    overlays: tuple[Mount, ...] = ()
    hidden: tuple[str, ...] = ()
    secret_files: tuple[SecretFile, ...] = ()
    secret_env: Mapping[str, str] = field(default_factory=dict)
    cgroup_parent: str | None = None
    monitor_stays: bool = False
    rlimits: tuple[Rlimit, ...] = ()
    terminal: bool = False
    stdin: bool = False
    architecture: str | None = None

    def __post_init__(self) -> None:
        for name in _SEQUENCES:
            refuse_text(name, getattr(self, name))
        refuse_text("networks", *self.networks.values())
        for name in ("timeout", "memory_bytes", "cpus", "pids_limit"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")
        mode, _, container = self.network.partition(":")
        if self.network == "pod" and self.pod is None:
            raise ValueError("a container that is in no pod cannot share its network")
        known = _NETWORKS | {"pod"}
        if self.network not in known and not (mode == "container" and container):
            raise ValueError(f"there is no network {self.network!r}")
        if self.health_check is not None and self.no_health_check:
            raise ValueError("a container with a health check cannot be without one")
        if self.networks and self.network != "bridge":
            raise ValueError(f"with {self.network!r} a container is on no network by name")

    @property
    def named_volumes(self) -> tuple[Mount, ...]:
        """The mounts whose source is a named volume."""
        return tuple(mount for mount in self.mounts if mount.is_volume)

    def to_body(self) -> dict[str, object]:
        """Return the create body. It never asks for `remove`: that loses the exit code."""
        settings: dict[str, object] = {
            "command": list(self.command),
            "entrypoint": list(self.entrypoint),
            "name": self.name,
            "pod": self.pod,
            "env": dict(self.env),
            "unsetenvall": self.only_env,
            "labels": dict(self.labels),
            "work_dir": self.work_dir,
            "create_working_dir": self.make_work_dir,
            "user": self.user,
            "timeout": self.timeout,
            "resource_limits": self._resource_limits(),
            "mounts": [
                *(_bind(mount) for mount in self.mounts if not mount.is_volume),
                *(_nothing(path) for path in self.hidden),
            ],
            "overlay_volumes": [_overlay(mount) for mount in self.overlays],
            "volumes": [_volume(mount) for mount in self.named_volumes],
            "secrets": [_secret(file) for file in self.secret_files],
            "secret_env": dict(self.secret_env),
            "networks": {
                name: {"aliases": list(aliases)} for name, aliases in self.networks.items()
            },
            "dns_server": list(self.dns_servers),
            "dns_search": list(self.dns_search),
            "hostadd": [f"{name}:{address}" for name, address in self.extra_hosts.items()],
            "use_image_hosts": self.image_hosts,
            "healthconfig": self._health_check(),
            "portmappings": [port.to_body() for port in self.publish],
            "cap_add": list(self.cap_add),
            "cap_drop": list(self.cap_drop),
            "pidns": {"nsmode": "private"} if self.own_processes else None,
            "cgroup_parent": self.cgroup_parent,
            "cgroups_mode": "no-conmon" if self.monitor_stays else None,
            "r_limits": [
                {"type": limit.type, "soft": limit.soft, "hard": limit.hard}
                for limit in self.rlimits
            ],
            "terminal": self.terminal,
            "stdin": self.stdin,
            "image_arch": self.architecture,
            "image_volume_mode": "ignore" if self.no_volumes else None,
        }
        given = {name: value for name, value in settings.items() if value}
        if self.only_users:
            given["manage_password"] = False
        if self.unprivileged:
            given["privileged"] = False
        # The service's default may be a log that nobody can read, or one that fills the disk.
        log = {"driver": "k8s-file", "size": LOG_BYTES}
        if self.network != "pod":
            given["netns"] = self._namespace()
        return {"image": self.image, "log_configuration": log, **given}

    def _health_check(self) -> dict[str, object] | None:
        if self.no_health_check:
            return {"Test": [NO_CHECK]}
        return self.health_check.to_body() if self.health_check else None

    def _namespace(self) -> dict[str, str]:
        mode, _, container = self.network.partition(":")
        return {"nsmode": mode, "value": container} if container else {"nsmode": mode}

    def _resource_limits(self) -> dict[str, object]:
        limits: dict[str, object] = {}
        if self.memory_bytes is not None:
            # `swap` is memory and swap together: the same number leaves no swap on top.
            limits["memory"] = {"limit": self.memory_bytes, "swap": self.memory_bytes}
        if self.cpus is not None:
            quota = max(1, round(self.cpus * _CPU_PERIOD_MICROSECONDS))
            limits["cpu"] = {"quota": quota, "period": _CPU_PERIOD_MICROSECONDS}
        if self.pids_limit is not None:
            limits["pids"] = {"limit": self.pids_limit}
        return limits


def _bind(mount: Mount) -> dict[str, object]:
    binding = {"bind", "rbind"} & set(mount.options)
    return {
        "type": "bind",
        "source": mount.source,
        "destination": mount.destination,
        "options": [*mount.options, *(() if binding else ("rbind",))],
    }


def _overlay(mount: Mount) -> dict[str, object]:
    return {
        "source": mount.source,
        "destination": mount.destination,
        "options": list(mount.options),
    }


def _nothing(path: str) -> dict[str, object]:
    # Podman would copy what lies there into the file system.
    return {"type": "tmpfs", "destination": path, "options": ["ro", "notmpcopyup"]}


def _secret(file: SecretFile) -> dict[str, object]:
    return {"Source": file.secret, "Target": file.target, "UID": 0, "GID": 0, "Mode": file.mode}


def _volume(mount: Mount) -> dict[str, object]:
    return {"Name": mount.source, "Dest": mount.destination, "Options": list(mount.options)}
