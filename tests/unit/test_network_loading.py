"""Rules that are put in force, and those that are not whatever nft says."""

from __future__ import annotations

import pytest

from barasync.config.policies import PRESETS
from barasync.networks.loading import enforce, verify
from barasync.networks.namespace import NamespaceError
from barasync.networks.rules import Surroundings, ruleset
from tests.fake.kernel import Kernel

pytestmark = pytest.mark.anyio
RULES = ruleset(PRESETS["private"], Surroundings())


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_rules_are_loaded_once_and_found() -> None:
    kernel = Kernel()

    async with kernel.enter(1, "a") as namespace:
        await enforce(namespace, RULES, anew=False)
        await verify(namespace, RULES)

    assert kernel.loaded == [RULES.text]


async def test_rules_that_are_there_are_replaced_only_where_that_was_said() -> None:
    kernel = Kernel()
    other = ruleset(PRESETS["isolated"], Surroundings())

    async with kernel.enter(1, "a") as namespace:
        await enforce(namespace, other, anew=False)
        with pytest.raises(NamespaceError, match="could not be loaded"):
            await enforce(namespace, RULES, anew=False)
        await verify(namespace, other)

        await enforce(namespace, RULES, anew=True)
        await verify(namespace, RULES)


async def test_a_rule_that_is_not_there_after_the_load_is_named() -> None:
    kernel = Kernel(loses="ct state established accept")

    async with kernel.enter(1, "a") as namespace:
        with pytest.raises(NamespaceError, match="not as they were loaded") as refused:
            await enforce(namespace, RULES, anew=False)

    assert "nft --version" in str(refused.value.hint)


async def test_a_namespace_without_rules_is_no_namespace_with_them() -> None:
    async with Kernel().enter(1, "a") as namespace:
        with pytest.raises(NamespaceError, match="cannot be read"):
            await verify(namespace, RULES)
