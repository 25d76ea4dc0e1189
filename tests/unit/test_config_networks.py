"""Tables `[network.NAME]`: what they make, and what is said of those that cannot be meant."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from barasync.config.capabilities import LIFTING
from barasync.config.load import parse
from barasync.config.networks import parse_policies
from barasync.config.origin import Origin
from barasync.config.policies import (
    PRESETS,
    Default,
    Destination,
    Policy,
    Ports,
    Preset,
    Protocol,
    PublishedPort,
)
from barasync.config.schema import NetworkTable
from barasync.errors import ConfigError

TCP, UDP = Protocol.TCP, Protocol.UDP

WHOLE = """
[network.build]
base = "private"
allow = ["203.0.113.0/24", "Registry.Example.org 443/tcp 8000-8100/udp", "2001:db8::1 icmp"]
deny = ["10.0.0.0/8 22/tcp", "2001:db8::2 icmp"]
default = "accept"
log = true
ports = ["8080:80", "127.0.0.1:53:53/udp", "[::1]::443", "9000"]
hosts = { "Db.example" = "10.9.8.7", cache = "fd00::7" }
dns = ["10.0.0.53", "fd00::53"]
subnets = ["10.90.0.0/24", "fd00:90::/64"]
internal = true
ipv6 = true
"""


def policies(text: str) -> dict[str, Policy]:
    return dict(parse_policies(parse(text, Origin()), Origin()))


def problem(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text, Origin())
    return caught.value


def test_a_table_says_all_that_a_policy_has() -> None:
    assert policies(WHOLE)["build"] == Policy(
        name="build",
        base=Preset.PRIVATE,
        allow=(
            Destination("203.0.113.0/24", range=ip_network("203.0.113.0/24")),
            Destination(
                "Registry.Example.org 443/tcp 8000-8100/udp",
                name="registry.example.org",
                ports=(Ports(TCP, 443, 443), Ports(UDP, 8000, 8100)),
            ),
            Destination(
                "2001:db8::1 icmp",
                range=ip_network("2001:db8::1/128"),
                ports=(Ports(Protocol.ICMP),),
            ),
        ),
        deny=(
            Destination(
                "10.0.0.0/8 22/tcp", range=ip_network("10.0.0.0/8"), ports=(Ports(TCP, 22, 22),)
            ),
            Destination(
                "2001:db8::2 icmp",
                range=ip_network("2001:db8::2/128"),
                ports=(Ports(Protocol.ICMP),),
            ),
        ),
        default=Default.ACCEPT,
        log=True,
        ports=(
            PublishedPort(80, 8080),
            PublishedPort(53, 53, UDP, ip_address("127.0.0.1")),
            PublishedPort(443, 0, TCP, ip_address("::1")),
            PublishedPort(9000),
        ),
        hosts={"db.example": ip_address("10.9.8.7"), "cache": ip_address("fd00::7")},
        dns=(ip_address("10.0.0.53"), ip_address("fd00::53")),
        subnets=(ip_network("10.90.0.0/24"), ip_network("fd00:90::/64")),
        internal=True,
    )


def test_every_key_of_a_network_and_every_capability_that_is_refused_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    table = text.partition("[network.registry]")[2].partition("```")[0]

    keys = NetworkTable.__struct_fields__
    assert [key for key in keys if not re.search(rf"^(?:# )?{key} = ", table, re.MULTILINE)] == []
    assert [name for name in LIFTING if f"`{name}`" not in text] == []


def test_an_empty_table_allows_loopback_and_nothing_else() -> None:
    assert policies("[network.x]\n")["x"] == Policy(name="x", base=Preset.LOCAL)


def test_the_presets_are_there_without_any_table() -> None:
    assert policies("") == PRESETS


def test_a_network_of_podmans_is_joined_by_its_name() -> None:
    joined = policies('[network.x]\nbase = "private"\njoin = "shop"\n')["x"]

    assert joined == Policy(name="x", base=Preset.PRIVATE, join="shop")


@pytest.mark.parametrize(
    ("entry", "destination"),
    [
        ("10.1.2.3", Destination("10.1.2.3", range=ip_network("10.1.2.3/32"))),
        ("fe80::/10", Destination("fe80::/10", range=ip_network("fe80::/10"))),
        ("0.0.0.0/0", Destination("0.0.0.0/0", range=ip_network("0.0.0.0/0"))),
        ("443/TCP", Destination("443/TCP", ports=(Ports(TCP, 443, 443),))),
        ("1-65535/udp", Destination("1-65535/udp", ports=(Ports(UDP, 1, 65535),))),
        (" ICMP ", Destination(" ICMP ", ports=(Ports(Protocol.ICMP),))),
        ("X.Example.", Destination("X.Example.", name="x.example")),
        ("1.2.3.4.example", Destination("1.2.3.4.example", name="1.2.3.4.example")),
        (
            "x.example 53/udp  53/tcp",
            Destination(
                "x.example 53/udp  53/tcp",
                name="x.example",
                ports=(Ports(UDP, 53, 53), Ports(TCP, 53, 53)),
            ),
        ),
    ],
)
def test_an_entry_is_a_destination_ports_or_both(entry: str, destination: Destination) -> None:
    (allowed,) = policies(f"[network.x]\nallow = ['{entry}']")["x"].allow

    assert allowed == destination


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        ("443", "'443' is a port without a protocol", "write '443/tcp' or '443/udp'"),
        ("x.example 80-90", "'x.example 80-90': '80-90' is a port without", "write '80-90/tcp'"),
        ("443/tpc", "'443/tpc' has no protocol that is known; did you mean 'tcp'?", "tcp and udp"),
        ("443/", "'443/' has no protocol that is known", "'icmp' stands alone"),
        ("tcp/443", "'tcp/443' is neither", "write '443/tcp'"),
        ("tcp", "'tcp' is no destination", "write '1-65535/tcp'"),
        ("0/tcp", "'0/tcp': '0' is not a port between 1 and 65535", "an entry reads"),
        ("80-65536/udp", "'65536' is not a port between 1 and 65535", "an entry reads"),
        ("90-80/tcp", "'90-80/tcp' ends before it begins", "write '80-90/tcp'"),
        ("80-/tcp", "'80-/tcp' is no range of ports", "a range reads '8000-8100/tcp'"),
        ("443,80/tcp", "'443,80/tcp' is neither", "separated by spaces"),
        ("80/tcp 1-100/tcp", "ports of tcp are named twice", "name each port once"),
        ("443/tcp x.example", "'x.example' is no port", "an entry reads '10.0.0.0/8'"),
        ("10.0.0.0/8 10.1.0.0/16", "'10.1.0.0/16' is no port, and the only destination", "reads"),
        (
            "10.1.2.3/8",
            "'10.1.2.3/8' is no network: 10.1.2.3 is an address in 10.0.0.0/8",
            "write '10.0.0.0/8' for the network, or '10.1.2.3' for the one address",
        ),
        ("2001:db8::1/32", "2001:db8::1 is an address in 2001:db8::/32", "write '2001:db8::/32'"),
        ("10.0.0.0/33", "'10.0.0.0/33' is no network: IPv4 has prefixes up to 32", "reads"),
        ("10.0.0.0/255.0.0.0", "has no prefix that is a number of bits", "write '10.0.0.0/8'"),
        ("10.0.0.0/+8", "has no prefix that is a number of bits", "an entry reads"),
        ("10.0/8", "'10.0/8' is neither an address nor a network", "write '10.0.0.0/8'"),
        ("10.0.0.256", "'10.0.0.256' is neither an address nor a network", "an entry reads"),
        ("010.0.0.1", "'010.0.0.1' is neither an address nor a network", "an entry reads"),
        ("10.0.0.1-10.0.0.9", "is neither an address nor a network", "'10.0.0.0/24'"),
        ("fe80::1%eth0", "'fe80::1%eth0' names an interface", "write 'fe80::1'"),
        ("::ffff:10.0.0.1", "'::ffff:10.0.0.1' is an IPv4 address", "write '10.0.0.1'"),
        ("[::1]", "'[::1]' is neither", "write '::1'"),
        ("[::1]:443", "'[::1]:443' is neither", "write '::1 443/tcp'"),
        ("x.example:53/udp", "'x.example:53/udp' is neither", "write 'x.example 53/udp'"),
        ("x.example/443", "'x.example/443' is neither", "'x.example 443/tcp'"),
        ("https://x.example/", "'https://x.example/' is neither", "an entry is no URL"),
        ("https", "'https' is no destination", "write '443/tcp'"),
        ("any", "'any' is no destination", "write '0.0.0.0/0' and '::/0'"),
        ("localhost", "'localhost' is no destination", "write '127.0.0.0/8' and '::1'"),
        ("public", "'public' is a preset, no destination", 'write `base = "public"`'),
        ("*.example.org", "there are no wildcards, because each name that", "name each host"),
        ("registry", "'registry' is a name without a domain", "'registry.example.org'"),
        ("-a.example", "'-a.example' is not a host name", "letters, digits and '-'"),
        ("a_b.example", "'a_b.example' is not a host name", "RFC 1123"),
        ("a..example", "'a..example' is not a host name", "RFC 1123"),
        ("a" * 64 + ".example", "is not a host name", "up to 63"),
        (".".join(["a" * 60] * 5), "is not a host name", "RFC 1123"),
        ("x.example.7", "'x.example.7' is not a host name", "RFC 1123"),
        ("bücher.example", "'bücher.example' is not a host name", "'xn--bcher-kva.example'"),
        ("a.example,b.example", "'a.example,b.example' is not a host name", "separated by spaces"),
        (" ", "the entry is empty", "an entry reads"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_named_with_what_was(
    entry: str, message: str, hint: str
) -> None:
    error = problem(f"[network.x]\nallow = ['10.9.9.9', '{entry}']")

    assert str(error).startswith("barasync.toml: network.x.allow[1]: ")
    assert message in str(error)
    assert hint in (error.hint or "")
    assert str(problem(f"[network.x]\ndeny = ['{entry}']")).startswith(
        "barasync.toml: network.x.deny[0]: "
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('base = "pubic"', "base: there is no preset 'pubic'; did you mean 'public'?", "a base is"),
        ('base = "none"', "base: there is no preset 'none'", "public, private, local, isolated"),
        ('alow = ["::1"]', "alow: unknown key; did you mean 'allow'?", "allowed here: allow, b"),
        ('default = "drop"', "default: expected one of 'deny', 'accept'", ""),
        (
            'base = "public"\ndefault = "deny"',
            "default: the base 'public' has an answer to every address",
            "take the base 'local' or 'isolated'",
        ),
        (
            'allow = ["443/tcp 80/tcp", "80/tcp 443/tcp"]',
            "allow[1]: '80/tcp 443/tcp' is there already, as entry [0]",
            "",
        ),
        ('deny = ["10.0.0.1", "10.0.0.1/32"]', "deny[1]: '10.0.0.1/32' is there already", ""),
        ('allow = ["A.example", "a.example."]', "allow[1]: 'a.example.' is there already", ""),
        (
            'allow = ["10.1.0.0/16 443/tcp"]\ndeny = ["::1", "10.0.0.0/8 1-1000/tcp"]',
            "is never allowed, because `deny` counts first and has '10.0.0.0/8 1-1000/tcp' as",
            "narrow what is denied",
        ),
        (
            'deny = ["10.0.0.1", "x.example 443/tcp"]',
            "deny[1]: 'x.example 443/tcp' is a host name, and a name cannot be denied",
            "allow what is needed",
        ),
        ('allow = ["x.example 22/tcp"]\ndeny = ["22/tcp"]', "is never allowed", ""),
        (f"deny = {['10.0.0.1'] * 1001}", "deny: there are more than 1000 entries", "networks"),
        ('ports = ["80", "80"]', "ports[1]: '80' is there already, as entry [0]", ""),
        ('ports = ["1:80", "1:81"]', "ports[1]: '1:81' takes the port of the host that entry", ""),
        ("ports = [80]", "ports[0]: expected a string, got the number 80", '"80"'),
        ('hosts = { "a b" = "10.0.0.1" }', "hosts.\"a b\": 'a b' is not a host name", "RFC"),
        ('hosts = { a = "host-gateway" }', "hosts.a: 'host-gateway' is no address", "10.0.0.53"),
        ('hosts = { A = "::1", a = "::2" }', "hosts.a: a has an address already", ""),
        ('dns = ["dns.example"]', "dns[0]: 'dns.example' is no address", "10.0.0.53"),
        ('dns = ["127.0.0.53"]', "dns[0]: 127.0.0.53 is the cell itself", "cell can reach"),
        ('dns = ["224.0.0.251"]', "dns[0]: 224.0.0.251 is no server's address", ""),
        ('dns = ["::2", "0::2"]', "dns[1]: ::2 is there already", ""),
        ('subnets = ["10.9.0.7/24"]', "subnets[0]: '10.9.0.7/24' is no network", "10.9.0.0/24"),
        ('subnets = ["10.9.0.0/31"]', "subnets[0]: 10.9.0.0/31 has no room", "more addresses"),
        ('subnets = ["8.8.8.0/24"]', "subnets[0]: 8.8.8.0/24 is no range of private", "10.0.0"),
        ('subnets = ["fe80::/64"]', "subnets[0]: fe80::/64 is no range of private", "fc00::/7"),
        (
            'subnets = ["fd00::/64", "10.9.0.0/24", "10.8.0.0/24"]',
            "subnets[2]: a network has one subnet of IPv4, not two",
            "",
        ),
        ('join = "host"', "join: 'host' is a mode of podman's", "`network = 'host'`"),
        ('join = "a/b"', "join: 'a/b' cannot name a network", "letters, digits"),
        ('join = "a"\nsubnets = []', "subnets: the network 'a' is there already", "`subnets`"),
        ('join = "a"\ninternal = false', "internal: the network 'a' is there already", "`join`"),
        ('join = "a"\nipv6 = true', "ipv6: the network 'a' is there already", "leave out `ipv6`"),
        ('base = "public"\ninternal = true', "internal: an internal network has no way", ""),
        ('ipv6 = false\nallow = ["::1"]', "allow[0]: ::1/128 is out of reach with `ipv6", ""),
        ('ipv6 = false\ndns = ["::2"]', "dns[0]: ::2 is out of reach with `ipv6 = false`", ""),
        ('ipv6 = false\nsubnets = ["fd00::/64"]', "subnets[0]: fd00::/64 is out of reach", ""),
    ],
)
def test_a_table_that_cannot_be_meant_is_named_with_its_key(
    text: str, message: str, hint: str
) -> None:
    error = problem(f"[network.x]\n{text}")

    assert str(error).startswith("barasync.toml: network.x.")
    assert message in str(error)
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "network.none: the network 'none' is podman's own"),
        ("bridge", "network.bridge: the network 'bridge' is podman's own"),
        ("host", "network.host: the network 'host' is podman's own"),
        ("public", "network.public: the network 'public' is a preset, and no table changes it"),
        ("Isolated", "network.Isolated: the network 'isolated' is a preset"),
        ('"a b"', "network.\"a b\": 'a b' cannot name a network"),
        ('"-a"', "network.-a: '-a' cannot name a network"),
        (f'"{"a" * 64}"', "cannot name a network"),
    ],
)
def test_a_table_cannot_be_called_what_means_something_else(name: str, message: str) -> None:
    assert message in str(problem(f"[network.{name}]\n"))


def test_the_setting_in_the_place_of_the_tables_is_sent_where_it_belongs() -> None:
    error = problem('network = "local"')

    assert str(error) == (
        "barasync.toml: network: expected a table of tables, got the string 'local'"
    )
    assert error.hint == "the setting belongs at barasync.toml: defaults.network"


def test_what_is_denied_within_an_allowed_range_is_no_contradiction() -> None:
    text = '[network.x]\nallow = ["10.0.0.0/8"]\ndeny = ["10.1.0.0/16", "22/tcp", "icmp"]'

    assert len(policies(text)["x"].deny) == 3


def test_subnets_of_two_networks_do_not_overlap() -> None:
    error = problem(
        '[network.a]\nsubnets = ["10.9.0.0/16"]\n'
        '[network.b]\nsubnets = ["fd00::/64", "10.9.1.0/24"]\n'
    )

    assert str(error) == (
        "barasync.toml: network.b.subnets[1]: 10.9.1.0/24 overlaps 10.9.0.0/16 of barasync.toml:"
        " network.a.subnets[0]"
    )
    assert "or leave the choice to podman" in (error.hint or "")


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("80", PublishedPort(80)),
        ("80/udp", PublishedPort(80, 0, UDP)),
        ("8080:80", PublishedPort(80, 8080)),
        ("127.0.0.1::80", PublishedPort(80, 0, TCP, ip_address("127.0.0.1"))),
        ("[fd00::1]:1:65535/tcp", PublishedPort(65535, 1, TCP, ip_address("fd00::1"))),
        ("0.0.0.0:1:2", PublishedPort(2, 1, TCP, ip_address("0.0.0.0"))),
    ],
)
def test_a_port_is_published_as_podman_writes_it(text: str, port: PublishedPort) -> None:
    assert policies(f"[network.x]\nports = ['{text}']")["x"].ports == (port,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' has no port where one is needed"),
        (":80", "':80' has no port where one is needed"),
        ("80:", "'80:' has no port where one is needed"),
        ("::80", "'::80': '' is no address"),
        ("x", "'x' in 'x' is not a port"),
        ("127.0.0.1:80", "'127.0.0.1' in '127.0.0.1:80' is not a port"),
        ("host:1:2", "'host:1:2': 'host' is no address"),
        ("::1:8080:80", "'::1:8080:80': IPv6 addresses have brackets here"),
        ("[127.0.0.1]:1:2", "'[127.0.0.1]:1:2': IPv6 addresses have brackets here, and no others"),
        ("8000-8001:80-81", "'8000-8001:80-81' is a range of ports"),
        ("0:80", "'0' is not a port between 1 and 65535"),
        ("1:65536", "'65536' is not a port between 1 and 65535"),
        ("80/utp", "'80/utp' has no protocol that is known; did you mean 'udp'?"),
    ],
)
def test_a_port_that_cannot_be_published_is_named(text: str, message: str) -> None:
    said = str(problem(f"[network.x]\nports = ['{text}']"))

    assert said.startswith(f"barasync.toml: network.x.ports[0]: {message}")
