from __future__ import annotations

import itertools

import pytest

from barasync.errors import ConfigError, EngineUnavailable
from barasync.matrix.platforms import (
    ARCHITECTURES,
    Platform,
    canonical,
    describe,
    native,
    parse,
    short_name,
)


@pytest.mark.parametrize(
    ("names", "platform", "short"),
    [
        (["amd64", "x86_64", "x86-64", "linux/amd64", "AMD64", " amd64 "], "linux/amd64", "amd64"),
        (["amd64/v1"], "linux/amd64", "amd64"),
        (
            ["arm64", "aarch64", "arm64/v8", "linux/arm64", "linux/arm64/v8", "arm64v8"],
            "linux/arm64",
            "arm64",
        ),
        (
            ["arm", "armhf", "armv7l", "armv8l", "arm/v7", "linux/arm/v7", "armv7"],
            "linux/arm/v7",
            "armv7",
        ),
        (["armv6l", "arm/v6"], "linux/arm/v6", "armv6"),
        (["armel", "arm/v5"], "linux/arm/v5", "armv5"),
        (["386", "i386", "i686", "x86", "linux/386"], "linux/386", "i386"),
        (["riscv64", "linux/riscv64"], "linux/riscv64", "riscv64"),
        (["ppc64le", "ppc64el"], "linux/ppc64le", "ppc64le"),
        (["ppc64"], "linux/ppc64", "ppc64"),
        (["s390x", "s390x-linux-gnu"], "linux/s390x", "s390x"),
        (["x86_64-linux-gnu"], "linux/amd64", "amd64"),
        (["aarch64-linux-gnu", "armv8", "linux/aarch64"], "linux/arm64", "arm64"),
        (["arm-linux-gnueabihf", "armv7a"], "linux/arm/v7", "armv7"),
        (["arm-linux-gnueabi"], "linux/arm/v5", "armv5"),
        (["i386-linux-gnu", "i686-linux-gnu"], "linux/386", "i386"),
        (["riscv64-linux-gnu"], "linux/riscv64", "riscv64"),
        (["powerpc64le-linux-gnu"], "linux/ppc64le", "ppc64le"),
        (["mips64el-linux-gnuabi64"], "linux/mips64le", "mips64le"),
        (["loong64", "loongarch64"], "linux/loong64", "loong64"),
        (["mips64le", "mips64el"], "linux/mips64le", "mips64le"),
        (["mipsle", "mipsel"], "linux/mipsle", "mipsle"),
    ],
)
def test_every_name_in_use_gives_one_platform(names: list[str], platform: str, short: str) -> None:
    assert {str(parse(name)) for name in names} == {platform}
    assert short_name(parse(names[0])) == short


def test_no_name_means_two_architectures() -> None:
    names = [name for row in ARCHITECTURES for name in row.names()]

    assert len(names) == len(set(names))


def test_every_name_in_the_table_parses_to_its_row() -> None:
    for row in ARCHITECTURES:
        for name in row.names():
            assert describe(parse(name)) is row
            assert describe(parse(f"linux/{name}")) is row


def test_names_in_cell_ids_have_no_hyphen_and_need_no_quotes() -> None:
    assert all(row.name.isalnum() and row.name.islower() for row in ARCHITECTURES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("amr64", "unknown architecture 'amr64'; did you mean 'arm64'?"),
        ("riscv46", "unknown architecture 'riscv46'; did you mean 'riscv64'?"),
        ("linux/amd46", "unknown architecture 'linux/amd46'; did you mean 'amd64'?"),
        ("", "unknown architecture ''"),
        ("linux/", "unknown architecture 'linux/'"),
        ("\x1b[31m", r"unknown architecture '\x1b[31m'"),
        ("windows/amd64", "'windows/amd64' is for windows; the cells are Linux containers"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(name)

    assert str(caught.value) == message


def test_the_hint_lists_the_known_names() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("vax", "--arch")

    assert str(caught.value) == "--arch: unknown architecture 'vax'"
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("known: amd64, arm64, armv7")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (Platform("arm64", "v8"), Platform("arm64")),
        (Platform("arm"), Platform("arm", "v7")),
        (Platform("amd64", "v1"), Platform("amd64")),
        (Platform("amd64"), Platform("amd64")),
        (Platform("arm", "v6"), Platform("arm", "v6")),
        (Platform("wasm", os="wasi"), Platform("wasm", os="wasi")),
        (Platform("amd64", os="windows"), Platform("amd64", os="windows")),
    ],
)
def test_what_an_image_says_is_brought_to_the_form_that_is_compared(
    said: Platform, meant: Platform
) -> None:
    assert canonical(said) == meant


@pytest.mark.parametrize(
    ("machine", "platform"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("armv8l", "linux/arm/v7"),
        ("i686", "linux/386"),
        ("riscv64", "linux/riscv64"),
        ("ppc64le", "linux/ppc64le"),
        ("loongarch64", "linux/loong64"),
        ("mips64", "linux/mips64le"),
    ],
)
def test_uname_names_the_platform_of_a_little_endian_host(machine: str, platform: str) -> None:
    assert str(native(machine, "little")) == platform


def test_the_byte_order_decides_where_the_name_of_the_machine_does_not() -> None:
    assert native("mips64", "big") == Platform("mips64")
    assert native("s390x", "big") == Platform("s390x")


def test_a_machine_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match="this host calls itself 'vax'"):
        native("vax")


def test_no_machine_and_byte_order_name_two_architectures() -> None:
    keys = [(machine, row.byte_order) for row in ARCHITECTURES for machine in row.machines]

    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("name", "debian", "qemu", "elf"),
    [
        ("armv6", None, "qemu-arm", (40, 32, "little")),
        ("armv5", "armel", "qemu-arm", (40, 32, "little")),
        ("ppc64", "ppc64", "qemu-ppc64", (21, 64, "big")),
        ("mips64le", "mips64el", "qemu-mips64el", (8, 64, "little")),
        ("mips64", "mips64", "qemu-mips64", (8, 64, "big")),
        ("mipsle", "mipsel", "qemu-mipsel", (8, 32, "little")),
        ("mips", "mips", "qemu-mips", (8, 32, "big")),
        ("amd64", "amd64", "qemu-x86_64", (62, 64, "little")),
        ("arm64", "arm64", "qemu-aarch64", (183, 64, "little")),
        ("armv7", "armhf", "qemu-arm", (40, 32, "little")),
        ("i386", "i386", "qemu-i386", (3, 32, "little")),
        ("riscv64", "riscv64", "qemu-riscv64", (243, 64, "little")),
        ("ppc64le", "ppc64el", "qemu-ppc64le", (21, 64, "little")),
        ("s390x", "s390x", "qemu-s390x", (22, 64, "big")),
        ("loong64", "loong64", "qemu-loongarch64", (258, 64, "little")),
    ],
)
def test_a_row_says_what_other_tools_call_the_architecture(
    name: str, debian: str | None, qemu: str, elf: tuple[int, int, str]
) -> None:
    row = describe(parse(name))

    assert (row.debian, row.qemu) == (debian, qemu)
    assert (row.elf_machine, row.elf_class, row.byte_order) == elf


def test_architectures_with_the_same_elf_header_are_variants_of_one() -> None:
    rows = sorted(ARCHITECTURES, key=lambda row: (row.elf_machine, row.elf_class, row.byte_order))
    for _, same in itertools.groupby(
        rows, key=lambda row: (row.elf_machine, row.elf_class, row.byte_order)
    ):
        assert len({row.platform.architecture for row in same}) == 1
