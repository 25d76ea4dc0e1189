"""The builder: FROM, COPY and RUN of a Containerfile, whose commands are executed on this host."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import anyio

from tests.fake.images import Image, unpack
from tests.fake.state import State
from tests.fake.wire import Answer, Refusal, Request

_SILENT = "docker://silent.example/"
"""Of this registry nothing is heard, before or `amid` the content of an image."""


class _FailsError(Exception):
    """A step fails; the text is podman's."""


async def build(state: State, request: Request) -> Answer:
    context = Path(tempfile.mkdtemp(prefix="libpod_builder", dir=state.directory))
    unpack(request.body, context)
    return Answer(body=_records(state, request, context))


async def _records(state: State, request: Request, context: Path) -> AsyncGenerator[bytes, None]:
    try:
        async for text in _texts(state, request, context):
            yield _record(stream=text)
            if f": FROM {_SILENT}" in text:
                async for said in _hangs(text):
                    yield _record(stream=said)
    except _FailsError as error:
        yield _record(error=f"{error}\n", errorDetail={"message": f"{error}\n"})
    finally:
        shutil.rmtree(context)


def _record(**members: object) -> bytes:
    return json.dumps(members).encode() + b"\n"


async def _texts(state: State, request: Request, context: Path) -> AsyncGenerator[str, None]:
    file = context / request.first("dockerfile")
    if not file.is_file():
        raise _FailsError(f"stat {file}: no such file or directory")
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    labels = json.loads(request.first("labels", "{}"))
    annotations = dict(
        each.split("=", 1) for each in json.loads(request.first("annotations", "[]"))
    )
    image: Image | None = None
    scratch: Image | None = None
    for number, line in enumerate(lines, 1):
        yield f"STEP {number}/{len(lines)}: {line}\n"
        word, _, rest = line.partition(" ")
        if rest == "scratch":
            image = scratch = _scratch(state, request, lines)
            continue
        if image is None:
            image = _base(state, rest)
            continue
        made = state.images.make("", architecture=image.architecture, like=image)
        made.parent, made.labels = image.id, {**image.labels, **labels}
        made.annotations = {**image.annotations, **annotations}
        made.take_files(image.root)
        try:
            if word == "COPY":
                _copy(context, made.root, rest)
            elif word != "RUN":
                _refuse(word, line)
            else:
                output, end = await _executed(made.root, line, rest)
                yield output
                end()
        except _FailsError:
            state.images.remove(made.id, made)
            raise
        if image is scratch:
            made.parent = ""
            state.images.remove(scratch.id, scratch)
        image = made
        yield f"--> {image.id[:12]}\n"
    assert image is not None
    state.images.name(image, request.first("t"))
    yield f"Successfully tagged {request.first('t')}\n"
    yield f"{image.id}\n"


def _refuse(word: str, line: str) -> None:
    parsed = f'&imagebuilder.Step{{Env:[]string{{"A=b"}}, Command:"{word.lower()}"}}'
    reason = f'Unknown instruction: "{word}" {parsed}'
    raise _FailsError(f'building at STEP "{line}": Build error: {reason}')


def _scratch(state: State, request: Request, lines: list[str]) -> Image:
    """Return an image without files; as podman's, the cache does not look at the platform."""
    architecture = request.first("platform").split("/")[1]
    if request.first("nocache", "false") == "true":
        state.scratches[tuple(lines)] = architecture
    cached = state.scratches.setdefault(tuple(lines), architecture)
    return state.images.make("", architecture=cached)


async def _hangs(step: str) -> AsyncGenerator[str, None]:
    """Tell of a pull from a registry that does not go on with it."""
    yield "Trying to pull it...\n"
    if step.endswith("/amid\n"):
        yield f"Copying blob sha256:{'a' * 64}\n"
    await anyio.sleep_forever()


def _base(state: State, name: str) -> Image:
    try:
        return state.images.find(name)
    except Refusal:
        text = f"creating build container: initializing source docker://{name}: no route to host"
        raise _FailsError(text) from None


def _copy(context: Path, root: Path, operands: str) -> None:
    source, destination = operands.split()
    if not (context / source).exists():
        step = f'building at STEP "COPY {operands}"'
        raise _FailsError(f'{step}: copier: stat: "/{source}": no such file or directory')
    target = root / destination.lstrip("/")
    if (context / source).is_dir():
        shutil.copytree(context / source, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(context / source, target)


async def _executed(root: Path, line: str, script: str) -> tuple[str, Callable[[], None]]:
    """Return what a script prints, and what raises its failure."""
    ended = await anyio.run_process(
        ("sh", "-c", script), cwd=root, check=False, stderr=subprocess.STDOUT
    )

    def end() -> None:
        if ended.returncode:
            status = f"while running runtime: exit status {ended.returncode}"
            raise _FailsError(f'building at STEP "{line}": {status}')

    return ended.stdout.decode(), end
