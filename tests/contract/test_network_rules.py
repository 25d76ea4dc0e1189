"""The rules of policies in a kernel: loaded, listed, changed behind our back, and with packets."""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barasync.config.policies import (
    PRESETS,
    Default,
    Policy,
    Ports,
    Preset,
    Protocol,
)
from barasync.networks.addresses import may_be_named
from barasync.networks.names import Names
from barasync.networks.refused import Refusal, refusals, refused_packets
from barasync.networks.rules import Surroundings, missing, ruleset
from tests.network_oracle import (
    Known,
    Packet,
    known_names,
    may_go,
    packets,
    policies,
    surroundings,
)
from tests.network_policies import POLICIES, at, everywhere, named
from tests.rig import debian
from tests.rig.namespaces import Namespace, namespace
from tests.rig.waiting import wait_until

CELL4, PEER4, CELL6, PEER6 = "10.77.0.2", "10.77.0.1", "fd77::2", "fd77::1"
PUBLIC4, PUBLIC6 = "198.51.100.9", "2001:db8::9"
FORGED6 = "2001:db8:f::f"
EVERYWHERE = (PEER4, PEER6, PUBLIC4, PUBLIC6, "127.0.0.1", "::1")
PATIENCE = 20.0
IPV6_FREEBIND = 78
"""Lets a socket have any address; `linux/in6.h`."""

HOST = ("nft",)


@cache
def trixie() -> tuple[str, ...]:
    return ("chroot", str(debian.root_with_podman()), "nft")


@pytest.fixture(params=[lambda: HOST, trixie], ids=["nft-of-this-host", "nft-of-trixie"])
def nft(request: pytest.FixtureRequest) -> Sequence[str]:
    chosen: Sequence[str] = request.param()
    return chosen


def load(place: Namespace, text: str, nft: Sequence[str] = HOST) -> None:
    done = place.command([*nft, "-f", "-"], text)
    assert done.returncode == 0, done.stderr.decode()


def listing(place: Namespace, nft: Sequence[str] = HOST) -> bytes:
    done = place.command([*nft, "-j", "list", "table", "inet", "barasync"])
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("name", POLICIES)
def test_the_kernel_has_what_was_loaded(nft: Sequence[str], name: str) -> None:
    rules = ruleset(*POLICIES[name])

    with namespace() as place:
        load(place, rules.text, nft)

        assert missing(rules, listing(place, nft)) is None


def test_rules_are_not_added_to_others(nft: Sequence[str]) -> None:
    rules = ruleset(*POLICIES["rich"])

    with namespace() as place:
        load(place, rules.text, nft)
        done = place.command([*nft, "-f", "-"], ruleset(*POLICIES["public"]).text)

        assert b"File exists" in done.stderr
        assert missing(rules, listing(place, nft)) is None


def test_rules_take_the_place_of_others_or_of_none(nft: Sequence[str]) -> None:
    with namespace() as place:
        for name in ("rich", "public"):
            rules = ruleset(*POLICIES[name])
            load(place, rules.replacement, nft)

            assert missing(rules, listing(place, nft)) is None


CHANGES = {
    "table inet barasync { flags dormant; }": "table barasync has the flags",
    "chain inet barasync output { policy accept; }": "chain output is .*policy accept",
    "delete chain inet barasync forward": "chain forward is missing",
    "add chain inet barasync more": "chain more is not known",
    "insert rule inet barasync output accept": "rule 1 of chain output is 'accept'",
    "add rule inet barasync input accept": "chain input has .* rules",
    "flush chain inet barasync output": "chain output has 0 rules",
    "delete element inet barasync allow1_tcp { 443 }": "set allow1_tcp has other elements",
    "add element inet barasync allow1_tcp { 22 }": "set allow1_tcp has other elements",
    "delete table inet barasync; add table inet barasync": "chain refused is missing",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_the_kernel_is_named(nft: Sequence[str], change: str) -> None:
    rules = ruleset(*POLICIES["rich"])

    with namespace() as place:
        load(place, rules.text, nft)
        load(place, f"{change}\n", nft)
        found = missing(rules, listing(place, nft))

    assert found is not None
    assert re.match(CHANGES[change], found), found


@contextmanager
def cell(
    policy: Policy, around: Surroundings | None = None
) -> Iterator[tuple[Namespace, Namespace]]:
    """A namespace under a policy, and another with the rest of the world in it."""
    with namespace() as inside, namespace() as outside:
        inside.ip(
            f"""
            link add eth0 type veth peer name eth0 netns {outside.thread_id}
            address add {CELL4}/24 dev eth0
            address add {CELL6}/64 dev eth0 nodad
            link set eth0 up
            """
        )
        outside.ip(
            f"""
            address add {PEER4}/24 dev eth0
            address add {PEER6}/64 dev eth0 nodad
            address add {PUBLIC4}/32 dev lo
            address add {PUBLIC6}/128 dev lo nodad
            link set eth0 up
            """
        )
        inside.ip(f"route add default via {PEER4}\nroute add ::/0 via {PEER6}\n")
        rules = ruleset(policy, around or Surroundings())
        load(inside, rules.text)
        assert missing(rules, listing(inside)) is None
        yield inside, outside


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def datagrams(place: Namespace, address: str, port: int = 0) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(family(address), socket.SOCK_DGRAM)
        made.settimeout(PATIENCE)
        made.bind((address, port))
        return made

    return place.run(make)


def send(place: Namespace, address: str, port: int, data: bytes = b"x") -> None:
    """Send a datagram; raises where it is refused."""

    def action() -> None:
        with socket.socket(family(address), socket.SOCK_DGRAM) as sender:
            sender.sendto(data, (address, port))

    place.run(action)


def connect(place: Namespace, address: str, port: int) -> None:
    def action() -> None:
        socket.create_connection((address, port), timeout=PATIENCE).close()

    place.run(action)


def ping(place: Namespace, address: str) -> None:
    """Send an echo request and wait for its answer, or its refusal."""
    version6 = ":" in address
    protocol = socket.IPPROTO_ICMPV6 if version6 else socket.IPPROTO_ICMP

    def action() -> None:
        with socket.socket(family(address), socket.SOCK_DGRAM, protocol) as sender:
            sender.settimeout(PATIENCE)
            sender.connect((address, 0))
            sender.send(struct.pack("!BBHHH", 128 if version6 else 8, 0, 0, 0, 1))
            sender.recv(1500)

    place.run(action)


@pytest.mark.parametrize("resolver", [PEER4, PEER6])
def test_a_question_for_a_name_that_nobody_takes_is_as_good_as_lost(resolver: str) -> None:
    """Who hears of it gives up, and the resolver may be there again. Of all else it is heard."""
    around = Surroundings(resolvers=(ip_address(PEER4), ip_address(PEER6)))

    with cell(PRESETS["private"], around) as (inside, _):
        ping(inside, resolver)
        error = inside.run(lambda: reported(resolver, 53))

    assert error == 0


def reported(address: str, port: int) -> int:
    """Send to a port where nobody is; return the error by when that of another port is there."""
    with (
        socket.socket(family(address), socket.SOCK_DGRAM) as asking,
        socket.socket(family(address), socket.SOCK_DGRAM) as after,
    ):
        asking.connect((address, port))
        asking.send(b"x")
        after.settimeout(PATIENCE)
        after.connect((address, port + 1))
        after.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            after.recv(1)
        return asking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@settings(max_examples=40, deadline=None)
@given(policies, surroundings, known_names, st.sets(packets, min_size=1, max_size=20))
def test_the_kernel_refuses_what_the_policy_refuses(
    policy: Policy, around: Surroundings, known: Known, sent: set[Packet]
) -> None:
    known = {name: {each for each in told if may_be_named(each)} for name, told in known.items()}

    with cell(policy, around) as (inside, _):
        told = [(name, each) for name, every in known.items() for each in every]
        load(inside, "".join(Names(policy).feed(name, each, 600) for name, each in told))
        inside.run(lambda: [emit(packet) for packet in sent])
        refused = {(each.address, each.protocol, each.port) for each in refusals(listing(inside))}

    assert refused == {
        (
            str(packet.address),
            packet.protocol,
            None if packet.protocol is Protocol.ICMP else packet.port,
        )
        for packet in sent
        if not packet.forged and not may_go(policy, around, packet, known)
    }


def emit(packet: Packet) -> None:
    """Send the first packet of a connection, whatever becomes of it."""
    address = str(packet.address)
    kind, protocol, data = {
        Protocol.TCP: (socket.SOCK_STREAM, 0, b""),
        Protocol.UDP: (socket.SOCK_DGRAM, 0, b"x"),
        Protocol.ICMP: (
            socket.SOCK_DGRAM,
            {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}[packet.address.version],
            struct.pack("!BBHHH", {4: 8, 6: 128}[packet.address.version], 0, 0, 0, 1),
        ),
    }[packet.protocol]
    with socket.socket(family(address), kind, protocol) as sender:
        sender.setblocking(False)
        if packet.bound:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        if packet.forged:
            sender.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            sender.bind((FORGED6, 0))
        if data:
            try:
                sender.sendto(data, (address, packet.port))
            except PermissionError:
                return
        else:
            code = sender.connect_ex((address, packet.port))
            assert code in {0, errno.EINPROGRESS, errno.ECONNREFUSED}, errno.errorcode[code]


@pytest.mark.parametrize("address", EVERYWHERE)
def test_what_is_refused_gets_its_answer_at_once(address: str) -> None:
    with cell(PRESETS["isolated"]) as (inside, _):
        with pytest.raises(ConnectionRefusedError):
            connect(inside, address, 80)
        with pytest.raises(PermissionError):
            send(inside, address, 53)
        with pytest.raises((PermissionError, OSError)) as pinged:
            ping(inside, address)

        # TCP has sent its first packet once: it has not waited for a second try.
        assert set(refusals(listing(inside))) == {
            Refusal(address, "tcp", 80, 1),
            Refusal(address, "udp", 53, 1),
            Refusal(address, "icmp", None, 1),
        }
    assert pinged.value.errno in {errno.EPERM, errno.EACCES, errno.EHOSTUNREACH}


GUARDED = {
    "ports": (everywhere(Ports(Protocol.UDP, 80, 80)), Default.DENY),
    "default": (at("192.0.2.0/24"), Default.ACCEPT),
}


@pytest.mark.parametrize("name", GUARDED)
def test_metadata_and_the_host_take_an_entry_with_their_address(name: str) -> None:
    entry, default = GUARDED[name]
    policy = Policy(name="any", base=Preset.LOCAL, allow=(entry,), default=default)
    shut = ("169.254.169.254", "fd00:ec2::254", PEER4, PEER6)
    opened = replace(policy, allow=(entry, *(at(each) for each in shut)))
    around = Surroundings(host=(ip_address(PEER4), ip_address(PEER6)))

    with cell(policy, around) as (inside, _):
        for each in (PUBLIC4, PUBLIC6):
            send(inside, each, 80)
        for each in shut:
            with pytest.raises(PermissionError):
                send(inside, each, 80)

    with cell(opened, around) as (inside, _):
        for each in shut:
            send(inside, each, 80)


def test_destinations_beyond_those_that_are_counted_are_refused_as_well() -> None:
    with cell(PRESETS["isolated"]) as (inside, _):
        for port in range(1, 1200):
            with pytest.raises(PermissionError):
                send(inside, PUBLIC4, port)
        with pytest.raises(ConnectionRefusedError):
            connect(inside, PUBLIC4, 80)
        listed = listing(inside)

    assert len(refusals(listed)) == 100
    assert refused_packets(listed) == 1200


@pytest.mark.parametrize("address", [PUBLIC4, PUBLIC6])
def test_a_connection_goes_both_ways_and_learns_of_a_narrow_path(address: str) -> None:
    size = 300_000
    with cell(PRESETS["public"]) as (inside, outside), namespace() as far:
        outside.ip(
            f"""
            address del {PUBLIC4}/32 dev lo
            address del {PUBLIC6}/128 dev lo
            link add eth1 mtu 1280 type veth peer name eth0 netns {far.thread_id}
            address add 198.51.100.1/24 dev eth1
            address add 2001:db8::1/64 dev eth1 nodad
            link set eth1 up
            """
        )
        far.ip(
            f"""
            link set eth0 mtu 1500
            address add {PUBLIC4}/24 dev eth0
            address add {PUBLIC6}/64 dev eth0 nodad
            link set eth0 up
            route add default via 198.51.100.1
            route add ::/0 via 2001:db8::1
            """
        )
        outside.run(forward)
        listener = far.run(lambda: socket.create_server((address, 80), family=family(address)))
        with ExitStack() as stack:
            stack.enter_context(listener)
            listener.settimeout(PATIENCE)
            client = stack.enter_context(
                inside.run(lambda: socket.create_connection((address, 80), timeout=PATIENCE))
            )
            server = stack.enter_context(listener.accept()[0])
            server.settimeout(PATIENCE)
            server.sendall(b"hello")
            greeting = client.recv(5)
            sending = inside.later(lambda: client.sendall(bytes(size)))
            received = 0
            while received < size:
                received += len(server.recv(65536))
            sending.result()

    assert greeting == b"hello"


def forward() -> None:
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        with open(f"/proc/sys/net/{name}", "w") as setting:  # noqa: PTH123
            setting.write("1")


def test_datagrams_in_fragments_pass_or_are_refused_whole() -> None:
    data = bytes(20_000)
    policy = replace(PRESETS["public"], deny=(at(f"{PUBLIC4}/32", Ports(Protocol.UDP, 81, 81)),))

    with cell(policy) as (inside, outside), datagrams(outside, PUBLIC4, 80) as receiver:
        with pytest.raises(PermissionError):
            send(inside, PUBLIC4, 81, data)
        send(inside, PUBLIC4, 80, data)

        assert receiver.recv(65536) == data


def loose_route(sender: socket.socket) -> None:
    through = socket.inet_aton(PEER4)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([131, 7, 4]) + through + b"\0")


def routing_header(sender: socket.socket) -> None:
    segments = 2 * socket.inet_pton(socket.AF_INET6, PEER6)
    # RFC 8754: next header, length in 8 bytes, type 4, segments left, last one, flags, tag.
    header = bytes([0, len(segments) // 8, 4, 1, 1, 0, 0, 0]) + segments
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RTHDR, header)


@pytest.mark.parametrize(("address", "route"), [(PUBLIC4, loose_route), (PUBLIC6, routing_header)])
def test_a_route_by_way_of_an_allowed_address_is_refused(
    address: str, route: Callable[[socket.socket], None]
) -> None:
    policy = Policy(name="open", base=Preset.LOCAL, default=Default.ACCEPT)

    def action() -> None:
        with socket.socket(family(address), socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (address, 80))
            route(sender)
            sender.sendto(b"x", (address, 80))

    with cell(policy) as (inside, _), pytest.raises(PermissionError):
        inside.run(action)


def test_a_name_is_reached_until_its_time_is_over() -> None:
    policy = Policy(name="names", base=Preset.LOCAL, allow=(named("one.example"),))
    old, new = "198.51.100.10", "198.51.100.11"

    with cell(policy) as (inside, _):
        load(inside, Names(policy).feed("one.example", ip_address(old), 600))
        send(inside, old, 80)
        load(inside, Names(policy).feed("one.example", ip_address(old), 1))
        load(inside, Names(policy).feed("one.example", ip_address(new), 600))
        wait_until_refused(inside, old, 80)
        send(inside, new, 80)


def wait_until_refused(place: Namespace, address: str, port: int) -> None:
    def is_refused() -> bool:
        try:
            send(place, address, port)
        except PermissionError:
            return True
        return False

    wait_until(is_refused, f"{address} is not reached any more")


def test_a_names_time_begins_anew_with_each_answer() -> None:
    policy = Policy(name="names", base=Preset.LOCAL, allow=(named("one.example"),))
    address = ip_address(PUBLIC4)

    with cell(policy) as (inside, _):
        load(inside, Names(policy).feed("one.example", address, 600))
        load(inside, Names(policy).feed("one.example", address, 6000))

        assert b'"timeout": 6000' in listing(inside)
