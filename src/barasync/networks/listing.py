"""The kernel's listing of a table, compared with the table that was to be loaded.

What `nft -j list table` prints, libnftables-json(5), is put into the words of `nftables.py`, and
compared line by line. Versions of nft differ: they name protocols or number them, as the host has
an `/etc/protocols` or not, and leave out flags of sets. The kernel joins ranges that touch. All of
that is made equal here, for nft 1.0.6 and 1.1.3, of which the tests have listings.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import msgspec

from barasync.errors import EngineUnavailable
from barasync.networks.nftables import PROTOCOLS, Set, Span, Table, merged, one_of

LONGEST = 16 * 1024**2
"""Bytes of a listing that are read: several times what all sets of a policy can hold."""


class ListingError(EngineUnavailable):
    """What was to be a listing of nft is none, or is too long to be one."""


_OF_PROTOCOLS = frozenset({"meta l4proto", "ct protocol"})

Entry = dict[str, dict[str, Any]]


def entries(listing: bytes, kind: str) -> list[dict[str, Any]]:
    """Return what `nft -j list table` printed about objects of a kind: `set`, `chain`, `rule` ….

    Raises `ListingError`.
    """
    if len(listing) > LONGEST:
        raise ListingError(f"nft listed more than {LONGEST} bytes of rules")
    try:
        every = msgspec.json.decode(listing, type=dict[str, list[Entry]])["nftables"]
    except (msgspec.DecodeError, KeyError, RecursionError) as error:
        raise ListingError(
            f"nft listed its rules in words that are unknown here: {error}",
            hint="nft 1.0.6 and 1.1.3 are known to work",
        ) from error
    return [entry[kind] for entry in every if kind in entry]


def difference(table: Table, listing: bytes) -> str | None:
    """Return where the kernel's `listing` is not `table`, in a sentence; `None` where it is."""
    try:
        return (
            _of_table(table, entries(listing, "table"))
            or _of_chains(table, entries(listing, "chain"))
            or _of_rules(table, entries(listing, "rule"))
            or _of_sets(table, entries(listing, "set"))
        )
    except ListingError as error:
        return str(error)


def _of_table(table: Table, listed: list[dict[str, Any]]) -> str | None:
    if [(each.get("family"), each.get("name")) for each in listed] != [("inet", table.name)]:
        return f"there is no table inet {table.name}"
    # Such as `dormant`, which keeps the table and lets everything pass.
    if flags := listed[0].get("flags"):
        return f"table {table.name} has the flags {flags}"
    return None


def _of_chains(table: Table, listed: list[dict[str, Any]]) -> str | None:
    heads = {str(each.get("name")): _head(each) for each in listed}
    for chain in table.chains:
        if chain.name not in heads:
            return f"chain {chain.name} is missing"
        if heads[chain.name] != chain.head:
            return f"chain {chain.name} is '{heads[chain.name]}', not '{chain.head}'"
    unknown = heads.keys() - {chain.name for chain in table.chains}
    return f"chain {min(unknown)} is not known" if unknown else None


def _head(chain: dict[str, Any]) -> str | None:
    if "hook" not in chain:
        return None
    kind, hook, priority, policy = (chain.get(key) for key in ("type", "hook", "prio", "policy"))
    return f"type {kind} hook {hook} priority {priority}; policy {policy};"


def _of_rules(table: Table, listed: list[dict[str, Any]]) -> str | None:
    for chain in table.chains:
        found = [_rule(each) for each in listed if each.get("chain") == chain.name]
        for number, (wanted, there) in enumerate(zip(chain.rules, found, strict=False), start=1):
            if wanted != there:
                return f"rule {number} of chain {chain.name} is '{there}', not '{wanted}'"
        if len(found) != len(chain.rules):
            return f"chain {chain.name} has {len(found)} rules, not {len(chain.rules)}"
    return None


def _of_sets(table: Table, listed: list[dict[str, Any]]) -> str | None:
    there = {str(each.get("name")): each for each in listed}
    for wanted in table.sets:
        if wanted.name not in there:
            return f"set {wanted.name} is missing"
        if problem := _of_set(wanted, there[wanted.name]):
            return f"set {wanted.name} {problem}"
    unknown = there.keys() - {wanted.name for wanted in table.sets}
    return f"set {min(unknown)} is not known" if unknown else None


def _of_set(wanted: Set, listed: dict[str, Any]) -> str | None:
    kind = listed.get("type")
    if (" . ".join(kind) if isinstance(kind, list) else kind) != wanted.kind:
        return f"is of {kind}, not {wanted.kind}"
    if wanted.spans is None:
        return None
    try:
        found = merged(_span(element) for element in listed.get("elem", ()))
    except (KeyError, TypeError, ValueError) as error:
        return f"has an element that cannot be read: {error}"
    return None if found == wanted.spans else "has other elements"


def _span(element: Any) -> Span:
    match element:
        case {"elem": {"val": value}}:
            return _span(value)
        case {"prefix": {"addr": str(address), "len": int(length)}}:
            low = ipaddress.ip_address(address)
            return int(low), int(low) + 2 ** (low.max_prefixlen - length) - 1
        case {"range": [first, last]}:
            return _number(first), _number(last)
        case _:
            return _number(element), _number(element)


def _number(element: Any) -> int:
    return element if isinstance(element, int) else int(ipaddress.ip_address(element))


def _rule(listed: dict[str, Any]) -> str:
    return " ".join(_statement(each) for each in listed.get("expr", ()))


def _statement(listed: Any) -> str:
    match listed:
        case {"match": {"op": operator, "left": left, "right": right}}:
            return _match(left, right, "" if operator in {"==", "in"} else f"{operator} ")
        case {"accept": None} | {"drop": None} | {"counter": _}:
            return str(next(iter(listed)))
        case {"goto": {"target": target}}:
            return f"goto {target}"
        case {"reject": {"type": kind, **code}}:
            return f"reject with {kind}" + (f" type {code['expr']}" if "expr" in code else "")
        case {"set": {"op": "update", "elem": {"concat": [*keys]}, "set": name}}:
            return f"update {name} {{ {' . '.join(_key(key) for key in keys)} }}"
        case _:
            return str(listed)


def _key(listed: Any) -> str:
    match listed:
        case {"payload": {"protocol": protocol, "field": name}}:
            return f"{protocol} {name}"
        case {"ct": {"key": key, "dir": direction}}:
            return f"ct {direction} {key}"
        case {"meta": {"key": key}} | {"ct": {"key": key}}:
            return f"{next(iter(listed))} {key}"
        case {"ip option": {"name": name}} | {"exthdr": {"name": name}}:
            return f"{next(iter(listed))} {name}"
        case {"fib": {"result": result, "flags": str(flag) | [str(flag)]}}:
            return f"fib {flag} {result}"
        case _:
            return str(listed)


def _match(left: Any, right: Any, operator: str) -> str:
    key = _key(left)
    spell: Callable[[Any], str | int] = _protocol if key in _OF_PROTOCOLS else _value
    match right:
        case True:
            return f"{key} {operator}exists"
        case {"set": [*values]}:
            return f"{key} {operator}{one_of(spell(value) for value in values)}"
        case _:
            return f"{key} {operator}{spell(right)}"


def _value(listed: Any) -> str | int:
    match listed:
        case str() | int():
            return listed
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case _:
            return str(listed)


def _protocol(listed: Any) -> str | int:
    return PROTOCOLS.get(listed, listed) if isinstance(listed, str) else _value(listed)
