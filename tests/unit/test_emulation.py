from __future__ import annotations

from pathlib import Path

import pytest

from barasync.errors import EngineUnavailable
from barasync.images.distribution import Tool, install_command, parse_os_release
from barasync.images.elf import executable
from barasync.images.emulation import Host, State, require, setup, survey
from barasync.images.emulation.binfmt import Claim, parse_entry, parse_registrations
from barasync.images.emulation.probe import explain
from barasync.images.emulation.survey import read_registry
from barasync.matrix.platforms import parse

ARM64 = parse("arm64")
RISCV64 = parse("riscv64")
S390X = parse("s390x")

ARM64_LINE = (
    r":qemu-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"
    r"\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    r":/usr/libexec/qemu-binfmt/aarch64-binfmt-P:OPF"
)
RISCV64_LINE = (
    r":qemu-riscv64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    r":/usr/bin/qemu-riscv64-static:OC"
)
ARM64_ENTRY = """\
enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A machine with an empty registry and no packages."""
    binfmt = tmp_path / "binfmt_misc"
    binfmt.mkdir()
    (binfmt / "register").touch()
    (binfmt / "status").write_text("enabled\n")
    offers = tmp_path / "binfmt.d"
    offers.mkdir()
    os_release = tmp_path / "os-release"
    os_release.write_text(DEBIAN)
    return Host(
        machine="x86_64",
        root=True,
        binfmt=binfmt,
        configuration=(tmp_path / "etc", offers),
        os_release=os_release,
    )


def with_packages(host: Host) -> Host:
    lines = {"qemu-aarch64": ARM64_LINE, "qemu-riscv64": RISCV64_LINE}
    for name, line in lines.items():
        (host.configuration[1] / f"{name}.conf").write_text(f"# of a package\n{line}\n")
    return host


def registered(host: Host, entry: str = ARM64_ENTRY, name: str = "qemu-aarch64") -> Path:
    path = host.binfmt / name
    path.write_text(entry)
    return path


# Entries of the kernel's registry.


def test_an_entry_is_read() -> None:
    handler = parse_entry("qemu-aarch64", ARM64_ENTRY)

    assert handler is not None
    assert handler.name == "qemu-aarch64"
    assert handler.enabled
    assert handler.interpreter == "/usr/libexec/qemu-binfmt/aarch64-binfmt-P"
    assert handler.flags == "POF"
    assert handler.fixed
    assert handler.claim.covers(executable(ARM64))
    assert not handler.claim.covers(executable(RISCV64))


def test_a_disabled_entry_without_flags_is_read() -> None:
    handler = parse_entry("x", "disabled\ninterpreter /x\nflags: \noffset 4\nmagic 6162\n")

    assert handler is not None
    assert not handler.enabled
    assert not handler.fixed
    assert handler.claim == Claim(magic=b"ab", offset=4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "enabled\n",
        "enabled\ninterpreter /bin/sh\nflags: \nextension .foo\n",
        "enabled\ninterpreter /bin/sh\nmagic zz\n",
        "perhaps\ninterpreter /bin/sh\nmagic 00\n",
    ],
)
def test_an_entry_that_goes_by_no_magic_is_none(text: str) -> None:
    assert parse_entry("x", text) is None


def test_a_claim_compares_only_the_bits_of_its_mask() -> None:
    claim = Claim(magic=b"\xf0\x00", mask=b"\xf0\x00", offset=1)

    assert claim.covers(b"?\xff\x12")
    assert not claim.covers(b"?\x0f\x12")
    assert not claim.covers(b"?\xff")


def test_a_claim_without_magic_covers_nothing() -> None:
    assert not Claim(magic=b"").covers(b"anything")


# Lines of binfmt.d.


def test_a_line_as_shipped_is_written_as_it_is() -> None:
    (registration,) = parse_registrations(f"# a comment\n\n{ARM64_LINE}\n; another\n")

    assert registration.name == "qemu-aarch64"
    assert registration.interpreter == "/usr/libexec/qemu-binfmt/aarch64-binfmt-P"
    assert registration.line() == ARM64_LINE
    assert registration.claim.covers(executable(ARM64))


def test_a_line_without_the_flag_f_gets_it() -> None:
    (registration,) = parse_registrations(RISCV64_LINE)

    assert registration.line() == f"{RISCV64_LINE}F"


def test_a_line_may_use_any_delimiter() -> None:
    (registration,) = parse_registrations(r",x,M,2,\x2c:,,/x,")

    assert registration.claim == Claim(magic=b",:", offset=2)
    assert registration.line() == r",x,M,2,\x2c:,,/x,F"


@pytest.mark.parametrize(
    "line",
    [
        ":python:E::py::/usr/bin/python3:",
        ":short:M::ab:/x:",
        ":no-interpreter:M::ab:::",
        ":odd-offset:M:x:ab::/x:",
        r":mask-too-short:M::\x01\x02:\xff:/x:",
        "::M::ab::/x:",
    ],
)
def test_a_line_that_the_kernel_would_refuse_or_that_goes_by_extension_is_left_out(
    line: str,
) -> None:
    assert parse_registrations(f"{line}\n{ARM64_LINE}") == parse_registrations(ARM64_LINE)


# What it means for a host.


def test_the_own_architecture_is_native_without_any_registry(tmp_path: Path) -> None:
    nowhere = Host(machine="x86_64", root=False, binfmt=tmp_path / "none", configuration=())

    (emulator,) = survey([parse("amd64")], nowhere)

    assert emulator.state is State.NATIVE
    assert emulator.usable
    assert emulator.fix is None


def test_a_registered_emulator_is_found_under_any_name(host: Host) -> None:
    registered(host, name="something-else")

    (emulator,) = survey([ARM64], host)

    assert emulator.state is State.EMULATED
    assert emulator.handler is not None
    assert emulator.handler.name == "something-else"


def test_an_emulator_without_the_flag_f_is_of_no_use_to_containers(host: Host) -> None:
    registered(host, ARM64_ENTRY.replace("POF", "PO"))

    (emulator,) = survey([ARM64], host)

    assert emulator.state is State.NOT_FIXED
    assert not emulator.usable


def test_a_disabled_emulator_is_told_from_a_missing_one(host: Host) -> None:
    registered(host, ARM64_ENTRY.replace("enabled", "disabled"))

    states = [emulator.state for emulator in survey([ARM64, RISCV64], host)]

    assert states == [State.DISABLED, State.MISSING]


def test_a_registry_that_is_switched_off_disables_every_emulator(host: Host) -> None:
    registered(host)
    (host.binfmt / "status").write_text("disabled\n")

    (emulator,) = survey([ARM64], host)

    assert emulator.state is State.DISABLED


def test_a_working_emulator_counts_more_than_a_disabled_one(host: Host) -> None:
    registered(host, ARM64_ENTRY.replace("enabled", "disabled"), name="a")
    registered(host, name="b")

    (emulator,) = survey([ARM64], host)

    assert emulator.state is State.EMULATED


def test_a_registry_that_is_not_mounted_is_empty(tmp_path: Path) -> None:
    registry = read_registry(tmp_path)

    assert (registry.mounted, registry.running, registry.handlers) == (False, False, ())


def test_an_unknown_host_is_refused(host: Host) -> None:
    with pytest.raises(EngineUnavailable, match="vax"):
        survey([ARM64], Host(machine="vax", root=True, binfmt=host.binfmt))


# What to do about it.


def test_without_its_package_the_fix_names_the_package(host: Host) -> None:
    (emulator,) = survey([RISCV64], host)

    assert emulator.fix == (
        "install the emulators with `apt-get install qemu-user-static`, "
        "then run `barasync arch setup riscv64`"
    )


def test_with_its_package_the_fix_is_one_command(host: Host) -> None:
    (emulator,) = survey([RISCV64], with_packages(host))

    assert emulator.fix == "run `barasync arch setup riscv64`"


def test_an_ordinary_user_is_told_to_use_sudo(host: Host) -> None:
    user = Host(
        machine="x86_64",
        root=False,
        binfmt=host.binfmt,
        configuration=(),
        os_release=host.os_release,
    )

    (emulator,) = survey([RISCV64], user)

    assert emulator.fix == (
        "install the emulators with `sudo apt-get install qemu-user-static`, "
        "then run `sudo barasync arch setup riscv64`"
    )


def test_required_emulators_that_are_missing_are_named_with_the_reason(host: Host) -> None:
    registered(host, ARM64_ENTRY.replace("POF", "PO"))

    with pytest.raises(EngineUnavailable) as caught:
        require([parse("amd64"), ARM64, RISCV64], host)

    assert str(caught.value) == (
        "this host cannot run linux/arm64 (its emulator is registered without the flag F, "
        "so that containers do not find it), linux/riscv64 (no emulator is registered)"
    )
    assert caught.value.hint is not None
    assert "qemu-user-static" in caught.value.hint
    assert "barasync arch setup arm64 riscv64" in caught.value.hint


def test_required_emulators_that_are_there_pass(host: Host) -> None:
    registered(host)

    require([parse("amd64"), ARM64], host)


@pytest.mark.parametrize(
    ("os_release", "command"),
    [
        (DEBIAN, "apt-get install qemu-user-static"),
        ("ID=ubuntu\nID_LIKE=debian\n", "apt-get install qemu-user-static"),
        ('NAME="Fedora Linux"\nID=fedora\n', "dnf install qemu-user-static"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "zypper install qemu-linux-user"),
        ("ID=plan9\n", None),
        ("", None),
    ],
)
def test_the_command_is_that_of_the_distribution(os_release: str, command: str | None) -> None:
    assert install_command(Tool.EMULATORS, os_release) == command


def test_a_distribution_without_the_package_has_no_command() -> None:
    assert install_command(Tool.MMDEBSTRAP, "ID=arch\n") is None


@pytest.mark.parametrize(
    ("os_release", "command"),
    [
        ("ID=debian\nVERSION_ID=12\n", None),
        ("ID=debian\nVERSION_ID=13\n", "apt-get install ubuntu-archive-keyring"),
        ("ID=debian\n", "apt-get install ubuntu-archive-keyring"),
        ("ID=mint\nID_LIKE=debian\nVERSION_ID=6\n", "apt-get install ubuntu-archive-keyring"),
    ],
)
def test_no_package_is_named_that_the_release_does_not_have(
    os_release: str, command: str | None
) -> None:
    assert install_command(Tool.UBUNTU_KEYRING, os_release) == command


def test_an_os_release_file_is_read_as_shell_assignments() -> None:
    text = '# comment\nID=debian\nPRETTY_NAME=\'A "B"\'\nBROKEN="\n\nnot an assignment\nA-B=1\n'

    assert parse_os_release(text) == {"ID": "debian", "PRETTY_NAME": 'A "B"'}


# Registering.


def test_a_missing_emulator_is_registered_as_shipped(host: Host) -> None:
    done = setup([ARM64], with_packages(host))

    assert (host.binfmt / "register").read_text() == ARM64_LINE
    assert done == ("arm64: registered /usr/libexec/qemu-binfmt/aarch64-binfmt-P",)


def test_an_emulator_is_registered_with_the_flag_f_even_if_shipped_without(host: Host) -> None:
    setup([RISCV64], with_packages(host))

    assert (host.binfmt / "register").read_text() == f"{RISCV64_LINE}F"


def test_what_is_in_order_is_left_alone(host: Host) -> None:
    registered(host)

    done = setup([parse("amd64"), ARM64], host)

    assert (host.binfmt / "register").read_text() == ""
    assert done == (
        "amd64: runs natively",
        "arm64: /usr/libexec/qemu-binfmt/aarch64-binfmt-P is registered already",
    )


def test_what_is_in_order_takes_no_root(host: Host) -> None:
    registered(host)

    setup([ARM64], Host(machine="x86_64", root=False, binfmt=host.binfmt, configuration=()))

    assert (host.binfmt / "register").read_text() == ""


def test_a_disabled_emulator_is_enabled(host: Host) -> None:
    entry = registered(host, ARM64_ENTRY.replace("enabled", "disabled"))

    done = setup([ARM64], host)

    assert entry.read_text() == "1"
    assert done == ("arm64: enabled /usr/libexec/qemu-binfmt/aarch64-binfmt-P",)


def test_an_emulator_without_the_flag_f_is_replaced(host: Host) -> None:
    entry = registered(host, ARM64_ENTRY.replace("POF", "PO"))

    setup([ARM64], with_packages(host))

    assert entry.read_text() == "-1"
    assert (host.binfmt / "register").read_text() == ARM64_LINE


def test_a_registry_that_is_switched_off_is_switched_on(host: Host) -> None:
    (host.binfmt / "status").write_text("disabled\n")

    done = setup([ARM64], with_packages(host))

    assert (host.binfmt / "status").read_text() == "1"
    assert done[0] == "switched binfmt_misc on"


def test_the_administrators_file_hides_that_of_the_package(host: Host) -> None:
    etc = host.configuration[0]
    etc.mkdir()
    own = ARM64_LINE.replace("aarch64-binfmt-P", "own")
    (etc / "qemu-aarch64.conf").write_text(own)

    setup([ARM64], with_packages(host))

    assert (host.binfmt / "register").read_text() == own


def test_registering_takes_root_and_says_the_exact_command(host: Host) -> None:
    user = Host(machine="x86_64", root=False, binfmt=host.binfmt, configuration=host.configuration)

    with pytest.raises(EngineUnavailable, match="takes root") as caught:
        setup([ARM64, RISCV64], with_packages(user))

    assert caught.value.hint == "run `sudo barasync arch setup arm64 riscv64`"
    assert (host.binfmt / "register").read_text() == ""


def test_without_a_package_nothing_is_registered_and_the_package_is_named(host: Host) -> None:
    with_packages(host)

    with pytest.raises(EngineUnavailable, match="brings an emulator for linux/s390x") as caught:
        setup([ARM64, S390X], host)

    assert caught.value.hint is not None
    assert "apt-get install qemu-user-static" in caught.value.hint
    assert (host.binfmt / "register").read_text() == ""


def test_what_the_kernel_refuses_is_an_error_with_its_reason(host: Host) -> None:
    (host.binfmt / "register").unlink()
    (host.binfmt / "register").mkdir()

    with pytest.raises(EngineUnavailable, match=r"refuses ':qemu-aarch64:.*Is a directory"):
        setup([ARM64], with_packages(host))


def test_a_registry_that_cannot_be_mounted_is_an_error_with_the_reason(
    tmp_path: Path, host: Host
) -> None:
    nowhere = Host(
        machine="x86_64",
        root=True,
        binfmt=tmp_path / "does-not-exist",
        configuration=with_packages(host).configuration,
    )

    with pytest.raises(
        EngineUnavailable, match=r"binfmt_misc cannot be mounted on .*does-not-exist: "
    ):
        setup([ARM64], nowhere)


# What a failed probe means.


def test_a_program_that_cannot_be_executed_means_that_there_is_no_emulator() -> None:
    said = '{"msg":"exec container process `/probe`: Exec format error","level":"error"}'

    assert explain(RISCV64, 1, said) == (
        "the machine of the podman service has no emulator for linux/riscv64"
    )
    assert explain(RISCV64, None, "runc: exec /probe: exec format error") == explain(
        RISCV64, 1, said
    )


def test_another_end_of_a_probe_is_told_with_what_was_printed() -> None:
    assert explain(RISCV64, 139, "qemu: uncaught\n target signal\n") == (
        "the program ended with 139 and not with 42: qemu: uncaught target signal"
    )
    assert explain(RISCV64, 0, "") == "the program ended with 0 and not with 42"
    assert explain(RISCV64, None, "no space") == "podman could not start the container: no space"
