"""A rule whose bar cannot be executed, as a person meets it."""

from __future__ import annotations

from pathlib import Path

from tests.fake.service import FakeService
from tests.rig.command import Barasync

SAYS = (
    "exec container process (missing dynamic library?) `/workspace/./bar`: "
    "No such file or directory"
)


def test_an_image_without_bash_is_named_and_how_to_get_one(tmp_path: Path) -> None:
    """The fake executes bar; it says what the runtime would say in its place."""
    bar = tmp_path / "bar"
    bar.write_text(f"#!/bin/sh\necho '{SAYS}' >&2\nexit 1\n")
    bar.chmod(0o755)
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home"), "TERM": "dumb"}
    with FakeService.running() as service:
        service.image("localhost/tiny:latest")
        barasync = Barasync(tmp_path, service.endpoint.url, environ)

        ended = barasync("run", "--as=rule", "localhost/tiny", "--", "tests")
        verbatim = barasync("run", "--workspace=layer", "localhost/tiny", "--", "./bar")

    assert ended.code == 127, ended.err
    assert ended.said == (
        f"{SAYS}\nbarasync: `./bar` was not executed: image localhost/tiny has no bash\n"
        "  hint: `podman_layer_bar` of Bar.d/podman makes an image with bash and bar of it\n"
    )
    assert (verbatim.code, verbatim.said) == (1, f"{SAYS}\n")
