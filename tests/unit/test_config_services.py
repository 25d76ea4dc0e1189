"""The services of cells: what they may be, where they are given, and what is said of mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from barasync.config.load import parse as parse_document
from barasync.config.origin import Origin
from barasync.config.services import Healthy, ListensAt, Service
from barasync.errors import ConfigError
from barasync.matrix.listing import as_data
from barasync.matrix.plan import Plan, Request, plan
from barasync.matrix.platforms import Platform

DB = 'image = "db", name = "db"'


def planned(text: str, **fields: Any) -> Plan:
    document = parse_document('[defaults]\nimage = "x"\n' + text, Origin())
    return plan(Request(native=Platform("amd64"), rule="tests", document=document, **fields))


def services(text: str) -> tuple[Service, ...]:
    (cell,) = planned(text).cells
    return cell.settings.services


def problem(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        planned(text)
    return caught.value


def test_a_cell_has_no_services_unless_they_are_asked_for() -> None:
    assert services("") == ()


def test_a_service_has_what_its_table_says() -> None:
    assert services(
        """
        [[defaults.services]]
        image = "docker.io/library/postgres:17"
        name = "db"
        arch = "native"
        ready = ["pg_isready", "-U", "app"]
        ready_timeout = 20
        command = ["postgres", "-c", "fsync=off"]
        env = { POSTGRES_PASSWORD = "x" }
        user = "postgres"
        memory = "512m"
        cpus = 0.5
        """
    ) == (
        Service(
            image="docker.io/library/postgres:17",
            name="db",
            native=True,
            ready=("pg_isready", "-U", "app"),
            ready_timeout=20.0,
            command=("postgres", "-c", "fsync=off"),
            env={"POSTGRES_PASSWORD": "x"},
            user="postgres",
            memory=512 * 1024**2,
            cpus=0.5,
        ),
    )


def test_a_line_that_says_when_it_is_ready_is_for_a_shell() -> None:
    (service,) = services(f"services = [{{ {DB}, ready = 'test -e /ready && true' }}]")

    assert service.ready == ("sh", "-c", "test -e /ready && true")
    assert service.ready_timeout == 60.0


def test_a_port_says_that_it_is_ready_once_something_listens_there() -> None:
    plan = planned(f"services = [{{ {DB}, ready = '5432/tcp' }}]")
    (service,) = plan.cells[0].settings.services

    assert service.ready == ListensAt(5432)
    assert as_data(plan)["cells"][0]["settings"]["services"]["value"][0]["ready"] == "5432/tcp"


def test_the_health_check_of_its_image_may_say_that_it_is_ready() -> None:
    plan = planned(f"services = [{{ {DB}, ready = 'healthy' }}]")

    (service,) = plan.cells[0].settings.services
    assert service.ready == Healthy()
    assert as_data(plan)["cells"][0]["settings"]["services"]["value"][0]["ready"] == "healthy"


@pytest.mark.parametrize(
    ("ready", "message", "hint"),
    [
        ("5432", "'5432' is no command", "a port is written '5432/tcp'"),
        ("5432/TCP", "'5432/TCP' is no command", "a port is written '5432/tcp'"),
        (
            "53/udp",
            "'53/udp': that a service can be used is not seen by a port of udp",
            "write a command that asks it, or leave `ready` out",
        ),
        ("0/tcp", "'0' is not a port between 1 and 65535", None),
        ("65536/tcp", "'65536' is not a port between", None),
    ],
)
def test_a_port_that_tells_nothing_is_refused(ready: str, message: str, hint: str | None) -> None:
    error = problem(f"services = [{{ {DB}, ready = '{ready}' }}]")

    assert str(error).startswith(f"barasync.toml: defaults.services[0].ready: {message}")
    assert hint is None or error.hint == hint


def test_the_services_of_a_configuration_and_of_an_include_replace_those_below() -> None:
    text = f"""
        services = [{{ {DB} }}]
        [matrix]
        config = ["a", "b", "c"]
        include = [{{ config = "c", services = [{{ image = "queue", name = "queue" }}] }}]
        [config.b]
        services = []
        """
    cells = planned(text).cells

    assert [[one.name for one in cell.settings.services] for cell in cells] == [
        ["db"],
        [],
        ["queue"],
    ]
    assert [cell.provenance["services"] for cell in cells] == [
        "barasync.toml: defaults.services",
        "barasync.toml: config.b.services",
        "barasync.toml: matrix.include[0].services",
    ]


def test_a_plan_shows_services_as_plain_data() -> None:
    data = as_data(planned(f"services = [{{ {DB}, ready = 'true' }}]"))

    assert data["cells"][0]["settings"]["services"] == {
        "value": [
            {
                "image": "db",
                "name": "db",
                "arch": None,
                "ready": ["sh", "-c", "true"],
                "ready_timeout": 60.0,
                "command": [],
                "env": {},
                "user": "",
                "memory": None,
                "cpus": None,
            }
        ],
        "source": "barasync.toml: defaults.services",
    }


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('name = "db"', "services[0].image: missing; a string is needed here"),
        ('image = "db"', "services[0].name: missing; a string is needed here"),
        (f"{DB}, arch = 'amd64'", "services[0].arch: 'amd64' is not 'native'"),
        (f"{DB}, redy = 'true'", "services[0].redy: unknown key; did you mean 'ready'?"),
        (f"{DB}, ready = 1", "services[0].ready: expected a string or a list of strings, got the"),
        (f"{DB}, ready = ['a', 1]", "services[0].ready[1]: expected a string, got the number 1"),
        (f"{DB}, ready = ' '", "services[0].ready: the command is empty"),
        (f"{DB}, ready = []", "services[0].ready: the command is empty"),
        (f"{DB}, ready = ['']", "services[0].ready: a command needs at least the name of a prog"),
        (f"{DB}, ready = ['a', \"\\u0000\"]", "services[0].ready[1]: '\\x00' contains a NUL"),
        (f'{DB}, ready = "\\u0000"', "services[0].ready: '\\x00' contains a NUL"),
        (f"{DB}, ready_timeout = 0", "services[0].ready_timeout: 0 is not a number of seconds abo"),
        (f"{DB}, command = []", "services[0].command: a command needs at least the name of a pro"),
        (f'{DB}, env = {{ "A=B" = "" }}', "services[0].env.\"A=B\": 'A=B' cannot name an environ"),
        (f"{DB}, user = 'a b'", "services[0].user: 'a b' is no user"),
        (f"{DB}, user = ''", "services[0].user: '' is no user"),
        (f"{DB}, memory = 2", "services[0].memory: 2 is not a limit between '512k' and 8 EiB; a"),
        (f"{DB}, cpus = -1", "services[0].cpus: -1 is not a number of cores"),
        ('image = "-x", name = "db"', "services[0].image: '-x' is neither the name of a declared"),
        ('image = "db", name = "D_B"', "services[0].name: 'D_B' cannot name a service"),
        ('image = "db", name = "localhost"', "services[0].name: 'localhost' is the name of the c"),
        (f"{DB} }}, {{ {DB}", "services[1].name: 'db' is the name of service [0] already"),
    ],
)
def test_a_mistake_is_named_with_its_place(entry: str, message: str) -> None:
    assert str(problem(f"services = [{{ {entry} }}]")).startswith(
        f"barasync.toml: defaults.{message}"
    )


def test_more_services_than_anybody_means_are_refused() -> None:
    tables = ", ".join(f'{{ image = "x", name = "s{number}" }}' for number in range(33))

    assert str(problem(f"services = [{tables}]")) == (
        "barasync.toml: defaults.services: there are more than 32 services"
    )


@pytest.mark.parametrize(
    ("network", "hint"),
    [
        ("isolated", "take 'local': it has that interface and nothing else"),
        (
            "own",
            "take 'local' as the `base` of its network: it has that interface and nothing else",
        ),
    ],
)
def test_a_network_without_loopback_bears_no_services(network: str, hint: str) -> None:
    error = problem(
        f"""
        network = "{network}"
        services = [{{ {DB} }}]
        [network.own]
        base = "isolated"
        allow = ["10.0.0.0/8"]
        """
    )

    assert str(error) == (
        "barasync.toml: defaults.services: cell amd64 has services, which it would reach over the"
        f" loopback interface, and its network '{network}' has none"
    )
    assert error.hint == hint


def test_services_on_the_network_of_the_host_are_refused() -> None:
    with pytest.raises(ConfigError, match="where they would be everybody's"):
        planned(f"network = 'host'\nservices = [{{ {DB} }}]", allow_host_network=True)


def test_an_image_that_is_nearly_declared_is_noted() -> None:
    text = """
        services = [{ image = "databse", name = "db" }]
        [images.database]
        from = "x"
        """

    (note,) = planned(text).notes
    assert "image 'databse' is not declared in [images]" in note
