"""The proxies of who builds: seen by what steps execute, and nowhere else."""

from __future__ import annotations

import pytest

from barasync.config.schema import ImageNetwork
from barasync.images.containerfile import Env
from barasync.images.steps import RunStep, SettingsStep
from tests.faults.building import Site

pytestmark = pytest.mark.anyio


async def test_a_script_sees_the_proxies_and_the_image_does_not(site: Site) -> None:
    proxies = {"http_proxy": "http://user:word@proxy:3128", "no_proxy": "localhost"}
    says = "echo proxies $http_proxy $no_proxy"

    without = await site.build(RunStep(says))
    first = await site.build(RunStep(says), cache=False, proxies=proxies)
    again = await site.build(RunStep(says), proxies={"http_proxy": "http://another"})

    assert site.printed == ["proxies", "proxies http://user:word@proxy:3128 localhost"]
    assert (again.id, again.executed) == (first.id, 0)
    assert site.config(first.id) == site.config(without.id)


async def test_what_the_image_says_of_proxies_counts_and_without_a_network_there_are_none(
    site: Site,
) -> None:
    proxies = {"http_proxy": "http://proxy:3128"}
    says = "echo proxies $http_proxy"

    await site.build(
        SettingsStep((Env("http_proxy", "http://own"),)), RunStep(says), proxies=proxies
    )
    await site.build(RunStep(says, network=ImageNetwork.NONE), proxies=proxies)

    assert site.printed == ["proxies http://own", "proxies"]
