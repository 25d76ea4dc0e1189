"""The fake kernel: it lists what nft listed of the same rules, and refuses what nft refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from barasync.networks.rules import missing, ruleset
from tests.fake.nft import Rejected, listing, transaction
from tests.network_policies import GOLDEN, POLICIES


def plain(value: Any) -> Any:
    """What a listing says, without the numbers of objects and the order of sets within rules."""
    match value:
        case {"set": [*values]}:
            return {"set": sorted(values, key=str)}
        case dict():
            return {key: plain(each) for key, each in value.items() if key != "handle"}
        case list():
            return [plain(each) for each in value]
        case _:
            return value


def by_kind(entries: list[dict[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"table": [], "set": [], "chain": [], "rule": []}
    for entry in entries:
        for kind, what in entry.items():
            if kind in found:
                found[kind].append(plain(what))
    return found


def test_it_lists_what_nft_listed_of_the_same_rules() -> None:
    recorded = json.loads((GOLDEN / "rich-nft-1.1.3.json").read_text())["nftables"]
    listed = listing(transaction({}, (GOLDEN / "rich.nft").read_text()), "barasync")

    assert by_kind(listed) == by_kind(recorded)


@pytest.mark.parametrize("name", POLICIES)
def test_nothing_is_missing_of_what_was_loaded(name: str) -> None:
    rules = ruleset(*POLICIES[name])
    tables = transaction({}, rules.text)
    listed = json.dumps({"nftables": listing(tables, "barasync")}).encode()

    assert missing(rules, listed) is None
    assert missing(rules, listed.replace(b'"goto"', b'"jump"', 1)) is not None


def test_a_table_that_is_there_is_replaced_and_not_made_again() -> None:
    rules = ruleset(*POLICIES["local"])
    tables = transaction({}, rules.text)

    with pytest.raises(Rejected, match="File exists"):
        transaction(tables, rules.text)
    assert transaction(tables, rules.replacement) == tables == transaction({}, rules.replacement)


@pytest.mark.parametrize(
    "text",
    ["delete table inet barasync\n", "flush ruleset\n", "table inet t {\n\tmap m {\n\t}\n}\n"]
    + [
        f"table inet t {{\n\tchain c {{\n\t\t{rule}\n\t}}\n}}\n"
        for rule in ("queue", "jump x", "tcp dport", "ether saddr 1")
    ],
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(Rejected):
        transaction({}, text)


def test_what_is_not_there_cannot_be_listed() -> None:
    with pytest.raises(Rejected, match="No such file"):
        listing({}, "barasync")
