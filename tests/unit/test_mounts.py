"""What the mounts of a container that has ended mean for its archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.aiopodman import PodmanError
from barasync.aiopodman.models import ContainerInspect, HostConfig, MountInspect
from barasync.artifacts.collect import collect
from barasync.artifacts.errors import OutOfReach
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledgers
from barasync.artifacts.mounts import Mounts, mounts_of
from barasync.artifacts.place import below
from barasync.artifacts.resolve import Paths
from tests.unit.archived import FakeContainer, collected
from tests.unit.archives import directory, hard_link, member, names, pack, sandbox

MOUNTS = Mounts(lost={"/w": "is lost"}, apart=frozenset({"/w/cache", "/data"}))


@pytest.mark.parametrize(
    ("path", "loss"),
    [
        ("/w", "is lost"),
        ("/w/out/x", "is lost"),
        ("/w/cache", None),
        ("/w/cache/x", None),
        ("/w2", None),
        ("/data/x", None),
        ("/etc", None),
    ],
)
def test_the_innermost_mount_decides_what_is_lost(path: str, loss: str | None) -> None:
    assert MOUNTS.loss(path) == loss


def test_what_is_mounted_below_a_path_is_known() -> None:
    assert MOUNTS.inside("/w") == ("/w/cache",)
    assert MOUNTS.inside("/w/cache") == ()
    assert MOUNTS.between("/w", "/w/cache/x") == "/w/cache"
    assert MOUNTS.between("/w", "/w/out") is None


def test_mounts_that_are_seen_in_another_way_do_not_count() -> None:
    assert MOUNTS.without(["/w"]) == Mounts(apart=frozenset({"/data"}))


def test_podman_tells_of_volumes_overlays_and_tmpfs() -> None:
    container = ContainerInspect(
        id="1",
        host_config=HostConfig(tmpfs={"/t": "rw"}),
        mounts=[
            MountInspect(type="volume", destination="/v", options=["rbind"]),
            MountInspect(type="bind", destination="/o", options=["lowerdir=/l", "upperdir=/u"]),
            MountInspect(type="volume", destination="/c", options=["O", "nosuid", "rbind"]),
        ],
    )

    mounts = mounts_of(container, workspace="/w")

    assert mounts.apart == {"/v"}
    assert {"/proc", "/sys", "/dev", "/etc/hosts", "/t", "/o", "/c"} < set(mounts.lost)
    assert mounts.loss("/o/x") == (
        "is on an overlay, gone with the container's process; "
        "have the command copy what is wanted to /w or a volume"
    )
    assert str(mounts_of(container, workspace="/o").loss("/t")).endswith("wanted to a volume")


@pytest.mark.anyio
async def test_what_is_mounted_apart_comes_by_its_own_name_only(tmp_path: Path) -> None:
    archive = pack(
        directory("w"),
        member("w/f", b"f"),
        directory("w/cache"),
        member("w/cache/host", b"of the host"),
        hard_link("w/h", "w/cache/host"),
    )
    container = FakeContainer(w=archive, w__cache=pack(directory(""), member("/true")))
    mounts = Mounts(lost={"/tmp": "is lost"}, apart=frozenset({"/w/cache"}))
    sources = ["/w", "/w/cache", "/tmp/x"]

    with sandbox(tmp_path) as place:
        with Ledgers() as ledgers, below(place) as root:
            collection = await collect(container, sources, root, Limits(), ledgers, mounts=mounts)

        whole, cache, lost = collection.artifacts
        assert (whole.problem, cache.problem) == (None, None)
        assert whole.refused == (
            "/w/cache: something is mounted there; what it holds comes when it is named itself",
        )
        assert names(place / "w") == ["f", "h"]
        assert names(place / "cache") == ["true"]
        assert lost.problem == "/tmp/x is lost"
        assert container.asked == ["/w", "/w/cache", "/w"]


@pytest.mark.anyio
async def test_patterns_that_do_not_reach_a_mount_have_nothing_to_say_of_it(
    tmp_path: Path,
) -> None:
    archive = pack(directory("w"), member("w/f"), member("w/cache/x"))
    mounts = Mounts(apart=frozenset({"/w/cache"}))

    with sandbox(tmp_path) as place:
        container = FakeContainer(w=archive)
        results = await collected(container, ["/w/f*"], place, Limits(), mounts=mounts)
        deep = await collected(container, ["/w/**/x"], place, Limits(), mounts=mounts)

    assert [(result.problem, result.refused) for result in results] == [(None, ())]
    assert deep[0].problem == "nothing below /w matches the pattern /w/**/x"
    assert len(deep[0].refused) == 1


@pytest.mark.anyio
async def test_a_mount_that_would_come_with_the_path_above_it_is_a_problem(tmp_path: Path) -> None:
    container = FakeContainer(a__x=pack(directory("x"), member("x/f")), b__x=pack(member("x")))
    mounts = Mounts(apart=frozenset({"/a/x/m"}))

    with sandbox(tmp_path) as place:
        sources = ["/a/x", "/b/x", "/a/x/m/x"]
        with Ledgers() as ledgers, below(place) as root:
            collection = await collect(container, sources, root, Limits(), ledgers, mounts=mounts)

    assert collection.artifacts[2].problem == (
        "/a/x/m is mounted apart from /a/x, so it does not come with that; name either of them"
    )


NO_LINKS: dict[str, str | None] = {}


@pytest.mark.parametrize(
    ("path", "links", "found"),
    [
        ("/w/out", NO_LINKS, "/w/out"),
        ("/x/target", {"/x/target": "/data"}, "/data"),
        ("/x/o", {"/x/o": "/data/o"}, "/data/o"),
        ("/x/o", {"/x": "/data"}, "/data/o"),
        ("/x/o/p", {"/x": "/y", "/y/o": "/data/deep"}, "/data/deep/p"),
        ("/data/link/x", {"/data/link": "/elsewhere"}, "/data/link/x"),
        ("/x/none/y", {"/x/none": None}, "/x/none/y"),
        ("/real/in/f", {"/alias": "/real"}, "/alias/in/f"),
        ("/alias/in", {"/alias": "/real"}, "/alias/in"),
    ],
)
@pytest.mark.anyio
async def test_links_are_followed_to_what_is_mounted(
    path: str, links: dict[str, str | None], found: str
) -> None:
    container = FakeContainer()
    container.links = links
    mounts = Mounts(apart=frozenset({"/data", "/alias/in"}))

    paths = await Paths.of(container, mounts)

    assert await paths.find(path) == found


@pytest.mark.anyio
async def test_where_nothing_unusual_is_mounted_a_link_is_followed_at_once() -> None:
    container = FakeContainer()
    container.links = {"/x/out": "/tmp/real", "/x/proc": "/proc"}

    paths = await Paths.of(container, mounts_of(ContainerInspect(id="1"), workspace=None))

    assert await paths.find("/x/out") == "/tmp/real"
    assert await paths.find("/y") == "/y"
    with pytest.raises(OutOfReach, match="/x/proc: /proc is on a file system"):
        await paths.find("/x/proc")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/x/o", "/x/o: /w/o is lost"),
        ("/w", "/w is lost"),
        ("/root", "/root leads to the whole file system; name a directory in it"),
    ],
)
@pytest.mark.anyio
async def test_a_link_to_what_is_lost_is_a_problem(path: str, why: str) -> None:
    container = FakeContainer()
    container.links = {"/x": "/w", "/root": "/"}

    paths = await Paths.of(container, MOUNTS)

    with pytest.raises(OutOfReach) as raised:
        await paths.find(path)
    assert str(raised.value) == why


@pytest.mark.anyio
async def test_links_round_two_containers_end() -> None:
    container = FakeContainer()
    container.links = {"/x": "/y", "/y": "/x"}

    paths = await Paths.of(container, MOUNTS)

    with pytest.raises(PodmanError, match="/x leads through more than 40 links"):
        await paths.find("/x")


@pytest.mark.anyio
async def test_what_a_link_leads_to_arrives_under_the_name_that_was_asked_for(
    tmp_path: Path,
) -> None:
    container = FakeContainer(data=pack(directory(""), member("/f", b"x")))
    container.links = {"/workspace/target": "/data"}
    mounts = Mounts(apart=frozenset({"/data"}))

    with sandbox(tmp_path) as place:
        (result,) = await collected(container, ["target"], place, Limits(), mounts=mounts)

        assert (result.problem, result.destination) == (None, str(place / "target"))
        assert (place / "target/f").read_text() == "x"
    assert container.asked == ["/data"]


@pytest.mark.anyio
async def test_a_path_that_is_not_in_a_volume_may_be_a_link_out_of_it(tmp_path: Path) -> None:
    mounts = Mounts(apart=frozenset({"/data"}))

    with sandbox(tmp_path) as place:
        (result,) = await collected(FakeContainer(), ["/data/x"], place, Limits(), mounts=mounts)

    assert result.problem == (
        "/data/x is not in the container (of /data podman follows no link that leads out of it)"
    )
