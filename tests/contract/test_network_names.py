"""Host names in policies, on real podmans: they open addresses as long as these are the names'."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until
from tests.rig.internet import Internet, internet
from tests.rig.services import RigService

NATIVE = native_architecture()
# Who answers a connection says its address first.
ASK = 'ask() { nc -w 5 "$1" 8080 </dev/null | head -n 1; }'


@pytest.fixture
def far() -> Iterator[Internet]:
    with internet() as made:
        yield made


def network(far: Internet, base: str = "local", more: str = "") -> str:
    return f"""
            network = "names"
            timeout = 45
            [network.names]
            base = "{base}"
            allow = ["www.example.test 8080/tcp", "six.example.test 8080/tcp"]
            dns = ["{far.nameserver}"]
            {more}
            """


def go_on(process: subprocess.Popen[bytes], barasync: Barasync) -> None:
    """Read what a run still prints, and see that all of its cells passed."""
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, (out + err).decode()
    assert set(barasync.statuses().values()) == {"passed"}


def test_a_names_new_address_works_and_its_old_one_ends(
    barasync: Barasync, busybox: str, far: Internet
) -> None:
    old, new, unnamed = far.public[0], far.public[1], far.private[0]
    far.name({"www.example.test": [old], "other.example.test": [unnamed]})
    script = f"""{ASK}
        test -z "$(ask {old})" || exit 3
        test "$(ask WWW.Example.test.)" = {old} || exit 4
        test "$(ask {old})" = {old} || exit 5
        test -z "$(ask other.example.test)" || exit 6
        ! nslookup other.example.test || exit 7
        echo opened
        until test "$(ask www.example.test)" = {new}; do sleep 0.1; done
        while test -n "$(ask {old})"; do sleep 0.1; done
        test "$(ask www.example.test)" = {new} || exit 8
        """
    barasync.configure_script(busybox, script, network(far))

    with barasync.running("matrix", "tests") as process:
        read_until(process, "opened", 1)
        far.name({"www.example.test": [new], "other.example.test": [unnamed]})
        go_on(process, barasync)


def test_a_name_opens_its_address_of_version_6(
    barasync: Barasync, busybox: str, far: Internet
) -> None:
    address = far.public[2]
    far.name({"six.example.test": [address]})
    script = f"""{ASK}
        test -z "$(ask {address})" || exit 3
        test "$(ask six.example.test)" = {address} || exit 4
        """
    barasync.configure_script(busybox, script, network(far))

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err


def test_a_name_opens_its_address_for_the_cell_that_asked_alone(
    barasync: Barasync, busybox: str, far: Internet
) -> None:
    address = far.public[0]
    far.name({"www.example.test": [address]}, seconds=300)
    script = f"""{ASK}
        if test $SIDE = asks; then
            test "$(ask www.example.test)" = {address} || exit 3
            touch /state/asked
            until test -e /state/looked; do sleep 0.1; done
            test "$(ask {address})" = {address} || exit 4
        else
            until test -e /state/asked; do sleep 0.1; done
            test -z "$(ask {address})" || exit 5
            touch /state/looked
        fi
        """
    (barasync.directory / "state").mkdir()
    sides = "".join(f"\n[config.{side}]\nenv = {{ SIDE = '{side}' }}" for side in ("asks", "looks"))
    matrix = f'\n[matrix]\nconfig = ["asks", "looks"]{sides}'
    volumes = 'volumes = ["./state:/state"]\n'
    barasync.configure_script(busybox, script, volumes + network(far, more=matrix))

    ended = barasync("matrix", "tests", "--jobs", "2")

    assert ended.code == 0, ended.out + ended.err


def test_cells_find_each_other_and_every_name_where_the_base_has_a_network(
    barasync: Barasync, busybox: str, far: Internet
) -> None:
    address, private = far.public[0], far.private[0]
    far.name({"www.example.test": [address], "other.example.test": [private]})
    script = f"""{ASK}
        test "$(ask www.example.test)" = {address} || exit 3
        test "$(ask other.example.test)" = {private} || exit 4
        if test $SIDE = serves; then
            while :; do echo hello | nc -l -p 8080; done &
            until test -e /state/asked; do sleep 0.1; done
        else
            until test "$(ask {NATIVE}-serves)" = hello; do sleep 0.1; done
            touch /state/asked
        fi
        """
    (barasync.directory / "state").mkdir()
    sides = "".join(
        f"\n[config.{side}]\nenv = {{ SIDE = '{side}' }}" for side in ("serves", "asks")
    )
    matrix = f'\n[matrix]\nconfig = ["serves", "asks"]{sides}'
    volumes = 'volumes = ["./state:/state"]\n'
    barasync.configure_script(busybox, script, volumes + network(far, "private", matrix))

    ended = barasync("matrix", "tests", "--jobs", "2")

    assert ended.code == 0, ended.out + ended.err


def test_a_name_that_leads_to_this_host_opens_nothing(
    barasync: Barasync, busybox: str, far: Internet
) -> None:
    host = far.here[0]
    far.name({"www.example.test": [host, "127.0.0.1", "169.254.169.254"]})
    script = f"""{ASK}
        nslookup www.example.test | grep -q {host} || exit 3
        test -z "$(ask www.example.test)" || exit 4
        test -z "$(ask {host})" || exit 5
        test -z "$(ask 169.254.169.254)" || exit 6
        """
    barasync.configure_script(busybox, script, network(far, "public"))

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err


def test_what_a_cell_asked_for_in_vain_is_told(
    barasync: Barasync, busybox: str, far: Internet
) -> None:
    script = "nslookup other.example.test; nslookup six.example.test; true"
    barasync.configure_script(busybox, script, network(far, more="log = true"))

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    assert "NXDOMAIN" in barasync.log(NATIVE)
    (cell,) = barasync.result()["cells"]
    assert [each["name"] for each in cell["refused_names"]] == ["other.example.test"]
    (warning,) = cell["warnings"]
    assert warning == (
        "network 'names' names six.example.test, and there is no such name: is it misspelt?"
    )
    assert 'allow = ["other.example.test"]' in ended.out + ended.err


def test_names_are_refused_on_a_rootless_service(
    rootless_service: RigService, rootless_busybox: str, tmp_path: Path
) -> None:
    barasync = Barasync(tmp_path, rootless_service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    names = 'network = "names"\n[network.names]\nbase = "local"\nallow = ["www.example.test"]'
    barasync.configure_script(rootless_busybox, "true", names)

    ended = barasync("matrix", "tests")

    assert ended.code == 4
    assert barasync.statuses() == {NATIVE: "infrastructure_error"}
    assert "network 'names' names hosts" in ended.out + ended.err
    assert "use a rootful podman service" in ended.out + ended.err
