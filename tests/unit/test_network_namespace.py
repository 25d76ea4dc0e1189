"""Whose network namespace it is, and what becomes of programs that fail in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from barasync.networks.bundle import open_bundle
from barasync.networks.namespace import (
    Held,
    Namespace,
    NamespaceError,
    enter,
    is_of_container,
)

pytestmark = pytest.mark.anyio

ID = "0123456789abcdef" * 4


def process(proc: Path, pid: int, *, cgroup: str, parent: int = 7) -> None:
    directory = proc / str(pid)
    directory.mkdir()
    (directory / "cgroup").write_text(cgroup)
    (directory / "stat").write_text(f"{pid} (3) a ) S {parent} {pid} {pid} 0 -1 4194560")


def monitor(proc: Path, pid: int, *arguments: str) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "cmdline").write_bytes(b"".join(f"{a}\0".encode() for a in arguments))


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/../../barasync-run/cell/libpod-{ID}\n",
        f"9:pids:/libpod_parent/libpod-{ID}\n8:cpu:/\n",
        f"0::/machine.slice/libpod-{ID}.scope/container\n",
    ],
)
def test_a_cgroup_that_names_the_container_is_proof(tmp_path: Path, cgroup: str) -> None:
    process(tmp_path, 42, cgroup=cgroup)

    assert is_of_container(tmp_path, 42, ID)
    assert not is_of_container(tmp_path, 42, ID[::-1])


def test_without_cgroups_a_monitor_of_the_container_is_proof(tmp_path: Path) -> None:
    process(tmp_path, 42, cgroup="0::/user.slice/session-1.scope\n")
    monitor(tmp_path, 7, "/usr/bin/conmon", "-c", ID, "-u", ID)

    assert is_of_container(tmp_path, 42, ID)
    assert not is_of_container(tmp_path, 42, ID[::-1])


def test_nothing_else_is_proof(tmp_path: Path) -> None:
    process(tmp_path, 42, cgroup="0::/\n")
    process(tmp_path, 43, cgroup="0::/\n", parent=8)
    monitor(tmp_path, 7, "/bin/sh", f"--x={ID}")

    assert not is_of_container(tmp_path, 42, ID)
    assert not is_of_container(tmp_path, 43, ID)
    assert not is_of_container(tmp_path, 44, ID)


def test_a_container_that_is_made_anew_is_known_by_its_bundle(tmp_path: Path) -> None:
    proc, bundle = tmp_path / "proc", tmp_path / "bundle"
    proc.mkdir()
    bundle.mkdir()
    process(proc, 42, cgroup="0::/\n")
    monitor(proc, 7, "/usr/bin/conmon", "-c", ID, "-b", str(bundle), "-p", "pidfile")
    (proc / "7/root").symlink_to("/")
    (bundle / "config.json").write_text("{}")
    opened = open_bundle(proc, 42)
    assert opened is not None
    try:
        assert opened.unchanged()

        (bundle / "config.json").unlink()
        assert not opened.unchanged()
        (bundle / "config.json").write_text("{}")
        assert not opened.unchanged()
    finally:
        opened.close()


def test_without_a_bundle_nothing_is_proven(tmp_path: Path) -> None:
    process(tmp_path, 42, cgroup="0::/\n")
    monitor(tmp_path, 7, "/bin/sh")

    assert open_bundle(tmp_path, 42) is None
    assert not Namespace("nsenter", "nft", Held(-1, -1)).unchanged()


async def refusal(pid: int) -> NamespaceError:
    with pytest.raises(NamespaceError) as caught:
        async with enter(pid, ID):
            pass
    return caught.value


async def test_a_process_that_cannot_be_seen_has_no_namespace_to_enter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs(monkeypatch, "nsenter", "nft")
    error = await refusal(2**30)

    assert "no process 1073741824 can be seen from here" in str(error)
    assert "on this machine" in str(error.hint)


async def test_a_process_that_is_not_known_to_be_the_containers_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs(monkeypatch, "nsenter", "nft")
    before = descriptors()

    error = await refusal(os.getpid())

    assert f"process {os.getpid()} is not known to be the container's" in str(error)
    assert descriptors() == before


async def test_the_namespace_of_this_process_is_not_entered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs(monkeypatch, "nsenter", "nft")
    monkeypatch.setattr("barasync.networks.namespace.is_of_container", lambda *_: True)
    before = descriptors()

    assert "it is that of the host" in str(await refusal(os.getpid()))
    assert descriptors() == before


@pytest.mark.parametrize(
    ("present", "missing", "package"), [("nsenter", "nft", "nftables"), ("nft", "nsenter", "util-")]
)
async def test_a_program_that_is_missing_is_named_with_its_package(
    present: str, missing: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(monkeypatch, present)

    error = await refusal(os.getpid())

    assert str(error).startswith(f"{missing} is not installed")
    assert f"install the package {package}" in str(error.hint)


async def test_a_program_is_found_where_only_root_looks_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("nsenter", "nft"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("barasync.networks.namespace._SBIN", str(tmp_path))

    assert "no process" in str(await refusal(2**30))


Entered = Callable[[str], Namespace]


@pytest.fixture
def entered(tmp_path: Path) -> Iterator[Entered]:
    """Make a namespace whose nsenter is a script; its arguments are those from nft on."""

    def make(script: str) -> Namespace:
        nsenter = tmp_path / "nsenter"
        nsenter.write_text(f"#!/bin/sh\nshift\n{script}\n")
        nsenter.chmod(0o755)
        return Namespace(str(nsenter), "nft", Held(held, held))

    held = os.open("/dev/null", os.O_RDONLY)
    yield make
    os.close(held)


async def test_what_nft_refuses_is_told_in_one_line(entered: Entered) -> None:
    namespace = entered('echo "Error: no"; cat >&2; exit 1')

    with pytest.raises(NamespaceError) as caught:
        await namespace.load("bad\nrule")

    assert str(caught.value) == "the rules could not be loaded: bad rule"


async def test_a_failure_without_a_word_is_told_by_its_exit_code(entered: Entered) -> None:
    namespace = entered("exit 3")

    with pytest.raises(NamespaceError) as caught:
        await namespace.listing()

    assert str(caught.value) == "the rules cannot be read: nft ended with 3"


async def test_whoever_may_not_enter_hears_who_may(entered: Entered) -> None:
    script = 'echo "nsenter: reassociate to namespace: Operation not permitted" >&2; exit 1'
    namespace = entered(script)

    with pytest.raises(NamespaceError) as caught:
        await namespace.listing()

    assert "takes root" in str(caught.value.hint)


@pytest.mark.parametrize(
    "said",
    [
        "/dev/stdin:1:1-22: Error: Could not process rule: Operation not supported",
        "/dev/stdin:9:9-44: Error: Could not process rule: No such file or directory",
        "netlink: Error: cache initialization failed: Protocol not supported",
    ],
)
async def test_rules_that_the_kernel_does_not_know_are_told_with_what_it_lacks(
    entered: Entered, said: str
) -> None:
    namespace = entered(f'cat >/dev/null; echo "{said}" >&2; exit 1')

    with pytest.raises(NamespaceError) as caught:
        await namespace.load("table inet x {}")

    assert "nf_tables" in str(caught.value.hint)


async def test_an_nft_that_does_not_end_is_given_up(
    entered: Entered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.networks.namespace._SECONDS", 0.05)
    namespace = entered("exec sleep 1000")

    with pytest.raises(NamespaceError) as caught:
        await namespace.load("")

    assert str(caught.value) == "the rules could not be loaded: nft did not end within 0.05 s"


async def test_a_program_that_cannot_be_executed_is_named(entered: Entered, tmp_path: Path) -> None:
    namespace = entered("")
    (tmp_path / "nsenter").unlink()

    with pytest.raises(NamespaceError) as caught:
        await namespace.load("")

    assert f"{tmp_path}/nsenter: No such file" in str(caught.value)


async def test_what_is_loaded_and_listed_passes_through_whole(entered: Entered) -> None:
    namespace = entered('cat; echo "$@"')

    await namespace.load("add table inet x")

    assert await namespace.listing() == b"nft -j list table inet barasync\n"


async def test_a_listing_without_end_is_not_kept(
    entered: Entered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.networks.namespace.LONGEST", 1000)
    namespace = entered("head -c 1000000 /dev/zero")

    # One byte more than what is taken for a listing.
    assert len(await namespace.listing()) == 1001


async def test_of_what_a_failing_nft_says_the_beginning_is_kept(entered: Entered) -> None:
    namespace = entered("head -c 1000000 /dev/zero | tr '\\000' x >&2; exit 1")

    with pytest.raises(NamespaceError) as caught:
        await namespace.load("")

    assert str(caught.value).startswith("the rules could not be loaded: xxxx")
    assert len(str(caught.value)) < 400


async def test_an_nft_that_does_not_read_its_rules_has_failed_as_it_says(entered: Entered) -> None:
    namespace = entered("exec <&-; exit 3")

    with pytest.raises(NamespaceError, match="nft ended with 3"):
        await namespace.load("x" * 1_000_000)


def programs(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have these programs only, whatever there is on this machine."""
    found = {name: f"/usr/bin/{name}" for name in names}
    monkeypatch.setattr("shutil.which", lambda name, path=None: found.get(name))  # noqa: ARG005


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir() if path.exists()}
