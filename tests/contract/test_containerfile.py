"""Generated Containerfiles and changes mean the same to every podman: what they say."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

import anyio
import pytest

from barasync.aiopodman import ContainerSpec, ImageInspect, Podman, quirks
from barasync.config.load import parse
from barasync.config.origin import Origin
from barasync.images.containerfile import (
    Cmd,
    Copy,
    Entrypoint,
    Env,
    From,
    Instruction,
    Label,
    Run,
    Setting,
    User,
    Workdir,
    change,
    render,
)
from barasync.images.equivalent import containerfile_of
from barasync.matrix.platforms import native
from tests.contract.running import created, run, shell
from tests.rig import libpod
from tests.rig.busybox import HOST_BUSYBOX
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio

NAME = "localhost/barasync-test-containerfile"
PRINTABLE = "".join(map(chr, range(32, 127)))
VALUES = (
    PRINTABLE,
    "",
    "plain",
    " two  words ",
    "tab\tand\r",
    "é ü 😀\u2028\u00a0",
    '"',
    '"quoted"',
    "'single'",
    "$HOME ${HOME} ${X:-y} \\$HOME \\\\$HOME $$",
    "`id` $(id)",
    "\\",
    "ends with \\",
    "\\n is no newline",
    "a=b,c=d #comment",
    '["json", "list"]',
    "<<EOF",
    "\x01\x1b[31m\x7f",
    "$" * 100 + "x" * 29_000,
)
SETTINGS: tuple[Setting, ...] = (
    *(Env(f"E{number}", value) for number, value in enumerate(VALUES)),
    *(Label(f"test.l{number}", value) for number, value in enumerate(VALUES)),
    Workdir("/a b$HOME'\"\\x é#*?[z]{y}~`!&;|<>"),
    User("1234:567"),
    Entrypoint(("/bin/echo", PRINTABLE, "", "two\nlines", "é")),
    Cmd((PRINTABLE, "", "two\nlines", "é")),
)
SCRIPTS = (
    "echo one line of $0 \"with\" 'quotes' \\$ `echo x` é",
    "[ -d / ] && echo brackets",
    " --help 2>/dev/null || echo flag",
    "# a comment",
    "echo ends with \\",
    "cat <<X\nhere $((1 + 1)) \\\nX\nX",
    "  echo indented\n\techo tab\n\n\n  # comment\n#comment\necho after",
    "printf '%s\\n' '  # no comment\n#nor this\n \\\n\\\\\nEOF\nEOF1\nRUN x\n[\"x\"]\n'",
    "cat <<'EOF'\nEOF is the end of $HOME\n\t\"\\\\\"\nEOF\necho done\n",
    "#!/bin/cat\necho not a program",
    f"printf %s '{PRINTABLE.replace(chr(39), '')}é😀' | tr a-z A-Z",
    "echo {} | wc -c".format("x" * 70_000),
    "printf %s '{}' | wc -c".format("\\ #" * 30_000),
    "\n".join(f"echo {number} >/dev/null # {'x' * 90}" for number in range(800)) + "\necho long",
    "if false; then\n  :\nelse\n  echo else\nfi",
)
FILES = (
    ("plain", "/d/plain"),
    ("a b", "/d/a b"),
    ("a$HOME", "/d/$HOME ${HOME}"),
    ("it's", "/d/it's"),
    ('a"b', '/d/a"b'),
    ("é#", "/d/é#"),
    ("--flag", "/d/--flag"),
    ("#hash", "/d/#hash"),
    ("two\nlines\tand", "/d/two\nlines\tand"),
    ("<<EOF", "/d/<<EOF"),
    ("plain", "/d/a*b?[c]"),
    ("plain", "/d/back\\slash\\\\"),
    ("directory", "/d/other/directory"),
)


@contextmanager
def built(
    service: RigService, instructions: Iterable[Instruction], *, heredocs: bool = False
) -> Iterator[str]:
    """The output of `podman build`; the image is there for the block."""
    with built_from(service, render(instructions, heredocs=heredocs)) as log:
        yield log


@contextmanager
def built_from(service: RigService, containerfile: str) -> Iterator[str]:
    texts = {"Containerfile": containerfile}
    texts |= {name: f"content of {name}" for name, _ in FILES if name != "directory"}
    texts["directory/inner"] = "content of inner"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in texts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    query = {"dockerfile": "Containerfile", "t": NAME, "layers": "false", "networkmode": "none"}
    query |= {"rm": "true", "forcerm": "true"}
    answer = libpod.request(
        service.endpoint.socket_path, "POST", "build", query=query, body=buffer.getvalue()
    )
    lines = [json.loads(line) for line in answer.splitlines()]
    errors = [line for line in lines if "error" in line]
    assert not errors
    try:
        yield "".join(line.get("stream", "") for line in lines)
    finally:
        libpod.request(
            service.endpoint.socket_path, "DELETE", f"images/{NAME}", query={"force": "true"}
        )


CHAIN = r"""
[images.a]
from = "BASE"
env = { GREETING = '$HOME "quoted"' }
workdir = "/made by"
copy = ["it's:/b/"]
run = ["pwd > here", 'printf %s "$GREETING" > said']
user = "nobody"

[images.0-b]
from = "a"
project = true
run = ["id -u > /tmp/who"]

[images.c]
from = "0-b"
run = ['''
cat > /tmp/script <<"EOF"
# not a comment of the Containerfile
  $HOME \
EOF
''']
labels = { "test.x" = "$y" }
"""


def values_of(image: ImageInspect) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in image.config.env)


def assert_settings(image: ImageInspect, settings: Iterable[Setting]) -> None:
    env = values_of(image)
    for setting in settings:
        match setting:
            case Env(name, value):
                assert env[name] == value
            case Label(name, value):
                assert image.labels[name] == value
            case Workdir(path):
                assert image.config.working_dir == path
            case User(name):
                assert image.config.user == name
            case Cmd(words):
                assert image.config.cmd == list(words)
            case Entrypoint(words):
                assert image.config.entrypoint == list(words)


async def test_a_build_gives_an_image_the_settings_that_were_written(
    service: RigService, podman: Podman, busybox: str
) -> None:
    with built(service, (From(busybox), *SETTINGS)):
        image = await podman.images.inspect(NAME)

    assert_settings(image, SETTINGS)


async def test_commit_changes_are_literal__they_arrive_as_written_for_the_version(
    podman: Podman, busybox: str
) -> None:
    literal = quirks.COMMIT_CHANGES_ARE_LITERAL.is_active(podman.version.release)
    changes = [change(setting, literal=literal) for setting in SETTINGS]
    async with created(podman, shell(busybox, "true")) as container:
        image_id = await container.commit(repository=NAME, tag="changed", changes=changes)
    try:
        image = await podman.images.inspect(image_id)
    finally:
        with anyio.move_on_after(20, shield=True):
            await podman.images.remove(image_id, force=True, missing_ok=True)

    assert_settings(image, SETTINGS)


async def test_commit_changes_are_literal__an_import_takes_them_so_in_every_version(
    podman: Podman,
) -> None:
    async def empty() -> AsyncIterator[bytes]:
        yield bytes(10240)

    image_id = await podman.images.import_(
        empty(),
        reference=f"{NAME}:imported",
        architecture="amd64",
        changes=[change(setting, literal=True) for setting in SETTINGS],
    )
    try:
        image = await podman.images.inspect(image_id)
    finally:
        with anyio.move_on_after(20, shield=True):
            await podman.images.remove(image_id, force=True, missing_ok=True)

    assert_settings(image, SETTINGS)


def outputs(log: str) -> list[str]:
    """What each step printed, without the step itself."""
    steps = re.split(r"STEP \d+/\d+: ", log.split("COMMIT", 1)[0])[2:]
    return [step.partition("\n")[2] for step in steps]


async def test_build_knows_no_heredoc__the_portable_form_runs_where_one_is_refused(
    service: RigService, podman: Podman, busybox: str
) -> None:
    script = (From(busybox), Run("cat <<EOF\none\nEOF\necho two"))

    with built(service, script) as log:
        assert outputs(log) == ["one\ntwo\n"]
    if quirks.BUILD_KNOWS_NO_HEREDOC.is_active(podman.version.release):
        with (
            pytest.raises(AssertionError, match="Unknown instruction"),
            built(service, script, heredocs=True),
        ):
            pass


def printed(script: str) -> str:
    """What the image's shell makes of a script, by the name that the shell has there."""
    run = subprocess.run(
        ["/bin/sh", "-c", script], executable=HOST_BUSYBOX, stdout=subprocess.PIPE, check=True
    )
    return run.stdout.decode()


async def test_a_build_runs_each_script_as_the_shell_is_given_it(
    service: RigService, podman: Podman, busybox: str
) -> None:
    heredocs = not quirks.BUILD_KNOWS_NO_HEREDOC.is_active(podman.version.release)
    expected = [printed(script) for script in SCRIPTS]

    for form in (False, True)[: 1 + heredocs]:
        with built(service, (From(busybox), *map(Run, SCRIPTS)), heredocs=form) as log:
            assert outputs(log) == expected


async def test_a_build_copies_files_of_any_name_that_can_be_written(
    service: RigService, podman: Podman, busybox: str
) -> None:
    places = [target + "/inner" * (source == "directory") for source, target in FILES]
    script = 'shift; for place; do cat "$place"; echo; done'
    copies = [Copy(source, target) for source, target in FILES]
    with built(service, (From(busybox), *copies)):
        image = await podman.images.inspect(NAME)
        command = ("/bin/sh", "-c", script, "sh", "-", *places)
        ended = await run(podman, ContainerSpec(image=image.id, command=command))

    names = ["inner" if source == "directory" else source for source, _ in FILES]
    assert ended.stderr == b""
    assert ended.stdout.decode() == "".join(f"content of {name}\n" for name in names)


async def test_the_containerfile_of_a_chain_makes_what_was_declared(
    service: RigService, podman: Podman, busybox: str
) -> None:
    images = parse(CHAIN.replace("BASE", busybox), Origin()).images
    places = ["/made by/here", "/made by/said", "/b/it's", "/tmp/who", "/tmp/script"]
    places += ["/workspace/plain", "/workspace/directory/inner"]
    platform = native(os.uname().machine)
    with built_from(service, containerfile_of("c", images, platform)):
        image = await podman.images.inspect(NAME)
        script = (
            'for place; do cat "$place"; echo "."; done; stat -c %u "/b/it\'s" /workspace/plain'
        )
        command = ("/bin/sh", "-c", script, "sh", *places)
        ended = await run(podman, ContainerSpec(image=image.id, command=command))

    assert ended.stderr == b""
    assert ended.stdout.decode().split(".\n") == [
        "/made by\n",
        '$HOME "quoted"',
        "content of it's",
        "65534\n",
        "# not a comment of the Containerfile\n  $HOME \\\n",
        "content of plain",
        "content of inner",
        "0\n65534\n",
    ]
    assert image.labels["test.x"] == "$y"
    assert (image.config.user, image.config.working_dir) == ("nobody", "/made by")
