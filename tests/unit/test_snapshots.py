"""Names of snapshots, and which attempts leave one."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.aiopodman import (
    ContainerConfig,
    ContainerInspect,
    ContainerState,
    ImageConfig,
    ImageInspect,
    PodmanVersion,
    Reference,
)
from barasync.aiopodman.version import negotiate
from barasync.artifacts.place import Place
from barasync.config.schema import RetryOn
from barasync.engine.ended import Ended, is_surely_retried
from barasync.engine.job import Job
from barasync.errors import ConfigError
from barasync.images.snapshot import changes_for, snapshots_of
from tests.unit.world import cell

NAME = Reference("localhost", "broken", "1")
OLD, NEW = negotiate("4.3.1"), negotiate("5.4.2")


def names(text: str, *cells: str) -> list[str]:
    return [str(name) for name in snapshots_of(text, cells).values()]


def test_a_name_is_completed_as_podman_does() -> None:
    assert names("broken", "amd64") == ["localhost/broken:latest"]
    assert names("user/broken:1", "amd64") == ["localhost/user/broken:1"]
    assert names("quay.io/user/broken:1", "amd64") == ["quay.io/user/broken:1"]
    assert names("localhost:5000/broken", "amd64") == ["localhost:5000/broken:latest"]


def test_of_several_cells_each_has_a_name_with_its_id() -> None:
    assert names("broken:1", "amd64", "arm64-Debug") == [
        "localhost/broken:1-amd64",
        "localhost/broken:1-arm64-Debug",
    ]
    assert names("broken", "a", "b") == ["localhost/broken:latest-a", "localhost/broken:latest-b"]
    assert names("localhost:5000/broken", "a", "b")[0] == "localhost:5000/broken:latest-a"


def test_the_id_stands_for_its_place_also_of_one_cell() -> None:
    assert names("{cell}/broken:x-{cell}", "amd64") == ["localhost/amd64/broken:x-amd64"]
    assert names("broken:{cell}", "a", "b") == ["localhost/broken:a", "localhost/broken:b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Broken:1", "'Broken' is not a repository"),
        ("broken:a b", "'a b' is not a tag"),
        ("broken:{config}", "'{config}' is not a tag"),
        ("", "is not a repository"),
        ("b@sha256:" + "0" * 64, "has a digest"),
        ("0" * 64, "is an image ID"),
        ("localhost/barasync/workspace:1", "is a name of barasync's own"),
        ("barasync/x", "is a name of barasync's own"),
    ],
)
def test_what_is_no_name_for_an_image_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match="--snapshot") as refused:
        snapshots_of(text, ["a", "b"])
    assert said in str(refused.value)


def test_a_cell_whose_id_makes_no_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not a repository"):
        snapshots_of("x/{cell}:1", ["arm64-Debug"])
    with pytest.raises(ConfigError, match="is not a tag"):
        snapshots_of("x:1", ["a" * 130, "b"])


# Labels


def labels(own: dict[str, str]) -> list[str]:
    state = ContainerInspect(id="c", image="1mage", config=ContainerConfig(labels=own))
    return list(changes_for(state, ImageInspect(id="1mage"), NAME))


def test_the_labels_of_a_run_and_of_a_layer_are_emptied_and_others_stay() -> None:
    own = {
        "barasync.run": "r1",
        "barasync.cell": "a",
        "barasync.pid": "17",
        "barasync.maker.pid": "16",
        "barasync.key": "k",
        "barasync.kind": "workspace",
        "own": "label",
    }

    assert labels(own) == [
        "LABEL barasync.cell=",
        "LABEL barasync.key=",
        "LABEL barasync.maker.pid=",
        "LABEL barasync.pid=",
        "LABEL barasync.run=",
        "LABEL barasync.kind=snapshot",
        "LABEL barasync.base=1mage",
        "LABEL barasync.name=localhost/broken:1",
        "LABEL barasync.snapshot.run=r1",
        "LABEL barasync.snapshot.cell=a",
    ]


def test_a_snapshot_of_what_was_made_of_a_snapshot_says_nothing_of_that_ones_cell() -> None:
    made = labels({"barasync.snapshot.run": "r1", "barasync.snapshot.cell": "a"})

    assert made[-2:] == ["LABEL barasync.snapshot.run=", "LABEL barasync.snapshot.cell="]
    assert "LABEL barasync.snapshot.run=" not in labels({})


def test_a_label_cannot_bring_instructions_of_its_own() -> None:
    made = labels({"barasync.x\nUSER root": "1"})

    assert not any("USER" in change for change in made)


def test_proxies_are_emptied_unless_they_are_those_of_the_image() -> None:
    env = ["http_proxy=http://me:word@p", "no_proxy=", "HTTPS_PROXY=http://i", "A=http://me@p"]
    state = ContainerInspect(id="c", image="1mage", config=ContainerConfig(env=env))
    base = ImageInspect(id="1mage", config=ImageConfig(env=["HTTPS_PROXY=http://i"]))

    made = changes_for(state, base, NAME)

    assert [each for each in made if each.startswith("ENV")] == ["ENV http_proxy="]


# Which attempts


def job(*retry_on: RetryOn, number: int = 1, memory: int | None = None) -> Job:
    settings = {"retries": 1, "retry_on": retry_on, "memory": memory}
    return Job(
        cell=cell("a", **settings),
        number=number,
        image="image",
        command=("tests",),
        environment={},
        artifacts=Place(-1, Path("/nonexistent")),
        snapshot=NAME,
    )


def ended(code: int) -> Ended:
    state = ContainerState(status="exited", exit_code=code)
    return Ended(state=ContainerInspect(id="c", state=state))


def test_an_attempt_that_another_one_follows_is_known() -> None:
    assert is_surely_retried(ended(3), job(RetryOn.FAILED), NEW)
    assert not is_surely_retried(ended(3), job(RetryOn.FAILED, number=2), NEW)
    assert not is_surely_retried(ended(3), job(RetryOn.INFRA), NEW)
    assert not is_surely_retried(ended(0), job(*RetryOn), NEW)


@pytest.mark.parametrize("version", [OLD, NEW], ids=["4.3.1", "5.4.2"])
def test_whether_one_that_was_killed_is_the_last_is_not_known_while_memory_may_have_run_out(
    version: PodmanVersion,
) -> None:
    killed = ended(137)

    assert is_surely_retried(killed, job(RetryOn.FAILED, RetryOn.OOM), version)
    assert not is_surely_retried(killed, job(RetryOn.FAILED), version)
    assert not is_surely_retried(killed, job(RetryOn.OOM), version)
