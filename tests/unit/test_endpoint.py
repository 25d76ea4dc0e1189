"""Where podman is looked for, and in which order."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from barasync.aiopodman.connections import (
    Connections,
    parse_containers_conf,
    parse_podman_connections,
    read_connections,
)
from barasync.aiopodman.endpoint import Endpoint, candidates, first_reachable, probe, unix_url

ROOTFUL = Endpoint("unix:///run/podman/podman.sock", "the rootful socket")
WORK = Connections({"work": "unix:///srv/podman.sock", "far": "ssh://me@far/run/p.sock"}, "work")


def urls(
    *,
    url: str | None = None,
    environ: dict[str, str] | None = None,
    connections: Connections | None = None,
    uid: int = 1000,
) -> list[str]:
    found = candidates(url=url, environ=environ or {}, connections=connections, uid=uid)
    return [endpoint.url for endpoint in found]


def test_a_user_looks_at_the_rootless_socket_first() -> None:
    assert urls(environ={"XDG_RUNTIME_DIR": "/run/user/7"}) == [
        "unix:///run/user/7/podman/podman.sock",
        ROOTFUL.url,
    ]


def test_without_a_runtime_directory_the_rootless_socket_is_below_run_user() -> None:
    assert urls(uid=1234)[0] == "unix:///run/user/1234/podman/podman.sock"


def test_root_has_no_rootless_socket() -> None:
    found = candidates(url=None, environ={"XDG_RUNTIME_DIR": "/x"}, connections=None, uid=0)
    assert found == (ROOTFUL,)


def test_the_default_connection_comes_before_the_well_known_sockets() -> None:
    assert urls(connections=WORK, uid=0) == ["unix:///srv/podman.sock", ROOTFUL.url]


def test_a_connection_that_is_not_the_default_is_no_candidate() -> None:
    assert urls(connections=Connections(WORK.urls), uid=0) == [ROOTFUL.url]


def test_a_default_that_does_not_exist_is_no_candidate() -> None:
    assert urls(connections=Connections({}, "gone"), uid=0) == [ROOTFUL.url]


def test_a_socket_named_twice_is_one_candidate() -> None:
    connections = Connections({"local": ROOTFUL.url}, "local")
    found = candidates(url=None, environ={}, connections=connections, uid=0)
    assert [endpoint.origin for endpoint in found] == ["podman system connection local"]


@pytest.mark.parametrize(
    ("url", "environ", "origin"),
    [
        ("unix:///a", {"CONTAINER_HOST": "unix:///b"}, "--url"),
        (None, {"CONTAINER_HOST": "unix:///a", "CONTAINER_CONNECTION": "far"}, "CONTAINER_HOST"),
    ],
)
def test_a_named_engine_is_the_only_candidate(
    url: str | None, environ: dict[str, str], origin: str
) -> None:
    found = candidates(url=url, environ=environ, connections=WORK, uid=1000)
    assert found == (Endpoint("unix:///a", origin),)
    assert found[0].named


def test_a_connection_named_in_the_environment_is_the_only_candidate() -> None:
    found = candidates(
        url=None, environ={"CONTAINER_CONNECTION": "work"}, connections=WORK, uid=1000
    )
    assert found == (Endpoint("unix:///srv/podman.sock", "CONTAINER_CONNECTION"),)


def test_an_unknown_connection_named_in_the_environment_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'wrok', which does not exist; there are: far, work"):
        urls(environ={"CONTAINER_CONNECTION": "wrok"}, connections=WORK)


def test_an_empty_variable_names_nothing() -> None:
    assert urls(environ={"CONTAINER_HOST": "", "CONTAINER_CONNECTION": ""}, uid=0) == [ROOTFUL.url]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("unix:///run/p.sock", "/run/p.sock"),
        ("unix:/run/p.sock", "/run/p.sock"),
        ("/run/p.sock", "/run/p.sock"),
        ("/run/a b%41.sock", "/run/a b%41.sock"),
        ("unix:///run/a%20b.sock", "/run/a b.sock"),
    ],
)
def test_a_url_or_an_absolute_path_names_a_socket(text: str, path: str) -> None:
    (endpoint,) = candidates(url=text, environ={}, connections=None, uid=0)
    assert endpoint.socket_path == path
    assert endpoint.url.startswith("unix:///")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ssh://me@far/run/p.sock", r"ssh:// is not supported"),
        ("tcp://far:2375", r"tcp:// is not supported"),
        ("unix://run/p.sock", r"needs an absolute path"),
        ("podman.sock", r"neither a unix://.* URL nor an absolute path"),
        ("", r"neither a unix://.* URL nor an absolute path"),
    ],
)
def test_a_named_engine_that_cannot_be_used_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^--url is .*{reason}"):
        urls(url=text)


def test_only_a_unix_url_has_a_socket_path() -> None:
    with pytest.raises(ValueError, match="no socket path"):
        _ = Endpoint("ssh://far", "x").socket_path


def test_podman_4_keeps_its_connections_in_containers_conf() -> None:
    text = """
    [containers]
    pids_limit = 5
    [engine]
    active_service = "far"
    [engine.service_destinations.far]
    uri = "ssh://me@far/run/p.sock"
    identity = "/home/me/.ssh/id"
    [engine.service_destinations.near]
    uri = "unix:///near.sock"
    """
    assert parse_containers_conf(text) == Connections(
        {"far": "ssh://me@far/run/p.sock", "near": "unix:///near.sock"}, "far"
    )


def test_podman_5_keeps_its_connections_in_json() -> None:
    text = """{"Connection": {"Default": "near", "Connections": {
        "near": {"URI": "unix:///near.sock", "Identity": "", "IsMachine": false}}}, "Farm": {}}"""
    assert parse_podman_connections(text) == Connections({"near": "unix:///near.sock"}, "near")


@pytest.mark.parametrize(
    "text", ["{}", '{"Connection": {}}', '{"Connection":{"Connections":null}}']
)
def test_a_file_without_connections_is_fine(text: str) -> None:
    assert parse_podman_connections(text) == Connections()
    assert parse_containers_conf("") == Connections()


@pytest.mark.parametrize("text", ["not toml", "[engine]\nactive_service = 3", "engine = 1"])
def test_a_containers_conf_that_makes_no_sense_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_containers_conf(text)


def test_later_files_add_to_and_override_earlier_ones() -> None:
    below = Connections({"a": "unix:///1", "b": "unix:///2"}, "a")
    above = Connections({"b": "unix:///3"}, None)
    assert below.overlaid(above) == Connections({"a": "unix:///1", "b": "unix:///3"}, "a")


def test_the_files_of_both_podmans_are_read(tmp_path: Path) -> None:
    conf = tmp_path / "containers.conf"
    conf.write_text('[engine]\nactive_service="a"\nservice_destinations.a.uri="unix:///a"\n')
    folder = tmp_path / "containers"
    folder.mkdir()
    (folder / "podman-connections.json").write_text(
        '{"Connection":{"Default":"b","Connections":{"b":{"URI":"unix:///b"}}}}'
    )
    environ = {"CONTAINERS_CONF": str(conf), "XDG_CONFIG_HOME": str(tmp_path)}

    assert read_connections(environ) == Connections({"a": "unix:///a", "b": "unix:///b"}, "b")


def test_a_users_drop_in_overrides_the_users_file(tmp_path: Path) -> None:
    drop_ins = tmp_path / ".config/containers/containers.conf.d"
    drop_ins.mkdir(parents=True)
    line = '[engine]\nactive_service="{}"\nservice_destinations.{}.uri="unix:///x"\n'
    (drop_ins.parent / "containers.conf").write_text(line.format("user", "user"))
    (drop_ins / "10.conf").write_text(line.format("first", "first"))
    (drop_ins / "20.conf").write_text(line.format("second", "second"))

    assert read_connections({"HOME": str(tmp_path)}).default == "second"


def test_an_error_in_a_file_names_it(tmp_path: Path) -> None:
    conf = tmp_path / "odd.conf"
    conf.write_text("[engine")
    with pytest.raises(ValueError, match=r"odd\.conf: "):
        read_connections({"CONTAINERS_CONF": str(conf)})


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
class TestProbe:
    async def test_a_listening_socket_has_no_problem(self, tmp_path: Path) -> None:
        with listening(tmp_path / "p.sock") as path:
            assert await probe(endpoint_at(path)) is None

    async def test_a_missing_socket_is_said_to_be(self, tmp_path: Path) -> None:
        assert await probe(endpoint_at(tmp_path / "no.sock")) == (
            f"{tmp_path}/no.sock does not exist"
        )

    async def test_a_file_is_not_a_socket(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.touch()
        assert await probe(endpoint_at(path)) == f"{path} is not a socket"

    async def test_a_path_through_a_file_does_not_exist(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.touch()
        assert await probe(endpoint_at(path / "p.sock")) == f"{path}/p.sock does not exist"

    async def test_a_socket_that_nobody_listens_on_is_left_over(self, tmp_path: Path) -> None:
        with listening(tmp_path / "p.sock") as path:
            pass
        problem = await probe(endpoint_at(path))
        assert problem is not None
        assert problem.startswith(f"nobody listens on {path}")

    async def test_a_denied_socket_is_said_to_be(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def deny(path: str) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

        monkeypatch.setattr("barasync.aiopodman.endpoint.connect", deny)
        path = tmp_path / "p.sock"
        assert await probe(endpoint_at(path)) == f"permission denied on {path}"

    async def test_a_path_that_is_too_long_gives_the_systems_reason(self, tmp_path: Path) -> None:
        path = tmp_path / ("x" * 120)
        problem = await probe(endpoint_at(path))
        assert problem is not None
        assert "too long" in problem

    async def test_an_ssh_url_says_what_to_do_instead(self) -> None:
        problem = await probe(Endpoint("ssh://far/p.sock", "podman system connection far"))
        assert problem is not None
        assert problem.startswith("ssh:// is not supported; forward")

    async def test_the_first_reachable_one_is_chosen_and_the_others_explained(
        self, tmp_path: Path
    ) -> None:
        gone = Endpoint(unix_url(f"{tmp_path}/gone"), "the rootless socket")
        with listening(tmp_path / "p.sock") as path:
            there = endpoint_at(path)
            found, problems = await first_reachable([gone, there, gone])
        assert found == there
        assert problems == (f"the rootless socket: {tmp_path}/gone does not exist",)

    async def test_none_reachable_explains_all(self, tmp_path: Path) -> None:
        gone = Endpoint(unix_url(f"{tmp_path}/gone"), "a")
        found, problems = await first_reachable([gone, gone])
        assert found is None
        assert len(problems) == 2


def endpoint_at(path: Path) -> Endpoint:
    return Endpoint(unix_url(str(path)), "test")


class listening:  # noqa: N801 - reads as the state it makes
    """A socket that listens during the block and stays behind as a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Path:
        self.socket.bind(str(self.path))
        self.socket.listen()
        return self.path

    def __exit__(self, *_: object) -> None:
        self.socket.close()
