"""What listens in a network namespace: read from files of the kernel."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from barasync.networks.listeners import ListenersUnknown, listeners, listening

pytestmark = pytest.mark.anyio

ID = "0123456789abcdef" * 4
# Of Linux 6.18: one that listens at 127.0.0.1:8000, and a connection to it.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000032 00:00000000 00000000     0        0 2370 51
   1: 0100007F:1F40 0100007F:DFC0 01 00000000:00000000 00:00000000 00000000     0        0 0 1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000001000000:2328 00000000000000000000000000000000:0000 0A 00000000
"""


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the process is, it is known to be the container's."""
    monkeypatch.setattr("barasync.networks.listeners.is_of_container", lambda *_: True)


@pytest.mark.parametrize(
    ("text", "ports"),
    [("", set()), (TCP.partition("\n")[0], set()), (TCP, {8000}), (TCP6, {9000})],
)
def test_a_connection_is_no_listener(text: str, ports: set[int]) -> None:
    assert listening(text) == ports


def test_a_line_that_is_not_whole_is_left_out() -> None:
    assert listening(TCP[: TCP.index("0A")]) == frozenset()


@pytest.mark.usefixtures("ours")
async def test_a_port_is_there_while_something_listens_at_it() -> None:
    async with listeners(os.getpid(), ID) as namespace:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                assert port in await namespace.ports()
        assert port not in await namespace.ports()


@pytest.mark.usefixtures("ours")
async def test_more_listeners_than_one_read_holds_are_all_there() -> None:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(200)]
    try:
        ports = {server.getsockname()[1] for server in servers}
        async with listeners(os.getpid(), ID) as namespace:
            assert ports <= await namespace.ports()
    finally:
        for server in servers:
            server.close()


@pytest.mark.usefixtures("ours")
async def test_of_a_file_that_does_not_end_the_beginning_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tmp_path / "42/net"
    net.mkdir(parents=True)
    line = TCP.splitlines()[1] + "\n"
    net.joinpath("tcp").write_text(TCP.splitlines()[0] + "\n" + line * 100_000)
    monkeypatch.setattr("barasync.networks.listeners._PROC", tmp_path)

    async with listeners(42, ID) as namespace:
        assert await namespace.ports() == {8000}
        (file,) = namespace._files
        assert os.lseek(file, 0, os.SEEK_CUR) < 2 * 256 * 1024


async def test_a_process_that_cannot_be_seen_is_said() -> None:
    with pytest.raises(ListenersUnknown, match="no process 0 can be seen from here"):
        async with listeners(0, ID):
            pytest.fail("there is none")


async def test_a_process_that_is_not_known_to_be_the_containers_is_left_alone() -> None:
    with pytest.raises(ListenersUnknown, match="is not known to be the container's"):
        async with listeners(os.getpid(), ID):
            pytest.fail("it is this one")
