"""A text in the place of a sequence of texts, which it is to Python's types, is refused."""

from __future__ import annotations

from typing import Any

import pytest

from barasync.aiopodman import ContainerSpec, ExecSpec, HealthCheck, Mount, PodSpec
from tests.unit.recorded import ID, answering

ANY: Any = "ls -l"


@pytest.mark.parametrize(
    "name",
    [
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
    ],
)
def test_a_container_is_made_of_sequences(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: .* such as \['ls -l'\]$"):
        ContainerSpec(image="1f3a", **{name: ANY})


def test_the_further_names_on_a_network_are_a_sequence() -> None:
    with pytest.raises(TypeError, match=r"^networks: .*'db'"):
        ContainerSpec(image="1f3a", network="bridge", networks={"one": "db"})  # type: ignore[dict-item] # on purpose


def test_other_specs_are_made_of_sequences() -> None:
    with pytest.raises(TypeError, match=r"^command: "):
        ExecSpec(command=ANY)
    with pytest.raises(TypeError, match=r"^infra_command: "):
        PodSpec(name="p", infra_image="1f3a", infra_command=ANY)
    with pytest.raises(TypeError, match=r"^options: "):
        Mount("/a", "/b", options=ANY)


def test_a_health_check_may_be_a_line_for_the_shell() -> None:
    assert HealthCheck(command="ls -l").to_body()["Test"] == ["CMD-SHELL", "ls -l"]


@pytest.mark.anyio
async def test_nothing_is_asked_of_podman_with_a_text_for_a_sequence() -> None:
    service = answering(200)

    async with service.client() as podman:
        with pytest.raises(TypeError, match=r"^filters: .*'container'"):
            async with podman.events(filters={"type": "container"}):
                pass
        with pytest.raises(TypeError, match=r"^descriptors: .*'pid'"):
            await podman.containers.handle(ID).top("pid")
        with pytest.raises(TypeError, match=r"^descriptors: "):
            await podman.pods.top("p", "pid")
        with pytest.raises(TypeError, match=r"^changes: "):
            await podman.containers.handle(ID).commit(repository="a", tag="b", changes="USER 1")

    assert service.seen == []
