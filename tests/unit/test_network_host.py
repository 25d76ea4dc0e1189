"""The addresses of a machine, from the files in which its kernel tells them."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from barasync.networks.host import (
    HostUnknown,
    addresses,
    parse_anycast6,
    parse_fib_trie,
    parse_if_inet6,
)

# Recorded, and shortened: a tree for each table of routes, in which an address may be twice.
FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.88.30.0/26 2 0 2
        +-- 10.88.30.0/31 1 0 0
           |-- 10.88.30.0
              /26 link UNICAST
           |-- 10.88.30.1
              /32 host LOCAL
        |-- 10.88.30.63
           /32 link BROADCAST
     |-- 192.0.2.2
        /30 link UNICAST
        /32 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     |-- 192.0.2.2
        /32 host LOCAL
"""

IF_INET6 = """\
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
fd000000000000000000000000000002 04 40 00 82     eth0
fd000000000000000000000000000002 0d 40 00 82 podman10
"""


ANYCAST6 = """\
2    c0              fd770000000000000000000000000000     1
3    l0              20010db8000500000000000000000000     2
"""


def test_the_addresses_of_the_machine_are_single_local_ones_and_those_of_all_of_a_link() -> None:
    own = ("10.88.30.1", "10.88.30.63", "192.0.2.2", "127.0.0.1", "127.255.255.255")

    assert parse_fib_trie(FIB_TRIE) == tuple(map(ip_address, own))


def test_a_router_hears_the_first_address_of_each_prefix() -> None:
    assert parse_anycast6(ANYCAST6) == tuple(map(ip_address, ("fd77::", "2001:db8:5::")))
    assert parse_anycast6("") == ()


def test_an_address_of_two_interfaces_is_told_once() -> None:
    assert parse_if_inet6(IF_INET6) == tuple(
        map(ip_address, ("fe80::fc:ff:fe00:1", "::1", "fd00::2"))
    )


def test_a_machine_without_addresses_has_none() -> None:
    assert parse_fib_trie("Main:\n  +-- 0.0.0.0/0 3 0 5\n") == ()
    assert parse_if_inet6("") == ()


def test_of_this_machine_no_address_of_loopback_is_told() -> None:
    found = addresses(os.getpid())

    assert list(found) == sorted(found, key=lambda address: (address.version, int(address)))
    assert not any(address.is_loopback for address in found)


def test_the_addresses_are_those_of_the_network_of_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.networks.host._PROC", tmp_path)
    (tmp_path / "7/net").mkdir(parents=True)
    (tmp_path / "7/net/fib_trie").write_text(FIB_TRIE)

    assert addresses(7) == tuple(map(ip_address, ("10.88.30.1", "10.88.30.63", "192.0.2.2")))
    (tmp_path / "7/net/if_inet6").write_text(IF_INET6)
    assert addresses(7)[-1] == ip_address("fe80::fc:ff:fe00:1")
    (tmp_path / "7/net/anycast6").write_text(ANYCAST6)
    assert ip_address("2001:db8:5::") in addresses(7)


def test_a_host_that_shows_no_addresses_is_not_taken_for_one_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.networks.host._PROC", tmp_path)

    with pytest.raises(HostUnknown, match=r"7/net: No such file or directory") as raised:
        addresses(7)

    assert "hidepid" in str(raised.value.hint)
    (tmp_path / "7/net/fib_trie").mkdir(parents=True)
    with pytest.raises(HostUnknown, match="Is a directory"):
        addresses(7)
