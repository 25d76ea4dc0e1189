"""Events of real podmans, across the death of the service."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from barasync.aiopodman import APIError, Event, EventsLost, Podman, ProtocolError
from tests.contract.running import created, shell
from tests.contract.test_outages import kill_podman
from tests.rig import services
from tests.rig.busybox import native_architecture
from tests.rig.services import Installation, RigService

pytestmark = pytest.mark.anyio


FILTERS = {"type": ["container"]}
CONTAINERS = 6
FEW_BYTES = 8000
MORE_BYTES = 60_000


@contextmanager
def private(installation: Installation, **engine: str) -> Iterator[RigService]:
    """A service of its own, with some settings of the engine."""
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        settings = Path(environ["CONTAINERS_CONF"])
        kept = [
            line
            for line in settings.read_text().splitlines()
            if line.partition(" = ")[0] not in engine
        ]
        more = [f"{name} = {value}" for name, value in engine.items()]
        settings.write_text("\n".join([kept[0], *more, *kept[1:], ""]))
        service = services.start(installation, environ, directory)
        try:
            yield service
        finally:
            services.stop(service)


@pytest.fixture
def mortal(installation: Installation) -> Iterator[RigService]:
    """A service that may be killed."""
    with private(installation) as service:
        yield service


@pytest.fixture
def forgetful(installation: Installation) -> Iterator[RigService]:
    """A service that keeps few events: it cuts its file of them again and again."""
    with private(installation, events_logfile_max_size=str(FEW_BYTES)) as service:
        yield service


@pytest.fixture
def cutting(installation: Installation) -> Iterator[RigService]:
    """A service that keeps events for some seconds, where containers come and go all the time."""
    with private(installation, events_logfile_max_size=str(MORE_BYTES)) as service:
        yield service


@pytest.fixture
def silent(installation: Installation) -> Iterator[RigService]:
    """A service that keeps no events."""
    with private(installation, events_logger='"none"') as service:
        yield service


async def until_removed(events: AsyncIterator[Event], container: str) -> list[Event]:
    """Return the events up to the removal of a container."""
    found = []
    async for event in events:
        found.append(event)
        if (event.actor.id, event.action) == (container, "remove"):
            return found
    raise AssertionError


async def live(podman: Podman, image: str) -> str:
    """Have a container come and go, and return its ID."""
    async with created(podman, shell(image, "exit 3")) as container:
        await container.start()
        await container.wait()
    return container.id


async def die(podman: Podman, service: RigService) -> None:
    """Kill the service, and return when another one is in its place."""
    lives = await podman.presence.count()
    kill_podman(service)
    while await podman.presence.count() == lives:
        await checkpoint()
    await podman.system.info()


async def recorded(podman: Podman, since: dt.datetime) -> list[Event]:
    """Return what podman itself tells afterwards."""
    async with podman.events(filters=FILTERS, stream=False, since=since) as events:
        return [event async for event in events]


def assert_each_once(watched: list[Event], record: list[Event], last: str) -> None:
    """All that is recorded was told, once, but for the cleanup after the last container."""
    late = [each for each in record if each not in watched]
    assert {each.action for each in late} <= {"cleanup"}
    assert {each.actor.id for each in late} <= {last}
    assert all(watched.count(each) == 1 for each in record if each not in late)
    assert len(watched) == len(record) - len(late)


async def test_events_are_each_told_once_although_podman_died_between_them(
    mortal: RigService,
) -> None:
    image = mortal.busybox(native_architecture())
    begun = dt.datetime.now(dt.UTC)
    watched: list[Event] = []
    async with Podman(mortal.endpoint, outage=60) as podman:
        with anyio.fail_after(120):
            async with podman.watch(filters=FILTERS) as events:
                for dies in (True, True, False):
                    last = await live(podman, image)
                    watched += await until_removed(events, last)
                    if dies:
                        await die(podman, mortal)
        record = await recorded(podman, begun)

    assert_each_once(watched, record, last)
    assert [each.action for each in watched].count("died") == 3


async def test_events_are_each_told_once_although_podman_dies_while_they_happen(
    mortal: RigService,
) -> None:
    """Containers end, and the cleanup after each is told, whether or not there is a service."""
    image = mortal.busybox(native_architecture())
    begun = dt.datetime.now(dt.UTC)
    watched: list[Event] = []

    async with Podman(mortal.endpoint, outage=60) as podman:
        with anyio.fail_after(120):
            async with podman.watch(filters=FILTERS) as events:
                async with AsyncExitStack() as stack:
                    ending = [
                        await stack.enter_async_context(
                            created(podman, shell(image, f"sleep 0.{number}; exit 3"))
                        )
                        for number in range(CONTAINERS)
                    ]
                    for container in ending:
                        await container.start()
                    watched.append(await anext(events))
                    for _ in range(3):
                        await die(podman, mortal)
                        watched.append(await anext(events))
                    for container in ending:
                        await container.wait()
                # They are removed in reverse order.
                last = ending[0].id
                watched += await until_removed(events, last)
        record = await recorded(podman, begun)

    assert_each_once(watched, record, last)
    assert [each.action for each in watched].count("died") == CONTAINERS


async def test_what_podman_has_no_record_of_any_more_is_told_as_a_gap(
    mortal: RigService,
) -> None:
    image = mortal.busybox(native_architecture())
    async with Podman(mortal.endpoint, outage=60) as podman:
        with anyio.fail_after(120):
            async with podman.watch(filters=FILTERS) as events:
                await until_removed(events, await live(podman, image))
                (mortal.directory / "tmp/events/events.log").unlink()
                await die(podman, mortal)
                last = await live(podman, image)
                with pytest.raises(EventsLost):
                    await anext(events)
                after = await until_removed(events, last)

    assert {each.actor.id for each in after} == {last}
    assert {"create", "start", "died", "remove"} <= {each.action for each in after}


async def test_events_missed_at_a_cut__are_each_told_once_by_a_watch(
    forgetful: RigService,
) -> None:
    image = forgetful.busybox(native_architecture())
    watched: list[Event] = []
    made = []
    async with Podman(forgetful.endpoint) as podman:
        with anyio.fail_after(120):
            async with podman.watch(filters=FILTERS) as events:
                for _ in range(10):
                    made.append(await live(podman, image))
                    watched += await until_removed(events, made[-1])
    told = [(each.actor.id, each.action) for each in watched]

    for action in ("create", "start", "died", "remove"):
        assert [each for each in told if each[1] == action] == [(name, action) for name in made]


@pytest.mark.timeout(300)
async def test_a_watch_of_one_container_misses_nothing_where_others_have_the_file_cut(
    cutting: RigService,
) -> None:
    image = cutting.busybox(native_architecture())
    record = cutting.directory / "tmp/events/events.log"
    cuts = polls = 0
    async with Podman(cutting.endpoint) as podman:
        with anyio.fail_after(240):
            async with created(podman, shell(image, "exit 3"), seconds=200) as container:
                filters = {"container": [container.id]}
                async with podman.watch(filters=filters) as events:
                    await container.start()
                    await container.wait()
                    told = [await anext(events) for _ in range(3)]
                    while cuts < 2 or container.id in record.read_text():
                        before = record.stat().st_size
                        await live(podman, image)
                        cuts += record.stat().st_size < before
                        with anyio.move_on_after(0.1):
                            polls += 1
                            told.append(await anext(events))
                    await container.remove()
                    told += await until_removed(events, container.id)

    actions = [each.action for each in told]
    assert polls > cuts
    assert actions.count("remove") == 1
    assert {"start", "died", "remove"} <= set(actions)
    assert all(told.count(each) == 1 for each in told)


async def test_a_service_that_keeps_no_events_is_an_error(silent: RigService) -> None:
    async with Podman(silent.endpoint, outage=60) as podman, podman.watch() as events:
        with anyio.fail_after(60), pytest.raises((APIError, ProtocolError), match="backend"):
            await anext(events)
