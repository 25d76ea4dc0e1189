"""What the table of a bootstrapped image means: its recipe, its sources, its key."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from barasync.config.schema import BootstrapTable, BootstrapVariant
from barasync.errors import ConfigError, ImageError
from barasync.images.bootstrap import recipe_for
from barasync.images.bootstrap.recipe import Recipe
from barasync.matrix.platforms import Platform, parse

AMD64 = parse("amd64")
ARM64 = parse("arm64")
RISCV64 = parse("riscv64")


def table(suite: str = "trixie", *packages: str, distribution: str = "debian") -> BootstrapTable:
    return BootstrapTable(distribution=distribution, suite=suite, packages=list(packages))


def recipe(platform: Platform = AMD64, *packages: str, suite: str = "trixie") -> Recipe:
    return recipe_for("base", table(suite, *packages), platform)


def recipe_of(**settings: object) -> Recipe:
    return recipe_for("base", replace(table(), **settings), AMD64)


def test_equal_recipes_have_equal_keys_however_they_are_written() -> None:
    assert recipe(AMD64, "make", "gcc").key == recipe(AMD64, "gcc", "make", "gcc", "bash").key


def test_whatever_changes_the_image_changes_the_key() -> None:
    keys = {
        recipe(AMD64, "make").key,
        recipe(AMD64, "make", "gcc").key,
        recipe(ARM64, "make").key,
        recipe(AMD64, "make", suite="bookworm").key,
        recipe_for("base", table("trixie", "make", distribution="ubuntu"), AMD64).key,
        recipe_of(packages=["make"], variant=BootstrapVariant.APT).key,
        recipe_of(packages=["make"], mirrors=["http://a/debian"]).key,
        recipe_of(packages=["make"], components=["main", "contrib"]).key,
        recipe_of(packages=["make"], allow_expired=True).key,
        recipe_of(packages=["make"], snapshot="20260101T000000Z").key,
    }

    assert len(keys) == 10


def test_the_name_of_an_image_says_its_architecture_and_its_key() -> None:
    arm = recipe(parse("arm/v7"))

    assert arm.reference == f"localhost/barasync/base:armv7-{arm.key[:12]}"


def test_what_a_shell_needs_is_always_there() -> None:
    assert set(recipe(AMD64, "make").packages) == {
        "base-files",
        "base-passwd",
        "bash",
        "coreutils",
        "dash",
        "libc-bin",
        "make",
    }


@pytest.mark.parametrize("package", ["gcc-14", "g++", "libc6:arm64", "make=4.4.1-2", "bash/sid"])
def test_packages_may_be_named_as_apt_names_them(package: str) -> None:
    assert package in recipe(AMD64, package).packages


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("Base", table(), "images.Base: 'Base' cannot name an image"),
        ("a b", table(), "images.a b: 'a b' cannot name"),
        (
            "base",
            table(distribution="debain"),
            r"images.base.bootstrap.distribution: unknown .* 'debain'; did you mean 'debian'\?",
        ),
        ("base", table("--help"), "images.base.bootstrap.suite: '--help'"),
        ("base", table("../x"), "images.base.bootstrap.suite: '../x'"),
        ("base", table("trixie", "--x"), "images.base.bootstrap.packages: '--x'"),
        ("base", table("trixie", "a,b"), "images.base.bootstrap.packages: 'a,b'"),
        ("base", table("trixie", "/x.deb"), "images.base.bootstrap.packages: '/x.deb'"),
        *(
            ("base", replace(table(), **{key: value}), f"images.base.bootstrap.{key}: ")
            for key, value in (
                ("components", ["main contrib"]),
                ("mirrors", ["deb.debian.org/debian"]),
                ("mirrors", ["file:///srv/debian"]),
                ("mirrors", ["http://a/debian [trusted=yes] sid"]),
                ("mirrors", ["http://a/debian trixie main"]),
                ("mirrors", ["http://me:secret@a/debian"]),
                ("signed_by", "keys.gpg"),
                ("signed_by", "/keys"),
                ("signed_by", "/my keys.gpg"),
                ("signed_by", "/does/not/exist.gpg"),
                ("snapshot", "2026-01-01"),
                ("snapshot", "20261301T000000Z"),
                ("snapshot", "20260101T0000Z"),
            )
        ),
    ],
)
def test_what_cannot_be_meant_is_an_error_that_names_the_key(
    name: str, spec: BootstrapTable, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_for(name, spec, AMD64)


def test_a_platform_without_a_port_is_an_error_that_names_it() -> None:
    with pytest.raises(ImageError, match=r"'base' cannot be made for linux/arm/v6"):
        recipe(parse("armv6"))


def test_only_young_ports_have_a_second_source() -> None:
    def suites(one: Recipe) -> list[str]:
        return [source.suite for source in one.sources]

    assert suites(recipe(AMD64)) == ["trixie"]
    assert suites(recipe(RISCV64)) == ["trixie", "sid"]
    assert suites(recipe(RISCV64, suite="sid")) == ["sid"]
    assert suites(recipe_for("base", table("noble", distribution="ubuntu"), RISCV64)) == ["noble"]
    for own in ({"mirrors": ["http://a/debian"]}, {"snapshot": "20260101T000000Z"}):
        assert suites(recipe_for("base", replace(table(), **own), RISCV64)) == ["trixie"]


def test_the_command_unpacks_for_the_architecture_and_writes_to_its_output() -> None:
    made = recipe(parse("arm/v7"), "make")
    command = made.command(made.sources[0], "root", keyring=Path("/keys.gpg"))

    assert command[:4] == ["mmdebstrap", "--mode=root", "--variant=extract", "--format=tar"]
    assert "--architectures=armhf" in command
    assert "--include=base-files,base-passwd,bash,coreutils,dash,libc-bin,make" in command
    assert command[command.index("--") :] == [
        *("--", "trixie", "-"),
        "deb [signed-by=/keys.gpg] http://deb.debian.org/debian trixie main",
        "deb [signed-by=/keys.gpg] http://deb.debian.org/debian trixie-updates main",
        "deb [signed-by=/keys.gpg] http://security.debian.org/debian-security trixie-security main",
    ]


def test_only_who_says_so_gets_an_expired_index() -> None:
    option = '--aptopt=Acquire::Check-Valid-Until "false"'

    for source in recipe(RISCV64).sources:
        assert option not in recipe(RISCV64).command(source, "root")
    for told in ({"allow_expired": True}, {"snapshot": "20260101T000000Z"}):
        made = recipe_for("base", replace(table(), **told), RISCV64)
        assert all(option in made.command(source, "unshare") for source in made.sources)


def test_only_what_is_installed_takes_namespaces_of_root() -> None:
    variants = {variant: recipe_of(variant=variant) for variant in BootstrapVariant}

    assert {one: made.mode(root=True) for one, made in variants.items()} == {
        "extract": "root",
        "custom": "unshare",
        "essential": "unshare",
        "apt": "unshare",
        "minbase": "unshare",
    }
    assert {made.mode(root=False) for made in variants.values()} == {"unshare"}


def test_a_variant_that_has_a_shell_gets_none_besides() -> None:
    assert recipe_of(variant=BootstrapVariant.APT, packages=["make"]).packages == ("make",)
    assert {"bash", "dpkg"} < set(recipe_of(variant=BootstrapVariant.CUSTOM).packages)


def test_nothing_to_add_means_no_option_for_it() -> None:
    made = recipe_of(variant=BootstrapVariant.APT)

    command = made.command(made.sources[0], "unshare")

    assert "--variant=apt" in command
    assert not any(word.startswith("--include") for word in command)


# Mirrors and suites


def lines(platform: Platform = AMD64, **settings: object) -> list[str]:
    made = recipe_for("base", replace(table(), **settings), platform)
    return list(made.sources[0].lines)


def test_the_updates_of_a_suite_come_along_where_it_has_any() -> None:
    assert lines(suite="sid") == ["http://deb.debian.org/debian sid main"]
    assert lines(suite="bookworm-backports") == [
        "http://deb.debian.org/debian bookworm-backports main"
    ]


@pytest.mark.parametrize(
    ("arch", "mirror"),
    [
        ("amd64", "http://archive.ubuntu.com/ubuntu"),
        ("i386", "http://archive.ubuntu.com/ubuntu"),
        ("arm64", "http://ports.ubuntu.com/ubuntu-ports"),
        ("riscv64", "http://ports.ubuntu.com/ubuntu-ports"),
    ],
)
def test_ubuntu_has_its_ports_on_another_mirror(arch: str, mirror: str) -> None:
    assert lines(parse(arch), distribution="ubuntu", suite="noble") == [
        f"{mirror} noble main universe",
        f"{mirror} noble-updates main universe",
        f"{mirror} noble-security main universe",
    ]


def test_mirrors_take_the_place_of_the_distributions_own() -> None:
    mirrors = ["https://a.example/debian/", "http://b.example:8080/x trixie-backports"]

    assert lines(mirrors=mirrors, components=["main", "contrib"]) == [
        "https://a.example/debian trixie main contrib",
        "http://b.example:8080/x trixie-backports main contrib",
    ]


def test_a_snapshot_is_taken_from_the_archive_of_snapshots_and_dates_all_files() -> None:
    pinned = replace(table(), snapshot="20260131T123456Z")

    made = recipe_for("base", pinned, RISCV64)

    archive = "http://snapshot.debian.org/archive"
    assert list(made.sources[0].lines) == [
        f"{archive}/debian/20260131T123456Z trixie main",
        f"{archive}/debian/20260131T123456Z trixie-updates main",
        f"{archive}/debian-security/20260131T123456Z trixie-security main",
    ]
    assert made.environment == {"SOURCE_DATE_EPOCH": "1769862896"}
    assert recipe(RISCV64).environment == {}


def test_ubuntu_has_snapshots_of_all_ports_in_one_place() -> None:
    assert lines(
        ARM64, distribution="ubuntu", suite="noble-updates", snapshot="20260131T000000Z"
    ) == ["http://snapshot.ubuntu.com/ubuntu/20260131T000000Z noble-updates main universe"]


def test_an_own_mirror_may_have_the_date_in_its_address() -> None:
    mirrors = ["http://a.example/{snapshot}/debian", "http://b.example/debian"]

    assert lines(mirrors=mirrors, snapshot="20260131T000000Z") == [
        "http://a.example/20260131T000000Z/debian trixie main",
        "http://b.example/debian trixie main",
    ]


def test_a_keyring_is_part_of_the_recipe_and_so_is_what_is_in_it(tmp_path: Path) -> None:
    keyring = tmp_path / "own.gpg"
    keyring.write_text("one")
    first = recipe_of(signed_by=str(keyring))
    keyring.write_text("two")

    assert recipe_of(signed_by=str(keyring)).key != first.key
    assert first.keyring == keyring


@pytest.mark.parametrize("distribution", ["debian", "ubuntu"])
def test_each_distribution_has_its_own_keyring(distribution: str) -> None:
    assert recipe_of(distribution=distribution).keyring == Path(
        f"/usr/share/keyrings/{distribution}-archive-keyring.gpg"
    )


def test_labels_are_quoted_for_the_containerfile() -> None:
    changes = recipe().changes({"b": 'say "x y"', "a": "1"})

    assert changes[-2:] == ('LABEL a="1"', r'LABEL b="say \"x y\""')
    assert any(change.startswith("ENV PATH=/usr/local/sbin:") for change in changes)
