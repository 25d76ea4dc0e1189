"""What nft makes of rules that it loads, and how it lists them: in the words of nft 1.1.3.

It knows the words that barasync's rules are made of, and refuses all others, as nft does. What it
lists was compared with what nft listed: `tests/unit/test_fake_kernel.py`.

Source: nft(8), libnftables-json(5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Entry = dict[str, Any]
Tables = dict[str, list[Entry]]
"""Objects as nft lists them, by the names of their tables, all of family inet."""

_PAYLOADS = frozenset({"ip", "ip6", "icmp", "icmpv6", "tcp", "udp", "th"})


class Rejected(Exception):
    """What nft says of a transaction of which nothing is carried out."""


def transaction(tables: Mapping[str, Sequence[Entry]], text: str) -> Tables:
    """Return what is there once `text` is carried out where `tables` are.

    Raises:
        Rejected: nothing of it is carried out.
    """
    after = {name: list(entries) for name, entries in tables.items()}
    lines = iter(text.splitlines())
    for line in lines:
        match line.split():
            case ["create", "table", "inet", name]:
                if name in after:
                    raise Rejected("Error: Could not process rule: File exists")
                after[name] = []
            case ["delete", "table", "inet", name]:
                if name not in after:
                    raise Rejected("Error: Could not process rule: No such file or directory")
                del after[name]
            case ["table", "inet", name]:
                after.setdefault(name, [])
            case ["table", "inet", name, "{"]:
                after.setdefault(name, []).extend(_objects(name, lines))
            case [("add" | "delete") as verb, "element", "inet", name, of, "{", element, *_, "}"]:
                after[name] = [_changed(each, verb, of, element) for each in after.get(name, [])]
                if not any(each.get("set", {}).get("name") == of for each in after[name]):
                    raise Rejected("Error: No such file or directory")
            case _:
                raise Rejected(f"Error: syntax error: {line}")
    return after


def _changed(entry: Entry, verb: str, name: str, element: str) -> Entry:
    """Return an object once an element was added to the set `name`, or deleted from it."""
    if entry.get("set", {}).get("name") != name:
        return entry
    there = [each for each in entry["set"].get("elem", []) if each != _element(element)]
    if verb == "add":
        there.append(_element(element))
    elif len(there) == len(entry["set"].get("elem", [])):
        raise Rejected("Error: Could not process rule: No such file or directory")
    return {"set": {**entry["set"], "elem": there}}


def listing(tables: Mapping[str, Sequence[Entry]], name: str) -> list[Entry]:
    """Return what `nft -j list table inet NAME` prints.

    Raises:
        Rejected: there is no such table.
    """
    if name not in tables:
        raise Rejected("Error: No such file or directory")
    return [
        {"metainfo": {"version": "1.1.3", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": name, "handle": 1}},
        *tables[name],
    ]


def _objects(table: str, lines: Iterator[str]) -> Iterator[Entry]:
    of_table = {"family": "inet", "table": table}
    for line in lines:
        match line.split():
            case ["}"]:
                return
            case ["set", name, "{"]:
                yield {"set": {**of_table, "name": name, **_set(list(_body(lines)))}}
            case ["chain", name, "{"]:
                head, rules = _chain(list(_body(lines)))
                yield {"chain": {**of_table, "name": name, **head}}
                for rule in rules:
                    yield {"rule": {**of_table, "chain": name, "expr": rule}}
            case _:
                raise Rejected(f"Error: syntax error: {line}")


def _body(lines: Iterator[str]) -> Iterator[list[str]]:
    for line in lines:
        words = line.replace(",", " ").replace(";", "").split()
        if words == ["}"]:
            return
        yield words


def _set(body: Sequence[Sequence[str]]) -> Entry:
    made: Entry = {}
    for words in body:
        match words:
            case ["type", kind]:
                made["type"] = kind
            case ["type", *kinds]:
                made["type"] = kinds[::2]
            case ["flags", flag]:
                made["flags"] = [flag]
            case ["auto-merge"]:
                made["auto-merge"] = True
            case ["size", size]:
                made["size"] = int(size)
            case ["counter"]:
                made["stmt"] = [{"counter": None}]
            case ["elements", "=", "{", *elements, "}"]:
                made["elem"] = [_element(each) for each in elements]
            case _:
                raise Rejected(f"Error: syntax error in a set: {words}")
    return made


def _element(word: str) -> Any:
    if "-" in word:
        return {"range": [_value(end) for end in word.split("-")]}
    return _value(word)


def _chain(body: Sequence[Sequence[str]]) -> tuple[Entry, Iterator[list[Entry]]]:
    match body:
        case [["type", kind, "hook", hook, "priority", priority, "policy", policy], *rules]:
            head = {"type": kind, "hook": hook, "prio": int(priority), "policy": policy}
            return head, (list(_statements(rule)) for rule in rules)
        case _:
            return {}, (list(_statements(rule)) for rule in body)


def _statements(words: Sequence[str]) -> Iterator[Entry]:
    while words:
        statement, words = _statement(words)
        yield statement


def _statement(words: Sequence[str]) -> tuple[Entry, Sequence[str]]:
    """Read the first statement; return it and the words after it."""
    match words:
        case ["accept" | "drop" as verdict, *rest]:
            return {verdict: None}, rest
        case ["counter", *rest]:
            return {"counter": {"packets": 0, "bytes": 0}}, rest
        case ["goto", chain, *rest]:
            return {"goto": {"target": chain}}, rest
        case ["reject", "with", *rest]:
            return _reject(rest)
        case ["update", name, "{", *keys]:
            inner, rest = _until_brace(keys)
            elem = {"concat": list(_concatenated(inner))}
            return {"set": {"op": "update", "elem": elem, "set": name}}, rest
        case _:
            return _matched(words)


def _reject(words: Sequence[str]) -> tuple[Entry, Sequence[str]]:
    match words:
        case ["tcp", "reset", *rest]:
            return {"reject": {"type": "tcp reset"}}, rest
        case ["icmpx", "type", code, *rest]:
            return {"reject": {"type": "icmpx", "expr": code}}, rest
        case _:
            raise Rejected(f"Error: syntax error: reject with {words}")


def _matched(words: Sequence[str]) -> tuple[Entry, Sequence[str]]:
    match words:
        case ["ip", "option", name, "exists", *rest]:
            return _match("==", {"ip option": {"name": name}}, right=True), rest
        case ["exthdr", name, "exists", *rest]:
            return _match("==", {"exthdr": {"name": name}}, right=True), rest
        case ["fib", flag, result, *rest]:
            return _compared({"fib": {"result": result, "flags": [flag]}}, rest)
        case ["ct", "state", value, *rest]:
            return _match("in", {"ct": {"key": "state"}}, right=value), rest
        case ["ct", "original", key, *rest]:
            return _compared({"ct": {"key": key, "dir": "original"}}, rest)
        case [first, second, *rest]:
            return _compared(_key(first, second), rest)
        case _:
            raise Rejected(f"Error: syntax error in a rule: {words}")


def _key(first: str, second: str) -> Entry:
    if first in {"meta", "ct"}:
        return {first: {"key": second}}
    if first in _PAYLOADS:
        return {"payload": {"protocol": first, "field": second}}
    raise Rejected(f"Error: syntax error in a rule: {first} {second}")


def _concatenated(words: Sequence[str]) -> Iterator[Entry]:
    for at in range(0, len(words), 3):
        yield _key(words[at], words[at + 1])


def _compared(key: Entry, words: Sequence[str]) -> tuple[Entry, Sequence[str]]:
    operator = "=="
    if words[:1] == ["!="]:
        operator, words = "!=", words[1:]
    match words:
        case ["{", *inner]:
            values, rest = _until_brace(inner)
            return _match(operator, key, right={"set": [_value(each) for each in values]}), rest
        case [value, *rest]:
            return _match(operator, key, right=_value(value)), rest
        case _:
            raise Rejected(f"Error: syntax error in a rule: nothing follows {key}")


def _match(operator: str, left: Entry, *, right: Any) -> Entry:
    return {"match": {"op": operator, "left": left, "right": right}}


def _until_brace(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    end = words.index("}")
    return words[:end], words[end + 1 :]


def _value(word: str) -> Any:
    if "/" in word:
        address, length = word.split("/")
        return {"prefix": {"addr": address, "len": int(length)}}
    return int(word) if word.isdigit() else word
