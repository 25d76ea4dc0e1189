"""A container of the fake: its files, its state, and who reads its output."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from barasync.aiopodman import Stream
from tests.fake.images import Image
from tests.fake.log import Log, framed
from tests.fake.networks import networks_of
from tests.fake.process import PATH, Process, executable
from tests.fake.wire import Refusal

_REMOVE_SECONDS = 5.0
_MAX_LINKS = 40
_HEALTH_CHARACTERS = 500
_NEVER = "0001-01-01T00:00:00Z"

Report = Callable[["Container", str], None]
"""Takes note of what happened to a container, in podman's word for it."""


class Attachment:
    """The output of a container from now on, framed; the container waits for who reads it."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._send, self._receive = anyio.create_memory_object_stream[bytes](0)
        container.attachments.append(self)

    def __aiter__(self) -> Attachment:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._receive.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def pass_on(self, frame: bytes) -> None:
        """Wait until the reader has taken a frame, or has left."""
        try:
            await self._send.send(frame)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    def end(self) -> None:
        """Tell the reader that nothing more comes."""
        self._send.close()

    async def aclose(self) -> None:
        """Leave."""
        self._send.close()
        self._receive.close()
        if self in self._container.attachments:
            self._container.attachments.remove(self)


@dataclass(slots=True, kw_only=True, eq=False)
class Container:
    """A container; `body` is what it was created with, `secret_env` what that asks for by name.

    `places` is what `inspect` tells of each of its networks while it has a process, `ports` where
    its ports are published.

    `changed` is replaced and set whenever the state changes or output comes.
    """

    id: str
    name: str
    body: Mapping[str, Any]
    secret_env: Mapping[str, str]
    shows_secrets: bool
    places: Mapping[str, Mapping[str, Any]]
    ports: Mapping[str, Any]
    image: Image
    root: Path
    report: Report
    status: str = "created"
    exit_code: int = 0
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    finished: datetime | None = None
    mounts: int = 0
    health: list[dict[str, Any]] = field(default_factory=list)
    health_status: str = ""
    failing_streak: int = 0
    attachments: list[Attachment] = field(default_factory=list)
    changed: anyio.Event = field(default_factory=anyio.Event)
    log: Log = field(init=False)
    process: Process | None = None
    _monitor: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def __post_init__(self) -> None:
        self.health_status = "starting" if "healthconfig" in self.body else ""
        self.log = Log(self.body.get("log_configuration", {}).get("size"))
        shutil.copytree(self.image.root, self.root, symlinks=True)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the image and its own."""
        return {**self.image.labels, **self.body.get("labels", {})}

    @property
    def command(self) -> list[str]:
        """What is executed."""
        given = [*self.body.get("entrypoint", ()), *self.body.get("command", ())]
        return given or self.image.command or ["sh"]

    @property
    def committed_env(self) -> list[str]:
        """The environment that an image of it gets: all but what is set when it runs."""
        return [f"{name}={value}" for name, value in self._settings().items()]

    @property
    def has_ended(self) -> bool:
        """Whether it ran and is over."""
        return self.status == "exited"

    @property
    def is_unwatched(self) -> bool:
        """Whether its monitor was killed: what podman knows of it does not change any more."""
        return self.status == "running" and self._monitor.cancel_called

    def change(self, status: str) -> None:
        """Go to another state and wake whoever waits for one."""
        self.status = status
        self.wake()

    def wake(self) -> None:
        """Wake whoever waits for something to change."""
        event, self.changed = self.changed, anyio.Event()
        event.set()

    def init(self) -> None:
        """Make ready to run; one that has ended is made anew, and forgets its exit code.

        Raises:
            Refusal: the command cannot be executed.
        """
        env, work_dir = self._env(), self._work_dir()
        own = self.root / self.command[0].lstrip("/")
        program = (
            str(own)
            if self.command[0].startswith("/") and own.is_file()
            else executable(self.command[0], work_dir, env.get("PATH", PATH))
        )
        self.process = Process(self.command, program=program, work_dir=work_dir, env=env)
        self.exit_code, self.finished = 0, None
        self.change("initialized")

    def start(self, group: TaskGroup) -> None:
        """Run the command and watch it in `group`.

        Raises:
            Refusal: the command cannot be executed.
        """
        if self.status != "initialized":
            self.init()
        assert self.process is not None
        self.process.start()
        self.started = datetime.now(UTC)
        self._monitor = anyio.CancelScope()
        self.change("running")
        self.report(self, "start")
        group.start_soon(self._watch, self.process)

    def kill_monitor(self) -> None:
        """End what watches the process, which goes on; nobody will know of its end."""
        self._monitor.cancel()
        self.wake()

    async def remove(self, grace: float) -> None:
        """Kill what runs, after `grace` seconds of asking, and remove the files.

        Raises:
            Refusal: its end cannot be seen, because nobody reads its output.
        """
        if self.process is not None and self.status == "running":
            if self.is_unwatched:
                self.process.kill_all()
                await self.process.ended()
                self.process.reap()
            else:
                await self.stop(grace)
        elif self.process is not None and self.status == "initialized":
            self.process.end_waiting()
        self.change("removed")
        shutil.rmtree(self.root)
        self.report(self, "remove")

    async def stop(self, grace: float) -> None:
        """Ask the command to end, and kill it after `grace` seconds.

        Raises:
            Refusal: its end cannot be seen, because nobody reads its output.
        """
        assert self.process is not None
        if grace > 0:
            self.process.send(signal.SIGTERM)
            with anyio.move_on_after(grace):
                await self.until_ended()
        if not self.has_ended:
            self.process.kill_all()
            with anyio.move_on_after(_REMOVE_SECONDS):
                await self.until_ended()
        if not self.has_ended:
            cause = "given PID did not die within timeout"
            raise Refusal(500, cause, f"cannot remove container {self.id}: {cause}")

    async def check_health(self) -> bool:
        """Execute the health check, and tell whether it ended with 0."""
        kind, *command = self.body["healthconfig"]["Test"]
        env = {"PATH": PATH, **self._env()}
        if kind == "CMD-SHELL":
            command = ["/bin/sh", "-c", *command]
        try:
            done = await anyio.run_process(
                command, check=False, cwd=self._work_dir(), env=env, stderr=subprocess.STDOUT
            )
        except FileNotFoundError:
            self._note_health(1, "")
            return False
        output = done.stdout.decode(errors="replace")[:_HEALTH_CHARACTERS]
        self._note_health(int(done.returncode != 0), output)
        return done.returncode == 0

    def _note_health(self, code: int, output: str) -> None:
        """Take note of what a check came to; the start period of the fake is over at once."""
        self.health.append({"ExitCode": code, "Output": output})
        self.failing_streak = self.failing_streak + 1 if code else 0
        if code == 0:
            self.health_status = "healthy"
        elif self.failing_streak >= self.body["healthconfig"]["Retries"]:
            self.health_status = "unhealthy"

    async def until_ended(self) -> None:
        """Wait until it has ended, or is gone."""
        while self.status not in {"exited", "removed"}:
            await self.changed.wait()

    def inspect(self, *, size: bool = False) -> dict[str, Any]:
        """Return what `inspect` tells; with `size` how much there is."""
        running = self.status == "running"
        written = sum(path.lstat().st_size for path in self.root.rglob("*") if path.is_file())
        return {
            **({"SizeRw": written} if size else {}),
            "Id": self.id,
            "Name": self.name,
            "Created": self.image.created.isoformat(),
            "Image": self.image.id,
            "ImageName": self.body["image"],
            "OCIRuntime": "crun",
            "State": {
                "Status": self.status,
                "Running": running,
                "ExitCode": self.exit_code,
                "OOMKilled": False,
                "Pid": self._pid,
                "Error": "",
                "StartedAt": self.started.isoformat() if self.started else _NEVER,
                "FinishedAt": self.finished.isoformat() if self.finished else _NEVER,
                "CgroupPath": "",
                "Health": {
                    "Status": self.health_status,
                    "FailingStreak": self.failing_streak,
                    "Log": self.health[-5:],
                },
            },
            "Config": {
                "Image": self.body["image"],
                "Cmd": self.command,
                "Env": [f"{name}={value}" for name, value in self._shown_env().items()],
                "Labels": self.labels,
                "Annotations": self.body.get("annotations", {}),
                "WorkingDir": self._place(),
                "Timeout": self.body.get("timeout", 0),
                "Healthcheck": self.body.get("healthconfig"),
            },
            "NetworkSettings": {
                "Ports": self.ports,
                "Networks": {
                    name: place if self.is_alive else {"NetworkID": place["NetworkID"]}
                    for name, place in self.places.items()
                },
            },
        }

    def summary(self) -> dict[str, Any]:
        """Return what a list tells."""
        return {
            "Id": self.id,
            "Names": [self.name],
            "Image": self.body["image"],
            "ImageID": self.image.id,
            "State": self.status,
            "Status": self.health_status,
            "ExitCode": self.exit_code,
            "Created": self.created.isoformat(),
            "StartedAt": _seconds(self.started),
            "ExitedAt": _seconds(self.finished),
            "Labels": self.labels,
            "Networks": list(networks_of(self.body)),
            "Pid": self._pid,
        }

    def inside(self, path: str) -> Path:
        """Return where a path of the container is on this host, links followed.

        Raises:
            Refusal: it is not there.
        """
        found = (self.root / path.lstrip("/")).resolve()
        if found.is_relative_to(self.root.resolve()) and found.exists():
            return found
        cause = "no such file or directory"
        text = f'"{path}" could not be found on container {self.id}: {cause}'
        raise Refusal(404, cause, text)

    def follow(self, path: str) -> Path:
        """Return where a path leads on this host; its links are followed within the container.

        Raises:
            Refusal: they lead round in a circle.
        """
        waiting, end, links = path.split("/")[::-1], self.root, 0
        while waiting:
            name = waiting.pop()
            if name == "..":
                end = self.root if end == self.root else end.parent
            elif not (end / name).is_symlink():
                end /= name
            else:
                target = str((end / name).readlink())
                end = self.root if target.startswith("/") else end
                waiting += target.split("/")[::-1]
                links += 1
            if links > _MAX_LINKS:
                raise Refusal(500, "too many levels of symbolic links")
        return end

    async def _watch(self, process: Process) -> None:
        timeout = self.body.get("timeout") or None
        code: int | None = None
        with self._monitor:
            code = await process.watch(self._take, seconds=timeout)
        if code is not None and self.status == "running":
            self.exit_code, self.finished = code, datetime.now(UTC)
            self.change("exited")
            self.report(self, "died")
        for attachment in self.attachments:
            attachment.end()

    async def _take(self, stream: Stream, data: bytes) -> None:
        self.log.add(datetime.now(UTC), stream, data)
        self.wake()
        for attachment in list(self.attachments):
            await attachment.pass_on(framed(stream, data))

    @property
    def is_alive(self) -> bool:
        """Whether it has a process."""
        return self.status in {"initialized", "running"}

    @property
    def _pid(self) -> int:
        return self.process.pid if self.process is not None and self.is_alive else 0

    def _place(self) -> str:
        return str(self.body.get("work_dir") or self.image.work_dir or "/")

    def _work_dir(self) -> Path:
        place = self._place()
        directory = self.root / place.lstrip("/")
        if place == self.image.work_dir or self.body.get("create_working_dir"):
            directory.mkdir(parents=True, exist_ok=True)
        if not directory.is_dir():
            cause = f'workdir "{place}" does not exist on container {self.id}'
            raise Refusal(500, cause, cause)
        return directory

    def _env(self) -> dict[str, str]:
        at_start = {"HOME": "/", "HOSTNAME": self.id[:12]}
        return {**at_start, **self._settings(), **self.secret_env}

    def _settings(self) -> dict[str, str]:
        image = dict(setting.split("=", 1) for setting in self.image.env)
        podmans = {} if self.body.get("unsetenvall") else {"PATH": PATH, "container": "podman"}
        return {**podmans, **image, **self.body.get("env", {})}

    def _shown_env(self) -> dict[str, str]:
        hidden = {} if self.shows_secrets else dict.fromkeys(self.secret_env, "*******")
        return {**self._env(), **hidden}


def _seconds(moment: datetime | None) -> int:
    """Return a moment as a list tells it; one that has not come is long before the epoch."""
    return -62135596800 if moment is None else int(moment.timestamp())
