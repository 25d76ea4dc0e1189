"""The bridge of a network, whose address its containers know as their gateway's."""

from __future__ import annotations

import fcntl
import socket
import struct
from contextlib import suppress
from pathlib import Path

_INTERFACES = Path("/sys/class/net")
_SET_BY_SOMEBODY = "3"  # NET_ADDR_SET
_SIOCSIFFLAGS = 0x8914
_SIOCSIFHWADDR = 0x8924
_SIOCBRDELBR = 0x89A1
_ETHERNET = 1  # ARPHRD_ETHER


def keep_address(interface: str) -> None:
    """Have a bridge keep the address that it has; blocking, two small files.

    A bridge takes the lowest address of its ports, until somebody gives it one. With netavark 1.4
    nobody does: whenever a container comes or goes it may get another one, and what the others send
    to their gateway is lost until they ask for it again, 5 s and more (measured with podman 4.3.1).

    A bridge that is not there, or not this process's to change, is left as it is, and so is
    whatever is no bridge.

    Source: `br_stp_recalculate_bridge_id` of the kernel, netdevice(7).
    """
    place = _INTERFACES / interface
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        if not (place / "bridge").is_dir():
            return
        if (place / "addr_assign_type").read_text().strip() == _SET_BY_SOMEBODY:
            return
        address = bytes.fromhex((place / "address").read_text().strip().replace(":", ""))
        request = struct.pack("16sH14s", interface.encode(), _ETHERNET, address)
        fcntl.ioctl(any_socket, _SIOCSIFHWADDR, request)


def remove_bridge(interface: str) -> None:
    """Remove a bridge of whose network podman knows no more; blocking, an ioctl or two.

    Podman leaves it where the network could not be set up (measured with 5.4.2, without nft), and
    takes its subnet for used then. What is no bridge, or not this process's to remove, stays.

    Source: `br_del_bridge` of the kernel, which refuses one that is up; netdevice(7).
    """
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        if (_INTERFACES / interface / "bridge").is_dir():
            name = interface.encode()
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", name, 0))
            fcntl.ioctl(any_socket, _SIOCBRDELBR, struct.pack("16s", name))
