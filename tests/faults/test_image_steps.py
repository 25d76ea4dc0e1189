"""Steps of images: made once, found again, and what their images are."""

from __future__ import annotations

import os

import anyio
import pytest

from barasync.config.schema import ImageNetwork
from barasync.errors import ConfigError
from barasync.images.containerfile import Env, Label, User, Workdir
from barasync.images.steps import (
    CopyStep,
    PackagesStep,
    ProjectStep,
    RunStep,
    SettingsStep,
    Step,
)
from tests.faults.building import MAKER, PLATFORM, RUN, Site, run

pytestmark = pytest.mark.anyio


async def test_all_steps_are_made_once_and_found_by_the_next_builder(site: Site) -> None:
    steps = (
        SettingsStep((Env("A", "x y"), Workdir("/workspace"))),
        PackagesStep(("gcc",), "echo installed > gcc", ImageNetwork.NONE),
        CopyStep("src", "/tmp/in"),
        ProjectStep(),
        run("cat src/file gcc /dev/null > made"),
        SettingsStep((User("nobody"), Label("l", "v"))),
    )

    first = await site.build(*steps)
    asked = len(site.service.requests)
    second = await site.build(*steps)

    assert (first.executed, second.executed) == (6, 0)
    assert (second.id, second.key) == (first.id, first.key)
    assert second.log is None
    assert list(site.service.requests)[asked:] == ["ping", "image-list"]
    assert site.said[-1] == "app: step 6/6 USER nobody, LABEL l=v: cached"
    assert site.config(first.id)["User"] == "nobody"
    assert "A=x y" in site.config(first.id)["Env"]
    assert site.nameless == []
    assert site.service.containers == {}


@pytest.mark.parametrize("work", ["run", "packages", "copy", "project"])
async def test_settings_before_a_step_count_for_it_and_for_what_follows(
    site: Site, work: str
) -> None:
    settings = (Env("A", "x y"), Workdir("/workspace/new"))
    steps: dict[str, Step] = {
        "run": RunStep("pwd; echo $A", ImageNetwork.NONE, settings),
        "packages": PackagesStep(("gcc",), "pwd; echo $A", ImageNetwork.NONE, settings=settings),
        "copy": CopyStep("src", "/tmp/in", settings),
        "project": ProjectStep(settings=settings),
    }

    built = await site.build(steps[work], run("pwd; echo $A"))

    seen = [line.rpartition("/workspace")[2] for line in site.printed]
    assert seen == ["/new", "x y"] * (2 if work in {"run", "packages"} else 1)
    assert built.executed == 2
    assert site.config(built.id)["WorkingDir"] == "/workspace/new"
    assert "A=x y" in site.config(built.id)["Env"]


async def test_a_step_after_other_settings_is_another_one(site: Site) -> None:
    first = await site.build(CopyStep("src", "/tmp/in", (Env("A", "1"),)))
    second = await site.build(CopyStep("src", "/tmp/in", (Env("A", "2"),)))

    assert second.executed == 1
    assert second.id != first.id


async def test_a_script_that_loses_its_network_is_executed_again(site: Site) -> None:
    """Or an image that was made with one would pass for one that can be made without."""
    await site.build(RunStep("echo x"), CopyStep("src", "/tmp/in"))
    built = await site.build(run("echo x"), CopyStep("src", "/tmp/in"))

    assert built.executed == 2
    assert site.printed == ["x", "x"]
    assert (await site.build(RunStep("echo x"))).executed == 0


async def test_a_step_goes_on_from_the_one_before(site: Site) -> None:
    await site.build(run("echo one > /dev/stdout; echo 1 > workspace/a"))
    built = await site.build(
        run("echo one > /dev/stdout; echo 1 > workspace/a"),
        run("test -f workspace/a; cat workspace/a"),
    )

    assert built.executed == 1
    assert site.printed == ["one", "1"]


async def test_what_a_step_is_made_on_is_held_and_nothing_where_all_are_found(site: Site) -> None:
    """Or it may be pruned between the two."""
    held: list[str] = []

    async def hold(image: str) -> None:
        held.append(image)

    first = await site.build(run("echo 1 > a"))
    await site.build(run("echo 1 > a"), hold=hold)
    assert held == []
    await site.build(run("echo 1 > a"), run("echo 2 > b"), hold=hold)
    assert held == [first.id]


async def test_the_image_says_what_it_is_and_who_made_it(site: Site) -> None:
    built = await site.build(run("true"))

    labels = site.labels(built.id)
    assert site.names(built.id) == [f"localhost/barasync/step:{built.key[:16]}"]
    assert labels["barasync.kind"] == "step"
    assert labels["barasync.key"] == built.key
    assert labels["barasync.base"] == site.service.image("localhost/base")
    assert labels.items() >= MAKER.items()
    assert {labels[name] for name in RUN} == {""}


async def test_an_image_keeps_what_its_parent_has(site: Site) -> None:
    base = site.service.image("localhost/base")
    kept = (
        'ENTRYPOINT ["/bin/tool", "-x"]',
        'CMD ["one", "two"]',
        "USER nobody",
        "STOPSIGNAL SIGINT",
        "ENV A=b",
        "ENV PATH=/bin:/usr/bin",
    )
    site.service.change(base, *kept)
    (site.project / "src/file").write_text("text")

    built = await site.build(
        PackagesStep(("gcc",), "true", ImageNetwork.NONE), run("env"), CopyStep("src", "/tmp/in")
    )

    before, after = site.config(base), site.config(built.id)
    assert sorted(after.pop("Env")) == sorted(before.pop("Env"))
    assert after == before
    assert "container=podman" not in site.printed
    assert {"A=b", "PATH=/bin:/usr/bin"} <= set(site.printed)


async def test_a_parent_without_a_command_gets_no_entrypoint(site: Site) -> None:
    built = await site.build(run("true"), CopyStep("src", "/tmp/in"))

    config = site.config(built.id)
    old = site.service.version.startswith("4.")
    assert config["Entrypoint"] == []
    assert config["Cmd"] == ([] if old else ["/bin/sh"])


async def test_without_the_cache_every_step_is_made_anew_and_what_was_keeps_a_name(
    site: Site,
) -> None:
    steps = (run("echo one"), run("echo two"))
    first = await site.build(*steps)

    second = await site.build(*steps, cache=False)

    assert second.executed == 2
    assert second.id != first.id
    assert site.printed == ["one", "two"] * 2
    assert site.nameless == []
    assert (await site.build(*steps)).executed == 0


async def test_without_the_cache_a_step_of_two_images_is_made_once(site: Site) -> None:
    base = site.service.image("localhost/base")
    async with site.builder(cache=False) as builder:
        one = await builder.build("one", base, (run("echo shared"), run("echo 1")), PLATFORM)
        two = await builder.build("two", base, (run("echo shared"), run("echo 2")), PLATFORM)

    assert (one.executed, two.executed) == (2, 1)
    assert sorted(site.printed) == ["1", "2", "shared"]


async def test_two_builders_at_once_make_a_step_once(site: Site) -> None:
    builts = []

    async def one(name: str) -> None:
        builts.append(await site.build(run("sleep 0.3; echo made"), name=name))

    async with anyio.create_task_group() as group:
        group.start_soon(one, "a")
        group.start_soon(one, "b")

    assert sorted(built.executed for built in builts) == [0, 1]
    assert len({built.id for built in builts}) == 1
    assert site.printed == ["made"]
    assert any("waits for who makes it now" in line for line in site.said)


async def test_steps_that_execute_something_wait_for_a_processor(site: Site) -> None:
    running = site.logs / "running"
    script = f"mkdir {running} || exit 1; sleep 0.2; rmdir {running}"
    site.logs.mkdir()
    base = site.service.image("localhost/base")

    async with (
        site.builder(processors=anyio.CapacityLimiter(1)) as builder,
        anyio.create_task_group() as group,
    ):
        for name in "abc":
            group.start_soon(builder.build, name, base, (run(f"{script}; echo {name}"),), PLATFORM)

    assert sorted(site.printed) == ["a", "b", "c"]


async def test_a_log_that_cannot_be_written_is_said_and_ends_nothing(site: Site) -> None:
    site.logs.write_text("not a directory")

    built = await site.build(run("echo printed"), locks=site.project.parent / "locks")

    assert built.executed == 1
    assert built.log is None
    assert site.printed == ["printed"]
    assert "is not complete" in site.said[-1]


async def test_what_leaves_the_project_is_refused_before_anything_is_made(site: Site) -> None:
    (site.project / "out").symlink_to("../secret")

    with pytest.raises(ConfigError, match="copy out leads out of the project"):
        await site.build(CopyStep("out", "/tmp/in"))

    assert "create" not in site.service.requests


async def test_content_that_changed_makes_another_image(site: Site) -> None:
    first = await site.build(CopyStep("src", "/tmp/in"))
    (site.project / "src/file").write_text("other")
    second = await site.build(CopyStep("src", "/tmp/in"))

    assert second.executed == 1
    assert second.id != first.id


async def test_what_no_image_can_have_is_left_out_with_a_note_at_every_build(site: Site) -> None:
    for number in range(4):
        os.mkfifo(site.project / f"src/pipe{number}")
    steps = (CopyStep("src", "/in"), ProjectStep())
    notes = [
        f"app: note: {what}: left out src/pipe0, src/pipe1, src/pipe2 and 1 more: sockets, pipes or"
        " devices"
        for what in ("COPY src /in", "the project to /workspace")
    ]

    for _ in range(2):
        site.said.clear()
        await site.build(*steps)
        assert [line for line in site.said if "note" in line] == notes


@pytest.mark.parametrize("name", ["a*b", "[c]?", "back\\slash", "-dash", "new\nline", 'it\'s "q"'])
async def test_a_file_of_any_name_is_copied_as_itself(site: Site, name: str) -> None:
    await (anyio.Path(site.project) / name).write_text("odd")
    steps = (CopyStep(name, "/workspace/odd", (Workdir("/workspace"),)), run("cat odd"))

    built = await site.build(*steps)
    again = await site.build(*steps)

    assert (built.executed, again.executed) == (2, 0)
    assert site.printed == ["odd"]
