"""The one cell of a shell: of the matrix, or of an image."""

from __future__ import annotations

from typing import Any

import pytest

from barasync.config.load import parse as parse_document
from barasync.config.origin import Origin
from barasync.config.schema import CellTable, WorkspaceMode
from barasync.config.services import Service, ServiceTable
from barasync.errors import ConfigError
from barasync.matrix.axes import Combination
from barasync.matrix.command import expand
from barasync.matrix.plan import Plan, Request, plan_kept, plan_shell
from barasync.matrix.platforms import Platform, parse

FILE = """
[defaults]
image = "toolchain"
command = ["make", "{rule}", "{args}"]
timeout = 600
retries = 3
artifacts = ["out"]
env = { A = "1" }

[matrix]
arch = ["amd64", "arm64"]
config = ["debug", "release"]
exclude = [{ arch = "arm64", config = "debug" }]
include = [{ arch = "amd64", config = "release", env = { LTO = "1" } }]

[config.release]
timeout = 900.5
memory = "2g"

[images.toolchain.bootstrap]
suite = "trixie"
"""


def planned(name: str, *command: str, text: str | None = FILE, **fields: Any) -> Plan:
    document = None if text is None else parse_document(text, Origin())
    request = Request(native=Platform("amd64"), document=document, **fields)
    return plan_shell(request, name, command)


def test_a_cell_has_what_the_matrix_gives_it_but_not_what_belongs_to_its_rules() -> None:
    made = planned("amd64-release")

    (cell,) = made.cells
    assert (cell.id, cell.platform, cell.config) == ("amd64-release", parse("amd64"), "release")
    assert (cell.settings.image, cell.settings.memory) == ("toolchain", 2 << 30)
    assert cell.settings.env == {"A": "1", "LTO": "1"}
    assert cell.settings.artifacts == ()
    assert expand(cell, rule=made.rule, args=made.args) == ()
    assert made.notes == ()


def test_a_person_has_no_deadline_and_is_not_repeated() -> None:
    (cell,) = planned("amd64-release").cells
    (alone,) = planned("debian", text=None).cells

    assert (cell.settings.timeout, cell.settings.retries) == (None, 0)
    assert (alone.settings.timeout, alone.settings.retries) == (None, 0)
    assert cell.provenance["timeout"] == "of a shell"


def test_a_deadline_on_the_command_line_applies() -> None:
    (cell,) = planned("amd64-release", options=CellTable(timeout=5)).cells

    assert cell.settings.timeout == 5


def test_the_words_of_a_command_are_taken_as_they_are() -> None:
    made = planned("amd64-release", "make", "{rule}")

    assert expand(made.cells[0], rule=made.rule, args=made.args) == ("make", "{rule}")


def test_what_is_no_cell_is_an_image_and_has_the_defaults_of_the_project() -> None:
    made = planned("debian:13", arch=("riscv64",), config=("release",))

    (cell,) = made.cells
    assert (cell.id, cell.settings.image) == ("riscv64-release", "debian:13")
    assert (cell.settings.memory, cell.settings.env) == (2 << 30, {"A": "1"})
    assert made.notes == ()


def test_a_declared_image_is_one_also_where_a_cell_is_called_alike() -> None:
    assert planned("toolchain").notes == ()
    assert planned("toolchain").cells[0].id == "amd64"


def test_a_cell_that_the_command_line_adds_to_the_matrix_can_be_had() -> None:
    (cell,) = planned("riscv64-debug", arch=("riscv64",)).cells

    assert cell.platform == parse("riscv64")
    assert cell.settings.image == "toolchain"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("amd64-relaese", "amd64-release"), ("arm64-debug", "amd64-debug"), ("tolchain", "toolchain")],
)
def test_a_name_that_is_nearly_a_cell_or_an_image_is_noted(name: str, meant: str) -> None:
    (note,) = planned(name).notes

    assert note.startswith(f"there is no cell '{name}', and no image of that name is declared")
    assert note.endswith(f"; did you mean '{meant}'?")


def test_a_name_that_is_like_none_is_noted_with_the_cells_that_there_are() -> None:
    (note,) = planned("busybox").notes

    assert note.endswith(
        "is taken as a reference; the cells are amd64-debug, amd64-release, arm64-release"
    )
    assert planned("docker.io/busybox").notes == ()


def test_of_many_cells_the_first_are_named() -> None:
    configs = ", ".join(f'"c{number}"' for number in range(9))
    (note,) = planned("busybox", text=f"[matrix]\nconfig = [{configs}]\n").notes

    assert note.endswith(
        "; the cells are amd64-c0, amd64-c1, amd64-c2, amd64-c3, amd64-c4, amd64-c5 and 3 more"
    )


def test_outside_a_project_there_are_only_images() -> None:
    made = planned("amd64", text=None)

    assert made.cells[0].settings.image == "amd64"
    assert made.notes == ()


def test_a_cell_without_an_image_is_refused() -> None:
    with pytest.raises(ConfigError, match="no image is given for cell amd64-a"):
        planned("amd64-a", text='[matrix]\nconfig = ["a"]\n')


def test_several_architectures_are_refused_for_an_image() -> None:
    with pytest.raises(ConfigError, match="--arch: one container is for one of them, not 2"):
        planned("debian", arch=("amd64,arm64",))


IMAGE = "4" * 64
SERVICE = ServiceTable(name="db", image="5" * 64)
HAD = CellTable(
    memory="1g",
    pids=7,
    network="corp",
    volumes=["/a:/a"],
    workspace=WorkspaceMode.NONE,
    services=[SERVICE],
)
NOW = """
[defaults]
image = "another"
stop_grace = 9
env = { A = "2" }
volumes = ["/a:/other", "/b:/b"]
services = [{ name = "queue", image = "queue" }]
[config.other]
memory = "2g"
[network.corp]
allow = ["10.0.0.0/8"]
"""


def planned_kept(text: str | None, config: str | None = "release", **fields: Any) -> Plan:
    document = None if text is None else parse_document(text, Origin())
    request = Request(native=Platform("amd64"), document=document, **fields)
    one = Combination(platform=parse("arm64"), config=config)
    return plan_kept(request, one, IMAGE, HAD, ())


def test_what_is_kept_of_a_cell_has_the_settings_that_the_cell_had_and_none_of_the_file() -> None:
    (cell,) = planned_kept(NOW).cells

    assert (cell.id, cell.config, cell.settings.image) == ("arm64-release", "release", IMAGE)
    assert (cell.settings.memory, cell.settings.pids) == (1 << 30, 7)
    assert (cell.settings.volumes, cell.settings.stop_grace) == (("/a:/a",), 0)
    assert cell.settings.services == (Service(name="db", image="5" * 64),)
    assert cell.settings.workspace is WorkspaceMode.NONE
    assert (cell.settings.env, cell.settings.timeout, cell.settings.retries) == ({}, None, 0)
    assert cell.policy is not None
    assert cell.policy.allow[0].text == "10.0.0.0/8"
    assert cell.provenance["memory"] == "the memory of the cell that failed"


def test_options_and_variables_go_before_what_the_cell_had() -> None:
    options = CellTable(pids=9, volumes=["/c:/c"])
    (cell,) = planned_kept(NOW, options=options, environ={"BARASYNC_MEMORY": "3g"}).cells

    assert (cell.settings.memory, cell.settings.pids) == (3 << 30, 9)
    assert cell.settings.volumes == ("/a:/a", "/c:/c")


@pytest.mark.parametrize("text", [None, "[network.crop]\n"])
def test_a_network_that_the_file_declares_no_more_is_said_and_another_one_can_be_given(
    text: str | None,
) -> None:
    with pytest.raises(
        ConfigError, match="the network of the cell that failed: there is no network 'corp'"
    ):
        planned_kept(text)

    (cell,) = planned_kept(text, config=None, options=CellTable(network="none")).cells

    assert (cell.id, cell.settings.network, cell.policy) == ("arm64", "none", None)
