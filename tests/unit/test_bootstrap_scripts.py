"""What the scripts that mmdebstrap runs do to a root directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from barasync.images import bootstrap

SCRIPTS = Path(bootstrap.__file__).parent


def script(
    name: str, root: Path | str, *, keyring: Path | str = "", place: Path | str = ""
) -> subprocess.CompletedProcess[str]:
    text = f"keyring='{keyring}' place='{place}'\n{(SCRIPTS / f'{name}.sh').read_text()}"
    argv = ["sh", "-c", text, "exec", str(root)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def plant(root: Path, *paths: str, text: str = "") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text or path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root directory into which packages can be unpacked."""
    directory = tmp_path / "root"
    directory.mkdir()
    ended = script("prepare", directory)
    assert (ended.returncode, ended.stderr) == (0, "")
    return directory


def finished(root: Path) -> Path:
    for name in ("finish", "tidy"):
        ended = script(name, root)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    return root


def test_files_of_old_packages_land_in_usr(root: Path) -> None:
    plant(root, "bin/bash", "lib/x.so", "sbin/y")

    assert (root / "usr/bin/bash").read_text() == "bin/bash"
    assert (root / "bin").readlink() == Path("usr/bin")


def test_an_empty_root_becomes_one_with_the_usual_directories(root: Path) -> None:
    finished(root)

    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "var/tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "var/run").readlink() == Path("/run")
    assert (root / "var/lock").readlink() == Path("/run/lock")
    assert (root / "usr/local/bin").is_dir()


def test_users_and_groups_are_those_of_base_passwd(root: Path) -> None:
    plant(root, "usr/share/base-passwd/passwd.master", text="root:*:0:0:root:/root:/bin/bash\n")
    plant(
        root,
        "usr/share/base-passwd/group.master",
        text="root:*:0:\n",
    )
    (root / "etc").mkdir()

    finished(root)

    assert (root / "etc/passwd").read_text().startswith("root:")
    assert (root / "etc/group").read_text().startswith("root:")


def test_names_of_alternatives_are_given_to_the_first_that_is_there(root: Path) -> None:
    plant(root, *(f"usr/bin/{name}" for name in ("dash", "mawk", "gcc", "which.debianutils")))
    plant(root, "usr/bin/automake-1.17")

    finished(root)

    links = ("sh", "awk", "nawk", "cc", "which", "automake")
    assert [str((root / "usr/bin" / link).readlink()) for link in links] == [
        *("dash", "mawk", "mawk", "gcc", "which.debianutils", "automake-1.17"),
    ]
    assert not (root / "usr/bin/c++").is_symlink()


def test_gawk_goes_before_mawk_and_what_a_package_brings_before_both(root: Path) -> None:
    plant(root, "usr/bin/gawk", "usr/bin/mawk", "usr/bin/nawk", "usr/bin/gcc")
    (root / "usr/bin/cc").symlink_to("nowhere")

    finished(root)

    assert (root / "usr/bin/awk").readlink() == Path("gawk")
    assert (root / "usr/bin/nawk").read_text() == "usr/bin/nawk"
    assert (root / "usr/bin/cc").readlink() == Path("nowhere")


def test_certificates_become_one_bundle(root: Path) -> None:
    plant(root, "usr/share/ca-certificates/mozilla/a.crt", text="A\n")
    plant(root, "usr/share/ca-certificates/mozilla/b.crt", text="B\n")

    finished(root)

    bundle = (root / "etc/ssl/certs/ca-certificates.crt").read_text()
    assert sorted(bundle.splitlines()) == ["A", "B"]


def test_nothing_of_the_host_stays_and_no_manuals_but_the_copyrights(root: Path) -> None:
    plant(root, "etc/hostname", "etc/resolv.conf", "usr/share/man/man1/a.1")
    plant(root, "usr/share/locale/de/x.mo", "usr/share/doc/a/copyright", "usr/share/doc/a/NEWS")
    plant(root, "usr/share/doc/b/README")
    (root / "usr/share/doc/c").mkdir()
    (root / "usr/share/doc/c/copyright").symlink_to("../a/copyright")

    finished(root)

    left = sorted(str(path.relative_to(root)) for path in (root / "usr/share").rglob("*"))
    assert left == [
        *("usr/share/doc", "usr/share/doc/a", "usr/share/doc/a/copyright", "usr/share/doc/c"),
        "usr/share/doc/c/copyright",
    ]
    assert not (root / "etc/hostname").exists()
    assert not (root / "etc/resolv.conf").exists()


def test_what_ran_leaves_nothing_in_run_but_the_directory_of_locks(root: Path) -> None:
    plant(root, "run/systemd/x", "run/y")

    finished(root)

    assert [path.name for path in (root / "run").rglob("*")] == ["lock"]
    assert (root / "run/lock").stat().st_mode & 0o7777 == 0o1777


def test_packages_that_are_installed_start_no_services(root: Path) -> None:
    assert script("policy", root).returncode == 0

    ended = subprocess.run([root / "usr/sbin/policy-rc.d", "x", "start"], check=False)

    assert ended.returncode == 101  # what invoke-rc.d takes for "not allowed"


def test_the_keyring_comes_along_and_apt_in_the_image_is_told_where(
    root: Path, tmp_path: Path
) -> None:
    keyring = tmp_path / "own.gpg"
    keyring.write_text("keys")
    plant(root, "etc/apt/sources.list", text=f"deb [signed-by={keyring}] http://a/b trixie main\n")

    assert script("keyring", root, keyring=keyring, place="/my/own.gpg").returncode == 0

    assert (root / "etc/apt/keyrings/own.gpg").read_text() == "keys"
    assert (root / "etc/apt/sources.list").read_text() == (
        "deb [signed-by=/etc/apt/keyrings/own.gpg] http://a/b trixie main\n"
    )


def test_a_keyring_that_a_package_brings_stays_where_it_is(root: Path, tmp_path: Path) -> None:
    keyring = tmp_path / "own.gpg"
    keyring.write_text("keys")
    plant(root, "usr/share/keyrings/own.gpg")
    plant(root, "etc/apt/sources.list", text=f"deb [signed-by={keyring}] http://a/b trixie main\n")

    place = "/usr/share/keyrings/own.gpg"
    assert script("keyring", root, keyring=keyring, place=place).returncode == 0

    assert not (root / "etc/apt/keyrings").exists()
    assert f"[signed-by={place}]" in (root / "etc/apt/sources.list").read_text()


@pytest.mark.parametrize("name", ["prepare", "policy", "finish", "keyring", "tidy"])
def test_without_a_root_directory_a_script_touches_nothing(name: str) -> None:
    assert script(name, "").returncode != 0
