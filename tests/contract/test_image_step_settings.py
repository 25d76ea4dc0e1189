"""What an image made of steps keeps of the one below, on real podmans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, Podman, quirks
from barasync.images.containerfile import Env, Workdir
from barasync.images.steps import (
    CopyStep,
    PackagesStep,
    ProjectStep,
    RunStep,
    Step,
)
from tests.contract.running import created, shell
from tests.contract.steps import (
    BASE,
    DOCKER,
    OCI,
    OFFLINE,
    Site,
    cleared,
    parent_of,
    run,
)
from tests.rig import libpod
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio

PARENTS = {
    "user-by-name": ('CMD ["sh", "-c", "echo \\"hi\\" $HOME"]\nUSER nobody\nWORKDIR /tmp', OCI),
    "entrypoint": ('ENTRYPOINT ["/bin/echo", "a b"]\nCMD ["c"]\nUSER 65534:65534', OCI),
    "shell-entrypoint": ("ENTRYPOINT echo e", OCI),
    "volumes": ("VOLUME /data\nEXPOSE 80\nSTOPSIGNAL SIGINT\nCMD c", OCI),
    "environment": (
        "ENV PATH=/bin:/usr/bin HOME=/tmp TERM=dumb container=foo A='x $y'\nCMD c",
        OCI,
    ),
    "docker": (
        'HEALTHCHECK --interval=5s CMD true\nSTOPSIGNAL SIGINT\nSHELL ["/bin/sh", "-ec"]\nCMD c',
        DOCKER,
    ),
}


@pytest.fixture
async def site(podman: Podman, tmp_path: Path) -> AsyncIterator[Site]:
    async with cleared(podman, tmp_path) as site:
        yield site


def told(service: RigService, image: str) -> dict[str, Any]:
    """Return what podman tells of an image's settings, labels of ours left out."""
    found = libpod.request(service.endpoint.socket_path, "GET", f"images/{image}/json")
    config = dict(found["Config"])
    labels = config.pop("Labels", None) or {}
    return {
        **config,
        "Labels": {name: labels[name] for name in labels if not name.startswith("barasync.")},
        "Env": sorted(config.get("Env") or ()),
        "Healthcheck": found.get("Healthcheck"),
        "WorkingDir": config.get("WorkingDir") or "/",
        "ManifestType": found["ManifestType"],
        "Architecture": found["Architecture"],
    }


@pytest.mark.parametrize("name", PARENTS)
async def test_an_image_keeps_what_its_parent_has(
    site: Site, service: RigService, busybox: str, name: str
) -> None:
    text, kind = PARENTS[name]
    parent = await to_thread.run_sync(parent_of, service, f"FROM {busybox}\n{text}\n", kind)
    (site.project / "file").write_text("text")

    executed = await site.build(parent, PackagesStep(("x",), "id -u; env", OFFLINE), run("id -un"))
    copied = await site.build(parent, CopyStep("file", "/in"), ProjectStep())

    before = told(service, parent)
    for built in (executed, copied):
        after = told(service, built.id)
        # A signal is the same by name and by number.
        assert after == before
    assert site.printed[0] == "0"
    assert site.printed[-1] == {"user-by-name": "nobody", "entrypoint": "nobody"}.get(name, "root")


@pytest.mark.parametrize("work", ["run", "packages", "copy", "project"])
async def test_settings_before_a_step_are_all_that_it_changes(
    site: Site, service: RigService, busybox: str, work: str
) -> None:
    text = 'ENTRYPOINT ["/bin/echo", "a b"]\nCMD ["c"]\nUSER nobody\nENV PATH=/bin A=old B=x'
    parent = await to_thread.run_sync(parent_of, service, f"FROM {busybox}\n{text}\n")
    (site.project / "file").write_text("text")
    settings = (Env("A", 'x "$y"  \\z'), Workdir("/made/here"))
    look = 'pwd; stat -c "%U %a" .; echo "$A"; id -un'
    steps: dict[str, Step] = {
        "run": RunStep(look, OFFLINE, settings),
        "packages": PackagesStep(("x",), look, OFFLINE, settings=settings),
        "copy": CopyStep("file", "/in", settings),
        "project": ProjectStep(settings=settings),
    }

    built = await site.build(parent, steps[work])
    after = told(service, built.id)
    await site.build(built.id, run(look))

    before = told(service, parent)
    env = [value for value in before["Env"] if value != "A=old"]
    assert after == {
        **before,
        "Env": sorted([*env, 'A=x "$y"  \\z']),
        "WorkingDir": "/made/here",
    }
    owner = "root" if work == "packages" else "nobody"
    seen = ["/made/here", f"{owner} 755", 'x "$y"  \\z', "nobody"]
    assert site.printed[-4:] == seen
    if work == "packages":
        assert site.printed[:4] == [*seen[:3], "root"]


async def test_commit_loses_stop_signal__it_is_given_back_in_the_changes(
    podman: Podman, site: Site, service: RigService, busybox: str
) -> None:
    parent = await to_thread.run_sync(
        parent_of, service, f"FROM {busybox}\nSTOPSIGNAL SIGINT\nCMD c\n"
    )
    del site
    kept = []
    for changes in ((), ("STOPSIGNAL SIGINT",)):
        async with created(podman, ContainerSpec(image=parent)) as container:
            image = await container.commit(repository=BASE, tag="signal", changes=changes)
        kept.append((await podman.images.inspect(image)).config.stop_signal)
        await podman.images.remove(image)

    lost = quirks.COMMIT_LOSES_STOP_SIGNAL.is_active(podman.version.release)
    assert kept[0] == ("" if lost else "SIGINT")
    assert kept[1] in {"SIGINT", "2"}


async def test_commit_cannot_clear_command__a_parent_without_one_gets_a_harmless_one(
    podman: Podman, site: Site, busybox: str
) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        cleared = await container.commit(
            repository=BASE, tag="cleared", changes=("ENTRYPOINT []", "CMD []")
        )
    built = await site.build(busybox, run("true"))

    keeps = quirks.COMMIT_CANNOT_CLEAR_COMMAND.is_active(podman.version.release)
    assert (await podman.images.inspect(cleared)).config.cmd == (
        ["sh", "-c", "true"] if keeps else []
    )
    config = (await podman.images.inspect(built.id)).config
    assert config.entrypoint == []
    assert config.cmd == (["/bin/sh"] if keeps else [])
