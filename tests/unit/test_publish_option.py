"""Ports that options publish, beside those of a network."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from barasync.config.policies import Policy, Preset, Protocol, PublishedPort
from barasync.config.publishing import parse_publish, published
from barasync.errors import ConfigError


def test_ports_of_options_are_added_to_those_of_a_network() -> None:
    ports = parse_publish(["8080:80", "[::1]::53/udp", "80"])
    policy = published(Policy(name="web", base=Preset.LOCAL, ports=(PublishedPort(443),)), ports)

    assert policy.ports == (
        PublishedPort(443),
        PublishedPort(80, 8080),
        PublishedPort(53, 0, Protocol.UDP, ip_address("::1")),
        PublishedPort(80),
    )
    assert policy.needs_network


@pytest.mark.parametrize("text", ["", "0", "65536", "80-90", "80/sctp", "a:80", "::1:80", ":80"])
def test_an_option_that_is_no_port_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--publish: "):
        parse_publish([text])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["80", "80"], "--publish 80: --publish 80 has the same already"),
        (["8080:80", "127.0.0.1:8080:81"], "--publish 127.0.0.1:8080:81: --publish 8080:80 has 80"),
        (["443"], "--publish 443: the network 'web' has the same already"),
        (["53:54/udp"], "--publish 53:54/udp: the network 'web' has 53/udp of the host already"),
    ],
)
def test_a_port_that_is_published_already_is_refused(texts: list[str], message: str) -> None:
    own = (PublishedPort(443), PublishedPort(53, 53, Protocol.UDP))

    with pytest.raises(ConfigError) as caught:
        published(Policy(name="web", base=Preset.LOCAL, ports=own), parse_publish(texts))

    assert str(caught.value).startswith(message)
