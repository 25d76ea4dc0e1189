"""The pure parts of the embedded service: what the host needs, what is executed."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteReceiveStream

from barasync.aiopodman import ProtocolError, Rlimit
from barasync.aiopodman.service import api_version
from barasync.aiopodman.service_host import (
    Cover,
    cgroup_cover,
    listener_pid,
    rlimits_for,
    service_rlimits,
)
from barasync.aiopodman.service_launch import GUARD, SHARE, plan_launch
from barasync.aiopodman.service_place import Places
from barasync.aiopodman.service_tail import KEPT_BYTES, KEPT_LINES, Tail

UNIFIED = "/sys/fs/cgroup/unified"
COVER = Cover(UNIFIED, "/sys/fs/cgroup/pids")
PLACES = Places("/run/x", "/var/tmp/x")


def mounts(*entries: tuple[str, str]) -> str:
    """Return the text of a mount table; every second mount has an optional field."""
    return "".join(
        f"{number} 25 0:1 / {place} rw,relatime {'shared:9 ' * (number % 2)}- {kind} {kind} rw\n"
        for number, (place, kind) in enumerate(entries)
    )


HYBRID = (
    ("/", "ext4"),
    ("/sys/fs/cgroup", "tmpfs"),
    ("/sys/fs/cgroup/memory", "cgroup"),
    ("/sys/fs/cgroup/pids", "cgroup"),
    (UNIFIED, "cgroup2"),
)


def test_a_hybrid_host_with_controllers_in_the_second_hierarchy_needs_a_cover() -> None:
    assert cgroup_cover(mounts(*HYBRID), controllers="hugetlb\n") == COVER


def test_a_hybrid_host_without_controllers_there_runs_as_it_is() -> None:
    assert cgroup_cover(mounts(*HYBRID), controllers="\n") is None


def test_a_host_with_version_2_only_runs_as_it_is() -> None:
    unified = mounts(("/", "ext4"), ("/sys/fs/cgroup", "cgroup2"))
    assert cgroup_cover(unified, controllers="cpu memory pids\n") is None


def test_a_host_with_version_1_only_runs_as_it_is() -> None:
    assert cgroup_cover(mounts(*HYBRID[:-1]), controllers="") is None


def test_a_hierarchy_that_is_covered_already_is_not_covered_again() -> None:
    covered = mounts(*HYBRID, (UNIFIED, "cgroup"))
    assert cgroup_cover(covered, controllers="hugetlb") is None


def test_another_hierarchy_of_version_1_serves_as_well() -> None:
    without_pids = mounts(*(entry for entry in HYBRID if not entry[0].endswith("pids")))
    assert cgroup_cover(without_pids, controllers="cpu") == Cover(UNIFIED, "/sys/fs/cgroup/memory")


@pytest.mark.parametrize("text", ["", "garbage", "1 2 3 4", "1 2 3 4 /sys/fs/cgroup/unified -"])
def test_what_is_not_a_mount_table_needs_nothing(text: str) -> None:
    assert cgroup_cover(text, controllers="cpu") is None


def limits(nofile: str, nproc: str) -> str:
    return (
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        f"Max processes             {nproc:<20} {nproc:<20} processes \n"
        f"Max open files            1024                 {nofile:<20} files     \n"
    )


WHOLE = "         0          0 4294967295\n"
ROOTLESS = "         0        999          1\n         1     700000      65536\n"
ALL_CAPABILITIES = "Name:\tpodman\nCapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\n"
WITHOUT_SYS_RESOURCE = "Name:\tpodman\nCapEff:\t000001fffeffffff\n"


def test_low_limits_that_cannot_be_raised_are_handed_to_the_containers() -> None:
    found = rlimits_for(limits=limits("20000", "32768"), status=WITHOUT_SYS_RESOURCE, uid_map=WHOLE)
    assert found == (Rlimit("nofile", 20000, 20000), Rlimit("nproc", 32768, 32768))


def test_no_more_processes_are_asked_for_than_podman_4_leaves_itself() -> None:
    found = rlimits_for(limits=limits("unlimited", "96365"), status="", uid_map="")
    assert found == (Rlimit("nproc", 32768, 32768),)


def test_whoever_may_raise_limits_needs_none() -> None:
    low = limits("20000", "32768")
    assert rlimits_for(limits=low, status=ALL_CAPABILITIES, uid_map=WHOLE) == ()


def test_capabilities_in_a_user_namespace_do_not_raise_limits() -> None:
    low = limits("20000", "unlimited")
    found = rlimits_for(limits=low, status=ALL_CAPABILITIES, uid_map=ROOTLESS)
    assert found == (Rlimit("nofile", 20000, 20000),)


@pytest.mark.parametrize("nofile", ["1048576", "unlimited", "1073741816"])
def test_limits_that_podmans_defaults_fit_into_need_nothing(nofile: str) -> None:
    enough = limits(nofile, "unlimited")
    assert rlimits_for(limits=enough, status=WITHOUT_SYS_RESOURCE, uid_map=WHOLE) == ()


def test_a_process_that_cannot_be_looked_at_needs_nothing() -> None:
    assert rlimits_for(limits="", status="", uid_map="") == ()
    assert service_rlimits(2**22 + 1) == ()


def test_a_foreign_service_is_whoever_listens(tmp_path: Path) -> None:
    path = str(tmp_path / "p.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert listener_pid(path) == os.getpid()
    assert listener_pid(path) is None


def launch(*, rootless: bool = False, cover: Cover | None = None, **environ: str) -> list[str]:
    return list(
        plan_launch(
            podman=("podman",), rootless=rootless, cover=cover, places=PLACES, environ=environ
        ).command
    )


SERVICE = ["podman", "--remote=false", "system", "service", "--time=0"]


def test_a_plain_host_executes_the_guard_and_podman() -> None:
    assert launch() == ["sh", "-c", GUARD, "barasync-guard", "", "", "/run/x", *SERVICE]


def test_a_hybrid_host_gets_a_mount_namespace() -> None:
    assert launch(cover=COVER) == [
        *["sh", "-c", SHARE, "barasync-share", "rootful"],
        *["unshare", "--mount", "--propagation", "unchanged"],
        *["sh", "-c", GUARD, "barasync-guard", UNIFIED, "/sys/fs/cgroup/pids", "/run/x"],
        *SERVICE,
    ]


def test_rootless_the_guard_is_inside_podmans_user_namespace() -> None:
    command = launch(rootless=True, cover=COVER)
    assert command[:4] == ["podman", "--remote=false", "unshare", "sh"]
    assert command[6:9] == ["barasync-share", "rootless", "unshare"]
    assert command[-5:] == SERVICE


def test_a_hybrid_host_is_noted() -> None:
    plan = plan_launch(podman=("p",), rootless=True, cover=COVER, places=PLACES, environ={})
    assert "rootless" in plan.notes[0]
    assert UNIFIED in plan.notes[1]


def test_podman_is_not_sent_to_another_engine_by_its_environment() -> None:
    environ = {
        "HOME": "/h",
        "CONTAINERS_CONF": "/c",
        "CONTAINER_HOST": "ssh://far",
        "CONTAINER_CONNECTION": "far",
        "LISTEN_PID": "1",
        "NOTIFY_SOCKET": "/n",
    }
    plan = plan_launch(podman=("p",), rootless=False, cover=None, places=PLACES, environ=environ)
    assert dict(plan.environ) == {
        "HOME": "/h",
        "CONTAINERS_CONF": "/c",
        "TMPDIR": "/var/tmp/x",
        "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
    }


def test_where_there_is_no_place_for_its_temporary_files_podman_has_its_own() -> None:
    plan = plan_launch(
        podman=("p",), rootless=False, cover=None, places=Places("/d", None), environ={}
    )
    assert "TMPDIR" not in plan.environ


@pytest.mark.parametrize("script", [GUARD, SHARE])
def test_what_is_executed_is_posix_shell(script: str) -> None:
    subprocess.run(["sh", "-n", "-c", script], check=True)


def test_the_version_is_in_the_header_of_a_ping() -> None:
    answer = b"HTTP/1.1 200 OK\r\nServer: x\r\nlibpod-api-version: 5.4.2\r\n\r\nOK"
    assert api_version(answer) == "5.4.2"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\n\r\nLibpod-API-Version: 5.4.2",
    ],
)
def test_an_answer_without_the_header_is_not_podmans(answer: bytes) -> None:
    with pytest.raises(ProtocolError, match="not podman's"):
        api_version(answer)


class Source(ByteReceiveStream):
    """A stream that gives what it has, then breaks or ends."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces = list(pieces)
        self.error = error or anyio.EndOfStream()

    async def receive(self, max_bytes: int = 65536) -> bytes:  # noqa: ARG002 - the interface's
        await anyio.lowlevel.checkpoint()
        if self.pieces:
            return self.pieces.pop(0)
        raise self.error

    async def aclose(self) -> None:
        raise AssertionError("the stream is not Tail's to close")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
class TestTail:
    async def test_it_keeps_the_last_lines(self) -> None:
        text = "".join(f"line {number}\n\n" for number in range(KEPT_LINES + 5))
        async with Tail(Source(text.encode())) as tail:
            await tail.wait_until_ended(seconds=5)
        assert len(tail.lines()) == KEPT_LINES
        assert tail.lines()[-1] == f"line {KEPT_LINES + 4}"

    async def test_it_keeps_a_bounded_number_of_bytes(self) -> None:
        async with Tail(Source(*[b"x" * 50_000] * 20)) as tail:
            await tail.wait_until_ended(seconds=5)
        assert sum(map(len, tail.lines())) == KEPT_BYTES

    async def test_a_broken_stream_is_an_end(self) -> None:
        async with Tail(Source(b"last\n", error=anyio.BrokenResourceError())) as tail:
            await tail.wait_until_ended(seconds=5)
        assert tail.lines() == ("last",)

    async def test_the_blocks_exception_is_not_wrapped(self) -> None:
        with pytest.raises(KeyError):
            async with Tail(Source()):
                raise KeyError

    async def test_it_does_not_wait_for_the_end_of_the_stream(self) -> None:
        send, receive = anyio.create_memory_object_stream[bytes]()
        async with send, receive, Tail(receive):  # type: ignore[arg-type]  # as good as a byte stream
            pass
