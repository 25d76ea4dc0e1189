"""The servers of this host, as the C library reads them."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from barasync.networks.resolv_conf import host_servers, servers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 192.0.2.1\n", ["192.0.2.1"]),
        ("nameserver\t192.0.2.1 \nnameserver 2001:db8::1\n", ["192.0.2.1", "2001:db8::1"]),
        ("search example.org\n# nameserver 192.0.2.9\n;nameserver 192.0.2.8\n", ["127.0.0.1"]),
        ("", ["127.0.0.1"]),
        ("nameserver\nnameserver dns.example.org\nnameserver 192.0.2.1 # mine", ["192.0.2.1"]),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.1\n", ["192.0.2.1"]),
        (
            "\n".join(f"nameserver 192.0.2.{n}" for n in range(1, 6)),
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
        ),
        ("options nameserver 192.0.2.7\nnameserver fe80::1%eth0", ["fe80::1%eth0"]),
    ],
)
def test_servers_are_those_that_the_c_library_takes(text: str, expected: list[str]) -> None:
    assert servers(text) == tuple(map(ip_address, expected))


def test_a_host_without_the_file_asks_itself(tmp_path: Path) -> None:
    assert host_servers(tmp_path / "resolv.conf") == (ip_address("127.0.0.1"),)


def test_a_file_of_bytes_that_are_no_text_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_bytes(b"# \xff\xfe\nnameserver 192.0.2.1\n")

    assert host_servers(path) == (ip_address("192.0.2.1"),)
