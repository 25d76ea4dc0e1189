"""The endpoints of containers."""

from __future__ import annotations

import base64
import json
import posixpath
import signal
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import PurePosixPath

import anyio

from barasync.aiopodman import Stream, quirks
from tests.fake.api_secrets import environment
from tests.fake.container import Attachment, Container
from tests.fake.faults import Effect, Keeps, MonitorDies, NeverAccepted
from tests.fake.images import carries, packed, unpack
from tests.fake.log import framed
from tests.fake.state import State
from tests.fake.wire import Answer, Refusal, Request

_PIECE_BYTES = 32 * 1024
_NOTICE = b"Error: read unixpacket @->%s/attach: read: connection reset by peer\n"
_NO_EXIT_CODE = "no such exit code"
_IMPROPER = "container state improper"
_STAT = "X-Docker-Container-Path-Stat"
_SYMLINK = 1 << 27
_STREAM = (("Content-Type", "application/vnd.docker.raw-stream"),)


async def create(state: State, request: Request) -> Answer:
    missing_status = 500 if state.has(quirks.IMAGE_MISSING_IS_500) else 404
    body = request.document()
    secret_env = environment(state, body)
    container = state.create(body, secret_env=secret_env, missing_status=missing_status)
    return Answer.of({"Id": container.id, "Warnings": []}, 201)


async def listed(state: State, request: Request) -> Answer:
    wanted = request.filters().get("label", [])
    every = request.flag("all")
    return Answer.of(
        [
            container.summary()
            for container in state.containers.values()
            if (every or container.status == "running") and carries(container.labels, wanted)
        ]
    )


async def inspect(_state: State, container: Container, request: Request) -> Answer:
    return Answer.of(container.inspect(size=request.flag("size")))


async def init(_state: State, container: Container, _request: Request) -> Answer:
    if container.status != "created":
        return Answer(status=304)
    container.init()
    return Answer(status=204)


async def start(state: State, container: Container, effect: Effect | None) -> Answer:
    if container.status == "running":
        return Answer(status=304)
    container.start(state.monitors)
    if isinstance(effect, MonitorDies):
        container.kill_monitor()
    return Answer(status=204)


async def stop(_state: State, container: Container, request: Request) -> Answer:
    if container.status != "running":
        return Answer(status=304)
    with anyio.CancelScope(shield=True):
        await container.stop(float(request.first("timeout", "10")))
    return Answer(status=204)


async def kill(state: State, container: Container, request: Request) -> Answer:
    if container.status != "running" or container.process is None:
        status = 500 if state.has(quirks.WRONG_STATE_IS_500) else 409
        text = f"can only kill running containers. {container.id} is in state {container.status}"
        raise Refusal(status, _IMPROPER, f"{text}: {_IMPROPER}")
    container.process.send(_signal(request.first("signal", "SIGKILL")))
    return Answer(status=204)


async def wait(state: State, container: Container, request: Request) -> Answer:
    """Where conmon was killed podman 5 answers at once, and podman 4 when it has looked for long.

    Here both do at once.
    """
    wanted = set(request.query.get("condition", ["stopped", "exited"]))
    if "stopped" in wanted or "exited" in wanted:
        # What never started counts as stopped.
        wanted |= {"stopped", "exited", "created"}
    while container.status not in wanted and not container.is_unwatched:
        if container.status == "removed":
            raise Refusal(404, "no such container")
        await container.changed.wait()
    if container.is_unwatched and not state.has(quirks.DEAD_MONITOR_LOOKS_ALIVE):
        text = f"getting exit code of container {container.id} from DB: {_NO_EXIT_CODE}"
        raise Refusal(500, _NO_EXIT_CODE, f"{text} (container in state running)")
    return Answer(body=b"%d\n" % container.exit_code)


async def healthcheck(_state: State, container: Container, _request: Request) -> Answer:
    if container.status != "running":
        text = f"container {container.id} is not running: {_IMPROPER}"
        raise Refusal(409, _IMPROPER, text)
    if "healthconfig" not in container.body:
        raise Refusal(409, f"container {container.id} has no defined healthcheck")
    healthy = await container.check_health()
    report = {"Status": "healthy" if healthy else "unhealthy", "FailingStreak": 0, "Log": None}
    return Answer.of(report)


async def rename(state: State, container: Container, request: Request) -> Answer:
    name = request.first("name")
    for other in state.containers.values():
        if other is not container and other.name == name:
            cause = "that name is already in use"
            raise Refusal(409, cause, f'name "{name}" is in use: {cause}')
    container.name = str(name)
    return Answer()


async def attach(state: State, container: Container, effect: Effect | None) -> Answer:
    if container.status in {"created", "exited"}:
        try:
            container.init()
        except Refusal as refusal:
            # The versions differ in what they say of the same failure.
            if not state.has(quirks.WRONG_STATE_IS_500):
                raise
            text = f"preparing container {container.id} for attach: {refusal.message}"
            raise Refusal(409, refusal.cause, text) from refusal
    if isinstance(effect, NeverAccepted):
        return Answer(body=_reset_at_the_end(container), headers=_STREAM, until_close=True)
    return Answer(body=Attachment(container), headers=_STREAM, until_close=True)


async def _reset_at_the_end(container: Container) -> AsyncGenerator[bytes, None]:
    await container.until_ended()
    yield framed(Stream.STDERR, _NOTICE % container.id.encode())


async def logs(state: State, container: Container, request: Request) -> Answer:
    follow = request.flag("follow")
    late = follow and state.has(quirks.LOG_HEADERS_LATE)
    return Answer(body=_logged(container, request, follow=follow), headers=_STREAM, late=late)


async def _logged(
    container: Container, request: Request, *, follow: bool
) -> AsyncGenerator[bytes, None]:
    streams = {stream for stream in Stream if request.flag(stream.name.lower())}
    since = request.first("since")
    position = 0
    if tail := request.first("tail"):
        position = max(0, container.log.end - int(tail))
    while True:
        # Whether it goes on is asked before what it has printed until then.
        goes_on = follow and container.status in {"created", "initialized", "running"}
        entries, position = container.log.after(position), container.log.end
        for entry in entries:
            if entry.stream in streams and (not since or entry.at >= _moment(since)):
                yield entry.frame
        if not goes_on:
            return
        if position == container.log.end:
            await container.changed.wait()


async def archive(_state: State, container: Container, request: Request) -> Answer:
    path = request.first("path")
    place = container.inside(path)
    name = "." if path.endswith("/.") else PurePosixPath(path).name or "."
    return _tar(packed(place, name))


async def export(_state: State, container: Container, _request: Request) -> Answer:
    return _tar(packed(container.root, ""))


def _tar(data: bytes) -> Answer:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for begin in range(0, len(data), _PIECE_BYTES):
            yield data[begin : begin + _PIECE_BYTES]

    return Answer(body=pieces(), headers=(("Content-Type", "application/x-tar"),))


async def stat(_state: State, container: Container, request: Request) -> Answer:
    path = request.first("path")
    above, name = posixpath.split(path)
    place, end = container.follow(above) / name, container.follow(path)
    if not place.exists() and not place.is_symlink():
        raise Refusal(404, "no such file or directory")
    found = {
        "name": end.name,
        "size": 0,
        "mode": _SYMLINK if place.is_symlink() else 0,
        "mtime": container.image.created.isoformat(),
        "isDir": end.is_dir(),
        "linkTarget": f"/{end.relative_to(container.root)}" if place.is_symlink() else path,
    }
    headers = ((_STAT, base64.b64encode(json.dumps(found).encode()).decode()),)
    return Answer(status=200 if end.exists() else 404, headers=headers)


async def put_archive(_state: State, container: Container, request: Request) -> Answer:
    unpack(request.body, container.root / request.first("path").lstrip("/"))
    return Answer()


async def mount(_state: State, container: Container, _request: Request) -> Answer:
    container.mounts += 1
    return Answer.of(str(container.root))


async def unmount(_state: State, container: Container, _request: Request) -> Answer:
    container.mounts = max(0, container.mounts - 1)
    return Answer(status=204)


async def commit(state: State, request: Request) -> Answer:
    container = state.container(request.first("container"))
    name = f"{request.first('repo')}:{request.first('tag', 'latest')}"
    image = state.images.make(name, architecture=container.image.architecture, like=container.image)
    image.labels = container.labels
    image.env = container.committed_env
    image.user = container.body.get("user", image.user)
    image.work_dir = container.body.get("work_dir", image.work_dir)
    command = (container.body.get("entrypoint", []), container.body.get("command", []))
    if any(command):
        image.entrypoint, image.command = command
    if state.has(quirks.COMMIT_LOSES_STOP_SIGNAL):
        image.stop_signal = ""
    image.change(request.query.get("changes", ()))
    if not (image.entrypoint or image.command) and state.has(quirks.COMMIT_CANNOT_CLEAR_COMMAND):
        image.entrypoint, image.command = command
    image.take_files(container.root)
    return Answer.of({"Id": image.id}, 201)


async def delete(
    state: State, container: Container, request: Request, effect: Effect | None
) -> Answer:
    if isinstance(effect, Keeps):
        return Answer.of([{"Id": container.id, "Err": effect.cause, "RawInput": container.id}])
    if container.status == "running" and not request.flag("force"):
        text = f"cannot remove container {container.id} as it is running"
        raise Refusal(409, _IMPROPER, f"{text}: {_IMPROPER}")
    with anyio.CancelScope(shield=True):
        await container.remove(float(request.first("timeout", "10")))
    state.containers.pop(container.id, None)
    return Answer.of([{"Id": container.id, "Err": None, "RawInput": container.id}])


def _signal(text: str) -> int:
    if text.isdigit():
        return int(text)
    name = text if text.startswith("SIG") else f"SIG{text}"
    try:
        return signal.Signals[name]
    except KeyError:
        raise Refusal(500, f"invalid signal: {text}") from None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
