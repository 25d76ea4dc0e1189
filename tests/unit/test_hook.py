"""The program of the OCI hook: what it does with a container's state, and where it says why not."""

from __future__ import annotations

import json
import os
import re
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from barasync.networks import hook
from barasync.networks.hook import check_alone, main
from barasync.networks.hook_container import HookError, State
from barasync.networks.hook_files import HookFiles, install
from barasync.networks.namespace import NamespaceError
from tests.fake.kernel import Kernel
from tests.unit.hook_bundles import ID, bundle


def test_a_network_in_which_somebody_lives_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for pid, target in {"7": "own", "8": "host", "9": "own"}.items():
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns/net").symlink_to(tmp_path / target)
    for target in ("own", "host"):
        (tmp_path / target).touch()
    (tmp_path / "10").mkdir()
    monkeypatch.setattr(hook, "_PROC", tmp_path)

    check_alone(State(id=ID, pid=8, bundle="/"))
    with pytest.raises(HookError, match="the process 9 is in its network already"):
        check_alone(State(id=ID, pid=7, bundle="/"))


@pytest.fixture
def files(tmp_path: Path) -> HookFiles:
    files = HookFiles(tmp_path / "hooks.d")
    install(files, python=sys.executable, log=tmp_path / "log", tables={})
    return files


def run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: HookFiles, *, told: bytes, config: bytes
) -> tuple[int, str]:
    """Run the program for a container; return its exit code and what is in its log."""
    (tmp_path / "config.json").write_bytes(config)
    (tmp_path / "told").write_bytes(told)
    logs = [str(tmp_path / "absent/log"), str(tmp_path / "log")]
    with (tmp_path / "told").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "argv", ["hook", str(files.policies), *logs])
        code = main()
    log = tmp_path / "log"
    return code, log.read_text() if log.exists() else ""


def state(directory: Path) -> bytes:
    return json.dumps(
        {"ociVersion": "1.0", "id": ID, "pid": os.getpid(), "bundle": str(directory)}
    ).encode()


def test_rules_that_are_not_in_force_after_loading_keep_the_container_from_its_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: HookFiles
) -> None:
    kernel = Kernel(loses="ct state established accept")
    monkeypatch.setattr(hook, "enter", kernel.enter)
    # This process lives in the network of this host.
    monkeypatch.setattr(hook, "check_alone", lambda _state: None)
    code, log = run(monkeypatch, tmp_path, files, told=state(tmp_path), config=bundle())

    assert kernel.entered == [ID]
    assert len(kernel.loaded) == 1
    assert code != 0
    assert "container 0123456789ab start: the rules are not as they were loaded" in log


def test_other_containers_of_its_network_are_no_internet_whatever_their_addresses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: HookFiles
) -> None:
    kernel = Kernel()
    monkeypatch.setattr(hook, "enter", kernel.enter)
    monkeypatch.setattr(hook, "check_alone", lambda _state: None)
    monkeypatch.setattr(hook, "parse_links", lambda *_: [ip_network("203.0.113.0/24")])
    monkeypatch.setattr(hook, "parse_served", lambda *_: [ip_address("203.0.113.1")])
    monkeypatch.setattr(hook, "_NAMES", tmp_path / "names")
    (tmp_path / "names").mkdir()
    (tmp_path / "names/shop").touch()
    code, _ = run(
        monkeypatch, tmp_path, files, told=state(tmp_path), config=bundle(policy="public")
    )

    assert code == 0
    (loaded,) = kernel.loaded
    denied = re.findall(r"set base_deny_ip \{[^}]*elements = \{([^}]*)", loaded)
    assert "203.0.113.0/24" in denied[0]


def test_a_namespace_that_cannot_be_entered_keeps_the_container_from_its_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: HookFiles
) -> None:
    kernel = Kernel({"enter": NamespaceError("nft is not installed", hint="install it")})
    monkeypatch.setattr(hook, "enter", kernel.enter)
    code, log = run(monkeypatch, tmp_path, files, told=state(tmp_path), config=bundle())

    assert code != 0
    assert "nft is not installed; install it" in log


@pytest.mark.parametrize("told", [b"", b"{}", b"[1]", b'{"id":"x","pid":"1","bundle":"/"}'])
def test_a_state_that_is_not_understood_keeps_the_container_from_its_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: HookFiles, told: bytes
) -> None:
    code, log = run(monkeypatch, tmp_path, files, told=told, config=bundle())

    assert code != 0
    assert "nothing of the container that is known" in log


def test_a_defect_keeps_the_container_from_its_start_and_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: HookFiles
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(hook, "apply", broken)
    code, log = run(monkeypatch, tmp_path, files, told=state(tmp_path), config=bundle())

    assert code == 70
    assert "a defect of barasync: RuntimeError: no such luck" in log


def test_policies_that_are_gone_keep_the_container_from_its_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: HookFiles
) -> None:
    files.policies.unlink()

    code, log = run(monkeypatch, tmp_path, files, told=state(tmp_path), config=bundle())

    assert code != 0
    assert "install-hook` writes it anew" in log


def test_the_log_is_private_has_a_line_each_and_does_not_grow_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: HookFiles
) -> None:
    bad = bundle(policy="a\nb\x1b[31m")
    (tmp_path / "log").write_text("x" * 300_000)

    _, log = run(monkeypatch, tmp_path, files, told=state(tmp_path), config=bad)
    _, log = run(monkeypatch, tmp_path, files, told=state(tmp_path), config=bad)

    assert len(log.splitlines()) == 2
    assert "\x1b" not in log
