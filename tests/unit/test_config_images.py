from __future__ import annotations

import pytest

from barasync.config.copies import Copy
from barasync.config.images import ancestry, chain, image_copies
from barasync.config.load import parse
from barasync.config.origin import Origin
from barasync.errors import ConfigError

OTHERS = """
[images.base]
from = "docker.io/library/debian:trixie"
[images.toolchain]
from = "base"
"""


def problem(text: str, origin: Origin | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(OTHERS + text, origin or Origin())
    return caught.value


@pytest.mark.parametrize(
    "base",
    [
        'from = "base"',
        'from = "debian"',
        'from = "debian:trixie-slim"',
        'from = "localhost:5000/a/b@sha256:' + "0" * 64 + '"',
        'from = "' + "a" * 64 + '"',
        'from = "sha256:' + "a" * 64 + '"',
        'bootstrap = { suite = "trixie" }',
        'containerfile = "Containerfile"',
        'containerfile = "docker/../docker/File"\ncontext = "."',
    ],
)
def test_an_image_begins_with_one_thing(base: str) -> None:
    assert "x" in parse(f"{OTHERS}[images.x]\n{base}", Origin()).images


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "images.x: the image has nothing to begin with"),
        (
            'from = "base"\ncontainerfile = "x"',
            "images.x: `from` and `containerfile` are given, and an image begins with one",
        ),
        (
            'from = "base"\nbootstrap = { suite = "sid" }\ncontainerfile = "x"',
            "`from` and `bootstrap` and `containerfile` are given",
        ),
        ('from = "base"\ncontext = "x"', "images.x.context: there is no `containerfile`"),
        (
            'from = "toolchian"',
            "images.x.from: there is no image 'toolchian'; did you mean 'toolch",
        ),
        ('from = ""', "images.x.from: '' is neither a declared image nor a reference"),
        ('from = "a b"', "images.x.from: 'a b' is neither"),
        ('from = "--x"', "images.x.from: '--x' is neither"),
        ('from = "Debian:1"', "images.x.from: 'Debian:1' is neither"),
        ('from = "scratch"', "images.x.from: there is no image 'scratch' to lay steps on"),
        ('form = "base"', "images.x.form: unknown key; did you mean 'from'?"),
        ("from = 1", "images.x.from: expected a string, got the number 1"),
    ],
)
def test_a_base_that_cannot_be_meant_is_named(text: str, message: str) -> None:
    said = str(problem(f"[images.x]\n{text}"))

    assert said.startswith("barasync.toml: images.x")
    assert message in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('env = { "A B" = "1" }', "images.x.env.\"A B\": 'A B' cannot name a variable"),
        ('env = { "" = "1" }', "images.x.env.\"\": '' cannot name a variable"),
        ('env = { "A=B" = "1" }', "'A=B' cannot name a variable"),
        ('env = { A = "1\\n2" }', "images.x.env.A: the value of an image can have no newline"),
        ('env = { A = "\\u0000" }', "images.x.env.A: the value of an image can have no newline"),
        (
            f'env = {{ A = "{"é" * 16_000}" }}',
            "images.x.env.A: the value has more than 30000 bytes",
        ),
        ('env = { BARASYNC_RUN = "1" }', "images.x.env.BARASYNC_RUN: BARASYNC_RUN is set by bara"),
        (
            'env = { PATH = "/opt/bin:$PATH" }',
            "images.x.env.PATH: no $NAME in a value is expanded, and this one has $PATH in it",
        ),
        ('env = { A = "x${A}y" }', "images.x.env.A: no $NAME in a value is expanded, and"),
        ("env = { A = 1 }", "images.x.env.A: expected a string"),
        ('labels = { "a b" = "" }', "images.x.labels.\"a b\": 'a b' cannot name a label"),
        ('labels = { "a$b" = "" }', "'a$b' cannot name a label"),
        ('labels = { "barasync.key" = "" }', "labels that begin with 'barasync.' are barasync's"),
        ('labels = { a = "\\n" }', "images.x.labels.a: the value of an image can have no newline"),
        ("timeout = -1", "images.x.timeout: -1 is not a number of seconds between 0 and"),
        ("timeout = '30m'", "images.x.timeout: expected a number, got the string '30m'"),
        ('workdir = "here"', "images.x.workdir: 'here' is not an absolute path"),
        ('workdir = "/a "', "images.x.workdir: '/a ' is not an absolute path"),
        ('workdir = "/a\\nb"', "images.x.workdir: '/a\\nb' is not an absolute path"),
        ('user = ""', "images.x.user: '' is not a user"),
        ('user = "a b"', "images.x.user: 'a b' is not a user"),
        ('user = "-x"', "images.x.user: '-x' is not a user"),
        ('user = "a:b:c"', "images.x.user: 'a:b:c' is not a user"),
        ('packages = ["a", ""]', "images.x.packages[1]: '' is not the name of a package"),
        ('packages = ["--force"]', "images.x.packages[0]: '--force' is not the name"),
        ('packages = ["a b"]', "images.x.packages[0]: 'a b' is not the name"),
        ('packages = ["$(x)"]', "images.x.packages[0]: '$(x)' is not the name"),
        ('packages = "a"', "images.x.packages: expected a list of strings"),
        ('run = ["a", " \\n"]', "images.x.run[1]: the command is empty"),
        ('run = ["-v"]', "images.x.run[0]: /bin/sh takes what begins with - or + for options"),
        ('run = ["\\n+x"]', "images.x.run[0]: /bin/sh takes what begins with - or + for options"),
        ('run = ["a\\u0000"]', "images.x.run[0]: 'a\\x00' contains a NUL"),
        (f'run = ["true", "{"é" * 66_000}"]', "images.x.run[1]: the script has more than 131000"),
        ('toolchain = "ruts"', "images.x.toolchain: expected one of 'c', 'go', 'node', 'python'"),
        ('network = "host"', "images.x.network: expected one of 'bridge', 'none', got"),
        ("dev = 1", "images.x.dev: expected true or false"),
        ('copy = ["a"]', "images.x.copy[0]: 'a' is not SRC:DST"),
        ('copy = ["a:b"]', "images.x.copy[0]: 'a:b': DST is not an absolute path"),
        ('copy = ["a:/."]', "images.x.copy[0]: 'a:/.': DST is the container's root"),
        ('copy = ["a:/x", "b:/x"]', "images.x.copy[1]: 'b:/x': a is copied to /x already"),
        ('copy = ["../a:/x"]', "images.x.copy[0]: '../a' is not in the project"),
        ('copy = ["a/../../b:/x"]', "images.x.copy[0]: 'a/../../b' is not in the project"),
        ('copy = ["/etc/passwd:/x"]', "images.x.copy[0]: '/etc/passwd' is not in the project"),
        ('copy = ["src/*.c:/x"]', "images.x.copy[0]: 'src/*.c' has one of * ? [ \\ in it"),
        ('copy = ["a\\u0000:/x"]', "images.x.copy[0]: 'a\\x00' is not a path"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named_with_file_and_key(text: str, message: str) -> None:
    said = str(problem(f'[images.x]\nfrom = "base"\n{text}'))

    assert said.startswith("barasync.toml: images.x.")
    assert message in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('containerfile = ""', "images.x.containerfile: '' is not a path"),
        ('containerfile = "../x"', "images.x.containerfile: '../x' is not in the project"),
        ('containerfile = "/x"', "images.x.containerfile: '/x' is not in the project"),
        ('containerfile = "a\\nFROM b"', "images.x.containerfile: 'a\\nFROM b' has characters"),
        ('containerfile = "x"\ncontext = ".."', "images.x.context: '..' is not in the project"),
    ],
)
def test_a_containerfile_is_in_the_project(text: str, message: str) -> None:
    assert message in str(problem(f"[images.x]\n{text}"))


@pytest.mark.parametrize(
    ("links", "cycle"),
    [
        ({"a": "a"}, "images.a.from: a cycle, in which no image is the first: a → a"),
        ({"a": "b", "b": "a"}, "images.a.from: a cycle, in which no image is the first: a → b → a"),
        ({"x": "b", "a": "b", "b": "c", "c": "a"}, "images.b.from: a cycle, .*: b → c → a → b"),
        ({"a": "localhost/a:latest"}, "images.a.from: a cycle, .*: a → localhost/a:latest"),
        ({"a": "localhost/a"}, "images.a.from: a cycle, .*: a → localhost/a"),
        ({"a": "a:latest"}, "images.a.from: a cycle, .*: a → a:latest"),
        ({"a": "b", "b": "localhost/a"}, "images.a.from: a cycle, .*: a → b → localhost/a"),
        (
            {"a": "localhost/b", "b": "localhost/a"},
            "images.a.from: .*: a → localhost/b → localhost/a",
        ),
    ],
)
def test_a_cycle_is_named(links: dict[str, str], cycle: str) -> None:
    text = "".join(f'[images.{name}]\nfrom = "{parent}"\n' for name, parent in links.items())

    with pytest.raises(ConfigError, match=cycle):
        parse(text, Origin())


@pytest.mark.parametrize(
    "reference",
    [
        "localhost/a:1",
        "a:1",
        "docker.io/library/a:latest",
        "localhost/team/a",
        f"localhost/a@sha256:{'0' * 64}",
        "localhost/b",
    ],
)
def test_what_no_build_of_the_image_names_is_no_cycle(reference: str) -> None:
    text = f'[images.a]\nfrom = "{reference}"\n[images.b]\nfrom = "localhost/base"\n'

    assert parse(text, Origin()).images["a"].from_ == reference


def test_an_image_with_the_project_has_no_name_for_another_to_begin_with() -> None:
    parse('[images.a]\nfrom = "localhost/a"\nproject = true\n', Origin())


@pytest.mark.parametrize("name", ["idle", "kept", "list", "probe", "pulled", "step", "workspace"])
def test_an_image_has_no_name_that_says_what_an_image_of_barasync_is(name: str) -> None:
    error = problem(f'[images.{name}]\nfrom = "base"')

    assert f"images.{name}: '{name}' is what barasync names images of its own" in str(error)


def test_an_image_named_like_its_base_is_told_how_to_write_that() -> None:
    error = problem('[images.debian]\nfrom = "debian"')

    assert error.hint == (
        "a reference that is meant has its registry: 'docker.io/library/debian:latest'"
    )


def test_in_a_pyproject_the_key_begins_with_the_table() -> None:
    with pytest.raises(ConfigError, match=r"pyproject.toml: tool.barasync.images.x.user: "):
        parse(
            '[tool.barasync.images.x]\nfrom = "a:b"\nuser = "-"',
            Origin("pyproject.toml", ("tool", "barasync")),
        )


def test_a_chain_begins_with_what_all_is_made_of() -> None:
    images = parse(f'{OTHERS}[images.x]\nfrom = "toolchain"', Origin()).images

    assert chain("x", images) == ("base", "toolchain", "x")
    assert chain("base", images) == ("base",)
    assert chain("localhost/y", images) == ()


def test_an_ancestry_ends_with_a_reference_or_with_what_has_none() -> None:
    made = '[images.made]\nbootstrap = { suite = "trixie" }\n[images.top]\nfrom = "made"'
    images = parse(OTHERS + made, Origin()).images

    assert list(ancestry("toolchain", images)) == [
        "toolchain",
        "base",
        "docker.io/library/debian:trixie",
    ]
    assert list(ancestry("top", images)) == ["top", "made"]
    assert list(ancestry("localhost/y", images)) == ["localhost/y"]


def test_the_value_of_a_variable_may_name_any_other_and_what_only_begins_like_it() -> None:
    env = 'A = "$B", B = "${A}", C = "$CC", D = "$$ D", E = "a$"'

    images = parse(f'{OTHERS}[images.x]\nfrom = "base"\nenv = {{ {env} }}', Origin()).images

    assert images["x"].env == {"A": "$B", "B": "${A}", "C": "$CC", "D": "$$ D", "E": "a$"}


def test_copies_are_normalised() -> None:
    text = 'copy = ["./a/b/:/usr//lib/", "a:b:/x", ".:/all", "c:/d/../e"]'
    images = parse(f'{OTHERS}[images.x]\nfrom = "base"\n{text}', Origin()).images

    assert image_copies(images["x"]) == (
        Copy("a/b", "/usr/lib/b"),
        Copy("a:b", "/x"),
        Copy(".", "/all"),
        Copy("c", "/e"),
    )


@pytest.mark.parametrize("key", ['packages = ["make"]', "dev = true", 'toolchain = "c"'])
@pytest.mark.parametrize("base", ['from = "middle"', 'bootstrap = { suite = "trixie" }'])
def test_nothing_can_be_installed_where_packages_are_only_unpacked(key: str, base: str) -> None:
    middle = '[images.unpacked.bootstrap]\nsuite = "trixie"\n[images.middle]\nfrom = "unpacked"\n'
    error = problem(f"{middle}[images.x]\n{base}\n{key}")

    first = "unpacked" if "middle" in base else "x"
    assert str(error).startswith(
        f"barasync.toml: images.x.{key.partition(' ')[0]}: the packages of"
    )
    assert error.hint is not None
    assert error.hint.startswith(f"write `variant = \"apt\"` in the bootstrap of '{first}'")


def test_packages_can_be_installed_where_the_base_has_its_package_manager() -> None:
    text = '[images.x]\nbootstrap = { suite = "trixie", variant = "apt" }\npackages = ["make"]'

    assert parse(text, Origin()).images["x"].packages == ["make"]
