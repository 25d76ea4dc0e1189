"""Services under policies that say who is asked for names, on real podmans."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.internet import Internet, internet

NATIVE = native_architecture()
# Who answers a connection says its address first.
ASK = 'ask() { nc -w 5 "$1" 8080 </dev/null | head -n 1; }'


@pytest.fixture
def far() -> Iterator[Internet]:
    with internet() as made:
        yield made


def configure(barasync: Barasync, image: str, script: str, policy: str) -> None:
    """Make a cell run a script beside a service whose page says what it has heard."""
    serves = f"""{ASK}
        mkdir /www; ask www.example.test >/www/x; exec httpd -f -p 8000 -h /www"""
    barasync.configure_script(
        image,
        ASK + script,
        f"""
        network = "asked"
        timeout = 45
        [[defaults.services]]
        image = "{image}"
        name = "web"
        command = ["sh", "-c", '''{serves}''']
        ready = "wget -q -O /dev/null http://web:8000/x"
        [network.asked]
        {policy}
        """,
    )


def test_a_service_and_its_cell_reach_the_names_of_their_policy(
    barasync: Barasync, busybox: str, far: Internet
) -> None:
    named, unnamed = far.public[0], far.public[1]
    far.name({"www.example.test": [named], "other.example.test": [unnamed]})
    script = f"""
        test "$(wget -q -O - http://web:8000/x)" = {named} || exit 3
        test "$(ask www.example.test)" = {named} || exit 4
        test -z "$(ask {unnamed})" || exit 5
        ! nslookup other.example.test || exit 6
        """
    policy = f'allow = ["www.example.test 8080/tcp"]\ndns = ["{far.nameserver}"]'
    configure(barasync, busybox, script, policy)

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err + barasync.log(NATIVE)


def test_a_service_and_its_cell_ask_the_servers_of_their_policy(
    barasync: Barasync, busybox: str, far: Internet
) -> None:
    reached, refused = far.private[0], far.public[0]
    far.name({"www.example.test": [reached], "other.example.test": [refused]})
    script = f"""
        test "$(wget -q -O - http://web:8000/x)" = {reached} || exit 3
        test "$(ask www.example.test)" = {reached} || exit 4
        nslookup other.example.test | grep {refused} || exit 5
        test -z "$(ask other.example.test)" || exit 6
        """
    configure(barasync, busybox, script, f'base = "private"\ndns = ["{far.nameserver}"]')

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err + barasync.log(NATIVE)
