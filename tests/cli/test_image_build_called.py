"""An image that only the command line declares goes by its tag: nobody knows another name of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fake.service import FakeService
from tests.rig.command import Barasync, Ended

HIDDEN = "bar-0123456789ab"
BASE = "localhost/base:latest"


@pytest.fixture
def barasync(tmp_path: Path) -> Iterator[Barasync]:
    """The command line in an empty project, with a service that has one image."""
    directory = tmp_path / "project"
    directory.mkdir()
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb"}
    with FakeService.running() as service:
        service.image(BASE)
        yield Barasync(directory, service.endpoint.url, environ)


def build(barasync: Barasync, *keys: str, tag: str = "app:1") -> Ended:
    defined = [f"--define=images.{HIDDEN}.{key}" for key in keys]
    return barasync("image", "build", f"--tag={tag}", *defined, "--", HIDDEN)


def test_what_is_made_and_what_happens_is_told_of_the_tag(barasync: Barasync) -> None:
    ended = build(barasync, f"from={BASE}", "steps=env A=1")

    assert ended.code == 0, ended.err
    made, named = ended.out.splitlines()
    assert made.startswith("app:1 ")
    assert named == "app:1 tag localhost/app:1"
    assert re.search(r"^app:1 \w+: step 1/1: ", ended.err, re.MULTILINE)
    assert HIDDEN not in ended.err


@pytest.mark.parametrize(
    ("keys", "code", "said"),
    [
        (["from=localhost/nothing:1"], 5, "image 'app:1': from: "),
        ([f"from={BASE}", "steps=run exit 3"], 5, "image 'app:1' for linux/"),
        ([f"from={BASE}", "steps=copy nothing:/x"], 2, "image 'app:1': "),
        ([f"from={BASE}", "steps=cpoy a:/b"], 2, "image 'app:1': steps[0]: "),
        ([f"from={BASE}", "workdir=x"], 2, "image 'app:1': workdir: "),
        (["env.A=1"], 2, "image 'app:1': the image has nothing to begin with"),
        (["containerfile=nothing"], 2, "image 'app:1': containerfile: there is no file nothing"),
        (["from=No"], 2, "image 'app:1': from: 'No' is neither a declared image nor a reference"),
        (["from=app:1"], 2, "--tag localhost/app:1: 'app:1' begins with app:1"),
    ],
)
def test_what_is_wrong_with_it_is_told_of_the_tag(
    barasync: Barasync, keys: list[str], code: int, said: str
) -> None:
    ended = build(barasync, *keys)

    assert (ended.code, ended.out) == (code, "")
    assert f"barasync: {said}" in ended.err
    assert HIDDEN not in ended.err
    assert "--define" not in ended.err


def test_the_log_of_what_failed_is_found_by_the_tag(barasync: Barasync) -> None:
    ended = build(barasync, f"from={BASE}", "steps=run echo said; exit 3", tag="r.example:5/a/b:1")

    assert ended.code == 5, ended.err
    (log,) = barasync.directory.glob(".barasync/**/*.log")
    assert log.name.startswith("r.example-5-a-b-1-")
    assert log.name in ended.err


def test_a_tag_cannot_disturb_the_terminal(barasync: Barasync) -> None:
    ended = build(barasync, "env.A=1", tag="a\x1b[31m\nb")

    assert ended.code == 2
    assert "image 'a b': the image has nothing" in ended.err


def test_an_image_that_the_file_declares_goes_by_its_name_there(barasync: Barasync) -> None:
    barasync.configure(f'[images.tool]\nfrom = "{BASE}"\nenv = {{ A = "1" }}\n')

    made = barasync("image", "build", "--tag=app:1", "tool")
    wrong = barasync("image", "build", "--tag=app:1", "--define=images.tool.workdir=x", "tool")

    assert (made.code, made.out.splitlines()[-1]) == (0, "tool tag localhost/app:1")
    assert "--define images.tool.workdir: " in wrong.err
    assert wrong.code == 2


def test_without_a_tag_it_goes_by_the_name_that_it_was_given(barasync: Barasync) -> None:
    nowhere = replace(barasync, url="unix:///nowhere")

    ended = nowhere("image", "build", "--define=images.a.workdir=x", "a")

    assert ended.code == 2
    assert ended.err.startswith("barasync: --define images.a: the image has nothing")
