"""What each preset denies and allows, address by address."""

from __future__ import annotations

import ipaddress

import pytest

from barasync.config.policies import Preset, Range
from barasync.networks.addresses import may_be_named, plain, with_embedded
from barasync.networks.presets import base, guarded
from tests.network_policies import AROUND

# Address, then whether `public`, `private`, `local` and `isolated` allow it.
TABLE = """
    10.0.0.0                     deny    allow    default default
    10.255.255.255               deny    allow    default default
    11.0.0.0                     allow   default  default default
    172.15.255.255               allow   default  default default
    172.16.0.0                   deny    allow    default default
    172.31.255.255               deny    allow    default default
    172.32.0.0                   allow   default  default default
    192.168.0.0                  deny    allow    default default
    192.168.255.255              deny    allow    default default
    192.167.255.255              allow   default  default default
    127.0.0.1                    deny    allow    allow   deny
    127.255.255.255              deny    allow    allow   deny
    0.0.0.0                      deny    default  default default
    100.64.0.0                   deny    default  default default
    100.127.255.255              deny    default  default default
    100.128.0.0                  allow   default  default default
    169.254.0.1                  deny    deny     default default
    169.254.169.254              deny    deny     default default
    169.253.255.255              allow   default  default default
    168.63.129.16                deny    deny     default default
    168.63.129.17                allow   default  default default
    192.0.0.192                  deny    deny     default default
    192.0.0.9                    deny    default  default default
    192.0.1.0                    allow   default  default default
    192.88.99.1                  deny    default  default default
    100.100.100.200              deny    deny     default default
    198.17.255.255               allow   default  default default
    198.18.0.0                   deny    default  default default
    198.19.255.255               deny    default  default default
    192.0.2.1                    allow   default  default default
    198.51.100.1                 allow   default  default default
    203.0.113.1                  allow   default  default default
    223.255.255.255              allow   default  default default
    224.0.0.1                    deny    default  default default
    239.255.255.250              deny    default  default default
    240.0.0.1                    deny    default  default default
    255.255.255.255              deny    default  default default
    192.168.7.7                  deny    allow    default default
    203.0.113.50                 deny    default  default default
    203.0.113.127                allow   default  default default
    203.0.113.128                deny    default  default default
    203.0.113.191                deny    default  default default
    ::                           deny    default  default default
    ::1                          deny    allow    allow   deny
    ::2                          deny    default  default default
    ::ffff:8.8.8.8               deny    default  default default
    64:ff9b::8.8.8.8             allow   default  default default
    64:ff9b::10.0.0.1            deny    default  default default
    64:ff9b::127.0.0.1           deny    default  default default
    64:ff9b::169.254.169.254     deny    deny     default default
    64:ff9b::203.0.113.50        deny    default  default default
    64:ff9b:1::8.8.8.8           deny    default  default default
    100::1                       deny    default  default default
    2000::1                      allow   default  default default
    2001::1                      deny    default  default default
    2001:1ff:ffff::1             deny    default  default default
    2001:200::1                  allow   default  default default
    2001:db8::1                  allow   default  default default
    2001:db8:5::1                deny    default  default default
    2001:db8:6::9                deny    default  default default
    64:ff9b::203.0.113.129       deny    default  default default
    2002:808:808::1              allow   default  default default
    2002:a00:1::1                deny    default  default default
    2002:a9fe:a9fe::1            deny    deny     default default
    2606:4700::1111              allow   default  default default
    3fff::1                      deny    default  default default
    3fff:1000::1                 allow   default  default default
    4000::1                      deny    default  default default
    5f00::1                      deny    default  default default
    fc00::1                      deny    allow    default default
    fd00:ec2::254                deny    deny     default default
    fd20:ce::254                 deny    deny     default default
    fd20:ce::255                 deny    allow    default default
    fe80::1                      deny    default  default default
    fe80::a9fe:a9fe              deny    deny     default default
    fec0::1                      deny    default  default default
    ff02::1                      deny    default  default default
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_preset_decides(row: list[str]) -> None:
    address = ipaddress.ip_address(row[0])

    assert [decided(preset, address) for preset in Preset] == row[1:]


def decided(preset: Preset, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    ranges = base(preset, AROUND.host, AROUND.links)
    if any(address in each for each in ranges.deny):
        return "deny"
    return "allow" if any(address in each for each in ranges.allow) else "default"


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "168.63.129.16", "fd00:ec2::254", "64:ff9b::169.254.169.254"),
        *("64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::"),
        *("192.168.7.7", "203.0.113.50", "2001:db8:5::1", "2002:cb00:7132::1"),
    ],
)
def test_metadata_and_the_host_are_meant_by_no_default(address: str) -> None:
    assert any(ipaddress.ip_address(address) in each for each in guarded(AROUND.host))


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "203.0.113.51", "2001:db8:5::2"])
def test_all_others_are(address: str) -> None:
    assert not any(ipaddress.ip_address(address) in each for each in guarded(AROUND.host))


# The last is 6to4, where each address is as global as the one of IPv4 in it.
LEFT_OPEN = [
    ipaddress.ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "2002::/16")
]


@pytest.mark.parametrize("version", [4, 6])
def test_public_denies_all_that_python_does_not_know_as_global(version: int) -> None:
    deny = base(Preset.PUBLIC, ()).deny
    # The ends of every range, and what lies next to them.
    ends = {
        end + step
        for each in (*deny, *LEFT_OPEN)
        for end in (int(each.network_address), int(each.broadcast_address))
        for step in (-1, 0, 1)
        if each.version == version
    }
    make = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    last = int(make(2 ** (32 if version == 4 else 128) - 1))
    reached = [
        address
        for address in (make(end) for end in sorted(ends) if 0 <= end <= last)
        if not any(address in each for each in (*deny, *LEFT_OPEN))
    ]

    assert len(reached) > 10
    assert [address for address in reached if not address.is_global] == []


def test_a_mapped_range_is_the_one_of_ipv4_that_linux_sends_to() -> None:
    assert plain(network("::ffff:10.1.0.0/112")) == network("10.1.0.0/16")
    assert plain(network("::ffff:0:0/96")) == network("0.0.0.0/0")
    assert plain(network("::/64")) == network("::/64")


def test_what_is_denied_is_denied_by_way_of_translators_too() -> None:
    assert with_embedded([network("192.0.2.0/25"), network("2001:db8::/32")]) == (
        network("192.0.2.0/25"),
        network("2001:db8::/32"),
        network("64:ff9b::c000:200/121"),
        network("2002:c000:200::/41"),
    )


def network(text: str) -> Range:
    return ipaddress.ip_network(text)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
        ),
        *("::1", "::", "fe80::1", "ff02::1", "fd00:ec2::254", "::ffff:127.0.0.1"),
        *("64:ff9b::169.254.169.254", "2002:7f00:1::1", "64:ff9b:1::a9fe:a9fe"),
    ],
)
def test_the_owner_of_a_name_cannot_open_what_is_behind_it(address: str) -> None:
    assert not may_be_named(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "192.0.2.9", "8.8.8.8", "fd00::9", "2001:db8::9", "64:ff9b::8.8.8.8"]
)
def test_a_name_opens_other_addresses(address: str) -> None:
    assert may_be_named(ipaddress.ip_address(address))
