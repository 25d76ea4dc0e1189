"""Every function and rule of the list is there, documented in bar's grammar, and tested on podman.

bar's help and its completion read the files line by line; what they take is restated here, so that
no bar is needed to know that they understand us.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import pytest

import barasync
from tests.rig import bats
from tests.rig.services import PROJECT

MODULE = PROJECT / "Bar.d/podman"
RULES = PROJECT / "Bar.d/podman_rules"

# Source: bar's module help, and its completion for bash, of commit 242d09f.
_FUNCTION = re.compile(r"function (?P<name>\w+)[ \t]*(?:\(\))?[ \t]*## ?(?P<text>.*)")
_RULE = re.compile(r"rule (?:--\w+ )*(?P<name>[\w-]+):")
_PROTOTYPE = re.compile(r'# prototype: "(?P<parameter>[^"]+)" = "(?P<spec>[^"]+)"')
_OURS = r"rule .*|(is_)?(podman|qemu)_.*"
_PARAMETER = re.compile(r"<([^>]+)>|\[([^\]]+)\]")


@dataclass(frozen=True, slots=True)
class Documented:
    """A function or rule as bar's help shows it; `parameters` is empty where there are none."""

    name: str
    parameters: str
    description: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list; `parameters` is `None` where they are the module's affair."""

    name: str
    parameters: str | None
    is_rule: bool

    def __str__(self) -> str:
        return f"rule {self.name}" if self.is_rule else self.name


@cache
def listed() -> tuple[Listed, ...]:
    lines = (bats.FILES / "functions").read_text().splitlines()
    return tuple(_listed(line) for line in lines if line and not line.startswith("#"))


def _listed(line: str) -> Listed:
    is_rule = line.startswith("rule ")
    name, _, parameters = line.removeprefix("rule ").partition(" ")
    return Listed(name, None if parameters == "..." else parameters, is_rule)


@cache
def functions() -> dict[str, Documented]:
    """Return the functions of the module that bar's help would list."""
    found = map(_FUNCTION.match, MODULE.read_text().splitlines())
    return {each["name"]: _documented(each["name"], each["text"]) for each in found if each}


@cache
def rules() -> dict[str, Documented]:
    """Return the rules with documentation; several clauses of a rule are one."""
    documented: dict[str, Documented] = {}
    above: list[str] = []
    for line in RULES.read_text().splitlines():
        found = _RULE.match(line)
        if line.startswith("## "):
            above.append(line.removeprefix("## "))
        else:
            if found and above:
                documented[found["name"]] = _documented(found["name"], above[0])
            above = []
    return documented


def _documented(name: str, text: str) -> Documented:
    parameters, dash, description = text.partition(" - ")
    return Documented(name, parameters, description) if dash else Documented(name, "", text)


@cache
def defined() -> frozenset[str]:
    """Return the functions that a shell has after the module was loaded as bar loads it."""
    script = """
    set -euo pipefail
    memofn() { :; }
    load() { source "$1"; }
    load "$1"
    compgen -A function
    """
    command = ["bash", "-c", script, "bash", str(MODULE)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return frozenset(ran.stdout.split())


@dataclass(frozen=True, slots=True)
class Effect:
    """A test of effect: the `name` before the colon, its body, and what its file has beside it."""

    name: str
    body: str
    functions: Mapping[str, str]

    @property
    def evaluated(self) -> str:
        """The body, and the bodies of the functions of its file that it calls."""
        called = [text for name, text in self.functions.items() if _is_word(name, self.body)]
        return "\n".join([self.body, *called])


@cache
def effects() -> tuple[Effect, ...]:
    """Return the tests of effect."""
    files = [bats.FILES / name for name in bats.files(of_effect=True)]
    return tuple(each for file in files for each in _effects(file.read_text()))


def _effects(text: str) -> list[Effect]:
    ours = dict(re.findall(r"^(\w+)\(\) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    found = re.findall(r'^@test "(.*?)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    return [Effect(title.partition(": ")[0], body, ours) for title, body in found if ": " in title]


def _is_word(name: str, text: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text))


@pytest.mark.parametrize("entry", listed(), ids=str)
def test_what_is_listed_is_defined_and_documented(entry: Listed) -> None:
    documented = rules() if entry.is_rule else functions()

    assert entry.name in documented, f"{entry.name} is not there, or bar's help would not list it"
    if not entry.is_rule:
        assert entry.name in defined()
    if entry.parameters is not None:
        assert documented[entry.name].parameters == entry.parameters


def test_what_is_listed_has_a_test_of_effect() -> None:
    without = {str(entry) for entry in listed()} - {each.name for each in effects()}

    assert not without, "a test of effect is called 'NAME: …', in a *_effect.bats"


def test_a_test_of_effect_calls_what_it_is_of() -> None:
    of_ours = [each for each in effects() if re.fullmatch(_OURS, each.name)]
    idle = [
        each.name
        for each in of_ours
        if not _is_word(each.name.removeprefix("rule "), each.evaluated)
    ]

    assert len(of_ours) > len(listed())
    assert not idle


def test_no_test_of_effect_is_of_something_else() -> None:
    ours = {*functions(), *(f"rule {name}" for name in rules())}

    assert {each.name for each in effects() if re.fullmatch(_OURS, each.name)} <= ours


def test_all_that_a_person_can_call_is_documented_and_nothing_private_is() -> None:
    public = {name for name in defined() if not name.startswith("_")} - {"load", "memofn"}

    assert public == set(functions())
    assert not [name for name in functions() if name.startswith("_")]


def test_a_signature_is_ended_by_the_only_dash_and_each_text_is_a_sentence() -> None:
    for each in [*functions().values(), *rules().values()]:
        assert " - " not in each.description, each.name
        assert re.match(r"[A-Z].*\.$", each.description), each


def test_each_parameter_with_a_completer_has_one() -> None:
    """A completer is bound by its name alone, or by a prototype at the beginning of a line."""
    bound = {found["parameter"] for found in map(_PROTOTYPE.match, _lines()) if found}
    for parameter in ("arch", "platform", "network", "preset", "image", "container", "config"):
        assert f"podman_{parameter}_complete" in functions() or parameter in bound
    used = {
        name.removesuffix("..")
        for each in functions().values()
        for pair in _PARAMETER.findall(each.parameters)
        for name in ["".join(pair)]
    }
    assert bound <= used, "a prototype is of no parameter"


def test_this_barasync_is_new_enough_for_the_module_and_the_first_one_is_too_old() -> None:
    needed = re.search(r"^declare -g _PODMAN_NEEDS=(\S+)$", MODULE.read_text(), re.MULTILINE)

    assert needed
    assert _numbers("0.1.0") < _numbers(needed[1]) <= _numbers(barasync.__version__)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_each_file_says_what_it_is() -> None:
    for file in (MODULE, RULES):
        assert any(line.startswith("### ") for line in file.read_text().splitlines())


def _lines() -> list[str]:
    return MODULE.read_text().splitlines()
