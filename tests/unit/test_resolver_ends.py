"""The resolver of a network and cells that end with a question in hand."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from barasync.networks.namespace import NamespaceError, enter
from tests.unit.dns_zone import ask, datagrams_to, question
from tests.unit.test_resolver import CLIENT, Rules, policy, resolving, texts, zone

# What never comes is not to be waited for until the test's own end.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]


@dataclass(frozen=True, slots=True)
class Kernel:
    """Files of text, in the directory `proc`, stand for network namespaces of two processes."""

    proc: Path
    other: int

    @property
    def loaded(self) -> str:
        """What was loaded, behind the text of where."""
        return (self.proc / "loaded").read_text()

    @property
    def held(self) -> set[str]:
        """The descriptors that this process has of such files."""
        return {
            each.name
            for each in Path("/proc/self/fd").iterdir()
            if each.is_symlink() and each.readlink().is_relative_to(self.proc)
        }


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    other = subprocess.Popen(["/bin/sleep", "1000"])
    (tmp_path / "loaded").touch()
    nsenter = tmp_path / "nsenter"
    nsenter.write_text(f'#!/bin/sh\ncat "${{1#--net=}}" - >>{tmp_path}/loaded\n')
    nsenter.chmod(0o755)
    for process in ("self", "1", str(os.getpid()), str(other.pid)):
        (tmp_path / process / "ns").mkdir(parents=True)
        (tmp_path / process / "ns/net").write_text(f"{process}: ")
    module = "barasync.networks.namespace"
    monkeypatch.setattr(f"{module}._PROC", tmp_path)
    monkeypatch.setattr(f"{module}.programs", lambda: (str(nsenter), "nft"))
    monkeypatch.setattr(f"{module}.is_of_container", lambda *_: True)
    monkeypatch.setattr(f"{module}._owner", lambda _net: None)
    yield Kernel(tmp_path, other.pid)
    other.kill()
    other.wait()


async def test_a_late_answer_opens_nothing_in_the_next_cell(kernel: Kernel) -> None:
    gate = anyio.Event()
    upstream = zone(gate=gate)
    async with (
        resolving(policy("www.example.org"), upstream) as (resolver, port),
        await datagrams_to(port) as udp,
    ):
        async with (
            enter(os.getpid(), "first") as first,
            resolver.cell(["first"], [CLIENT], first.load),
        ):
            numbers = kernel.held
            await udp.send(question("www.example.org"))
            await upstream.wait_for(1)
        async with enter(kernel.other, "second") as second:
            assert kernel.held == numbers
            async with resolver.cell(["second"], [CLIENT], second.load):
                gate.set()
                answer = await ask(question("www.example.org"), port)

    assert texts(answer) == ["198.51.100.7"]
    assert kernel.loaded.count(": ") == 1
    assert kernel.loaded.startswith(f"{kernel.other}: add element")


async def test_a_cell_ends_when_what_it_has_in_hand_has_ended() -> None:
    order: list[str] = []
    loading = anyio.Event()

    async def load(_text: str) -> None:
        loading.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
            order.append("loaded no more")

    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        await datagrams_to(port) as udp,
    ):
        async with resolver.cell(["db"], [CLIENT], load):
            await udp.send(question("www.example.org"))
            await loading.wait()
        order.append("ended")
        rules = Rules()
        async with resolver.cell(["db"], [CLIENT], rules.load):
            await ask(question("www.example.org"), port)

    assert order == ["loaded no more", "ended"]
    assert len(rules.loaded) == 1


async def test_a_namespace_that_was_given_up_is_not_entered_by_its_number(kernel: Kernel) -> None:
    async with enter(os.getpid(), "first") as first:
        pass
    async with enter(kernel.other, "second"):
        assert kernel.held
        with pytest.raises(NamespaceError, match="was given up"):
            await first.load("text")
        with pytest.raises(NamespaceError, match="was given up"):
            await first.listing()
        with pytest.raises(NamespaceError, match="was given up"):
            assert first.lives

    assert kernel.loaded == ""
