"""The tests of effect of Bar.d: each file of them on each podman, through the real barasync.

What a file's text mentions is made for it: see `_made`. tests/bar/test_bats.py runs the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from barasync.images.emulation import Host
from barasync.matrix.platforms import native, parse
from tests.contract.emulators import lent
from tests.rig import bar_images, bats, probe
from tests.rig.busybox import native_architecture
from tests.rig.internet import asked_for_names, internet
from tests.rig.services import RigService

FOREIGN = ("amd64", "arm64", "riscv64")


@contextmanager
def _made(text: str, service: RigService) -> Iterator[dict[str, str]]:
    """Make what the tests in a file use, and give the variables in which they find it.

    BUSYBOX, BASH_IMAGE: images of the native architecture, NATIVE. BUSYBOX_ARM64 and so on: of
    another one, whose emulator is there. DEBIAN_IMAGE: with apt. PUBLIC_HOST, PUBLIC_HOST_6,
    PRIVATE_HOST: addresses that answer on ports 53, 80, 443 and 8080, and NAMED_HOST, the name of
    the first, which NAME_SERVER knows. PROBE_IMAGE: with PROBE, tries what the last word says.
    """
    socket_path = service.endpoint.socket_path
    service.busybox(native_architecture())
    given = {
        "CONTAINER_HOST": service.endpoint.url,
        "SERVICE_VERSION": service.version,
        "NATIVE": native_architecture(),
        "BUSYBOX": f"localhost/busybox:{native_architecture()}",
        "BASH_IMAGE": bar_images.make_bash(socket_path),
    }
    with ExitStack() as stack:
        foreign = [each for each in FOREIGN if f"BUSYBOX_{each.upper()}" in text]
        for each in foreign:
            service.busybox(each)
            given[f"BUSYBOX_{each.upper()}"] = f"localhost/busybox:{each}"
        own = native(Host.current().machine)
        stack.enter_context(lent([each for each in map(parse, foreign) if each != own]))
        if "DEBIAN_IMAGE" in text:
            given["DEBIAN_IMAGE"] = bar_images.make_debian(socket_path)
        if "PROBE_IMAGE" in text:
            probe.make_image(socket_path)
            given["PROBE_IMAGE"] = probe.IMAGE
            given["PROBE"] = " ".join((*probe.PYTHON, "/probe.py"))
        if "_HOST" in text.replace("CONTAINER_HOST", ""):
            online = stack.enter_context(internet())
            given["PUBLIC_HOST"], given["PUBLIC_HOST_6"] = online.public[0], online.public[-1]
            given["PRIVATE_HOST"] = online.private[0]
        if "NAMED_HOST" in text:
            # No other name is resolved then, such as that of a mirror of packages.
            online.name({"host.bar.test": [online.public[0]]})
            stack.enter_context(asked_for_names(online, service))
            given["NAMED_HOST"], given["NAME_SERVER"] = "host.bar.test", online.nameserver
        yield given


def _marked(name: str) -> ParameterSet:
    """Mark a file by its name, `…_slow_effect.bats`, and by its text where that needs the host.

    It has the word `whole_host` then, or cleans what runs have left.
    """
    alone = any(words in _text(name) for words in ("whole_host", "barasync clean"))
    whole_host = [pytest.mark.whole_host] if alone else []
    slow = [pytest.mark.slow] if "_slow_" in name else []
    return pytest.param(name, marks=[*whole_host, *slow])


def _text(name: str) -> str:
    return (bats.FILES / name).read_text()


@pytest.mark.timeout(bats.SECONDS)
@pytest.mark.usefixtures("no_image_stays", "no_run_stays")
@pytest.mark.parametrize("name", [_marked(name) for name in bats.files(of_effect=True)])
def test_bar(name: str, service: RigService, tmp_path: Path) -> None:
    with _made(_text(name), service) as given:
        bats.run_file(name, tmp_path, given)
