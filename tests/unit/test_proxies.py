"""Which proxies are passed on, and how a script gets them."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from barasync.aiopodman import Podman
from barasync.artifacts.place import Place
from barasync.config.policies import PRESETS
from barasync.config.schema import WorkspaceMode
from barasync.engine.job import Job, Session, container_spec
from barasync.engine.networks import CellNetwork
from barasync.images.proxies import proxies_of, with_proxies
from tests.unit.world import cell

QUOTED = """http://user:it's "$HOME"@proxy:3128"""


def executed(script: str, proxies: dict[str, str]) -> tuple[int, str]:
    ended = subprocess.run(
        ["/bin/sh", *with_proxies(script, proxies)],
        env={"PATH": "/usr/bin:/bin", "KEPT": "kept"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout


def test_the_variables_that_podman_passes_are_taken_and_no_others() -> None:
    environ = {
        "http_proxy": "http://a:1",
        "HTTPS_PROXY": "http://b:2",
        "no_proxy": "localhost,.example",
        "FTP_PROXY": "",
        "all_proxy": "socks5://c",
        "https_proxy": "not\nmeant",
        "PATH": "/bin",
    }

    assert proxies_of(environ) == {
        "http_proxy": "http://a:1",
        "HTTPS_PROXY": "http://b:2",
        "no_proxy": "localhost,.example",
    }


def test_a_script_sees_them_as_they_are_beside_its_environment() -> None:
    proxies = {"http_proxy": QUOTED, "NO_PROXY": "*.a b"}

    said = executed('printf "%s\\n" "$http_proxy" "$NO_PROXY" "$KEPT"', proxies)

    assert said == (0, f"{QUOTED}\n*.a b\nkept\n")


@pytest.mark.parametrize("proxies", [{}, {"http_proxy": QUOTED}], ids=["without", "with"])
def test_a_script_is_executed_alike_with_and_without_them(proxies: dict[str, str]) -> None:
    script = 'echo "$0" $#; set -e\necho one\nfalse\necho never'

    assert executed(script, proxies) == (1, "/bin/sh 0\none\n")


@pytest.mark.parametrize(
    ("network", "seen"),
    [
        ("bridge", {"http_proxy": "http://a", "no_proxy": "own"}),
        ("none", {"no_proxy": "own"}),
        # Under a policy those of its network count.
        ("public", {"https_proxy": "http://c", "no_proxy": "own"}),
    ],
)
def test_a_cell_has_them_where_it_may_and_does_not_set_them_itself(
    network: str, seen: dict[str, str]
) -> None:
    planned = cell("a", network=network, workspace=WorkspaceMode.NONE)
    job = Job(
        cell=replace(planned, policy=PRESETS.get(network)),
        number=1,
        image="image",
        command=("tests",),
        environment={"no_proxy": "own"},
        artifacts=Place(-1, Path("/nonexistent")),
        network=CellNetwork(proxies={"https_proxy": "http://c"}),
    )
    session = Session(
        podman=cast("Podman", None),
        run="run1",
        labels={},
        project=Path("/nonexistent"),
        cgroup=None,
        rlimits=(),
        clock=time.monotonic,
        proxies={"http_proxy": "http://a", "no_proxy": "b"},
    )

    assert container_spec(job, session).env == seen
