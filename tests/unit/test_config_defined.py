"""Settings of a command line that are laid over those of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.config.load import load_with
from barasync.config.origin import Origin
from barasync.config.schema import BootstrapTable, Document, ImageTable
from barasync.errors import ConfigError

FILE = """
[config.release]
env = { A = "1", B = "2" }
volumes = ["./data:/data", "./more:/more"]
timeout = 900

[network.web]
base = "local"
allow = ["80/tcp"]
"""


def document(*definitions: str) -> Document:
    return load_with(None, definitions, Path("/here"))[0]


def over_file(folder: Path, *definitions: str) -> tuple[Document, Origin]:
    path = folder / "barasync.toml"
    path.write_text(FILE)
    (folder / "below").mkdir()
    return load_with(path, definitions, folder / "below")


def problem(*definitions: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        document(*definitions)
    return caught.value


def test_a_value_is_of_the_type_that_its_key_has() -> None:
    found = document(
        "config.a.timeout=1.5",
        "config.a.pids=7",
        "config.a.memory=512m",
        "config.a.workspace=none",
        "network.n.ipv6=false",
        "images.i.from=x:1",
        "images.i.dev=true",
        "images.b.bootstrap.suite=trixie",
        "images.b.bootstrap.packages=bash",
    )

    assert (found.config["a"].timeout, found.config["a"].pids) == (1.5, 7)
    assert (found.config["a"].memory, found.config["a"].workspace) == ("512m", "none")
    assert found.network["n"].ipv6 is False
    assert found.images["i"] == ImageTable(from_="x:1", dev=True)
    bootstrap = found.images["b"].bootstrap
    assert bootstrap == BootstrapTable(suite="trixie", packages=["bash"])


def test_a_value_is_taken_as_it_is_whatever_is_in_it() -> None:
    value = "a = 'b'\n$HOME \"*\" -x"

    assert document(f"config.a.env.X={value}").config["a"].env == {"X": value}
    assert document("config.a.env.X=").config["a"].env == {"X": ""}
    assert document("config.a.env.X=1=2").config["a"].env == {"X": "1=2"}


def test_a_list_gets_the_entries_in_their_order_in_place_of_the_files(tmp_path: Path) -> None:
    found, _ = over_file(
        tmp_path, "network.web.allow=443/tcp", "network.web.allow=53/udp", "network.web.deny=22/tcp"
    )

    assert found.network["web"].allow == ["443/tcp", "53/udp"]
    assert found.network["web"].deny == ["22/tcp"]
    assert found.network["web"].base == "local"


def test_an_empty_first_entry_leaves_nothing_of_the_files_list(tmp_path: Path) -> None:
    found, _ = over_file(
        tmp_path, "network.web.allow=", "config.release.volumes=", "config.release.volumes=./x:/x"
    )

    assert found.network["web"].allow == []
    assert found.config["release"].volumes == [f"{tmp_path}/below/x:/x"]


def test_an_empty_entry_behind_others_is_one() -> None:
    found = document("config.a.command=printf", "config.a.command=")

    assert found.config["a"].command == ["printf", ""]


def test_a_name_of_a_table_is_added_to_those_of_the_file(tmp_path: Path) -> None:
    found, _ = over_file(tmp_path, "config.release.env.B=3", "config.release.env.C=4")

    assert found.config["release"].env == {"A": "1", "B": "3", "C": "4"}
    assert found.config["release"].timeout == 900


def test_the_last_one_of_a_single_value_counts() -> None:
    assert document("config.a.timeout=1", "config.a.timeout=2").config["a"].timeout == 2


@pytest.mark.parametrize(
    ("text", "table", "name"),
    [
        ("config.gcc-13.2.timeout=1", "config", "gcc-13.2"),
        ("config.a.b.env.X=1", "config", "a.b"),
        ("network.my.net.allow=443/tcp", "network", "my.net"),
        ("network.network.base=local", "network", "network"),
        ("config.env.env.X=1", "config", "env"),
        ("config.a.timeout.timeout=1", "config", "a.timeout"),
        ("images.debian.13.labels.org.example.title=t", "images", "debian.13"),
    ],
)
def test_a_name_may_have_dots(text: str, table: str, name: str) -> None:
    more = ["images.debian.13.from=x:1"] if table == "images" else []

    assert list(getattr(document(text, *more), table)) == [name]


def test_what_follows_the_name_of_a_table_is_one_name_with_its_dots() -> None:
    found = document("images.i.from=x:1", "images.i.labels.org.example.title=t")

    assert found.images["i"].labels == {"org.example.title": "t"}


def test_relative_paths_start_at_the_working_directory(tmp_path: Path) -> None:
    found, _ = over_file(
        tmp_path,
        "config.release.volumes=./x:/x",
        "config.release.secrets=KEY=key.pem",
        "config.new.volumes=cache:/cache",
        "images.i.from=x:1",
        "images.i.copy=src:/opt/",
        "images.i.copy=../a b:/b",
        "images.i.copy=../../other:/c",
        "images.i.copy=/etc/hosts:/d",
        "images.f.containerfile=Containerfile",
        "images.f.context=..",
        "images.g.containerfile=/elsewhere/Containerfile",
    )

    assert found.config["release"].volumes == [f"{tmp_path}/below/x:/x"]
    assert found.config["release"].secrets == [f"KEY={tmp_path}/below/key.pem"]
    assert found.config["new"].volumes == ["cache:/cache"]
    assert found.images["i"].copy == [
        "below/src:/opt/",
        "a b:/b",
        f"{tmp_path.parent}/other:/c",
        "/etc/hosts:/d",
    ]
    assert (found.images["f"].containerfile, found.images["f"].context) == (
        "below/Containerfile",
        ".",
    )
    assert found.images["g"].containerfile == "/elsewhere/Containerfile"


def test_a_path_of_the_file_stays_in_the_project(tmp_path: Path) -> None:
    path = tmp_path / "barasync.toml"
    path.write_text('[images.i]\nfrom = "x:1"\ncopy = ["/etc/hosts:/d"]\n')

    with pytest.raises(ConfigError) as caught:
        load_with(path, ["images.i.env.A=1"], tmp_path)

    assert str(caught.value) == (
        "barasync.toml: images.i.copy[0]: '/etc/hosts' is not in the project"
    )


def test_the_place_of_a_setting_is_the_option_or_the_file(tmp_path: Path) -> None:
    _, origin = over_file(tmp_path, "config.release.env.B=3", "network.new.allow=443/tcp")

    assert origin.key("config", "release", "env", "B") == "--define config.release.env.B"
    assert origin.key("network", "new", "allow", 0) == "--define network.new.allow"
    assert origin.key("network", "new") == "--define network.new"
    assert origin.key("network", "new", "base") == "--define network.new.base"
    assert origin.key("config", "release", "env", "A") == ("barasync.toml: config.release.env.A")
    assert origin.key("network", "web") == "barasync.toml: network.web"
    assert origin.key("defaults") == "barasync.toml: defaults"


@pytest.mark.parametrize(
    ("definition", "message", "hint"),
    [
        ("", "--define: '' is not TABLE.NAME.KEY=VALUE", "network.web.allow=443/tcp"),
        ("network.web.allow", "'network.web.allow' is not TABLE.NAME.KEY=VALUE", "for example"),
        ("network.web=443", "'network.web' is not TABLE.NAME.KEY=VALUE", "for example"),
        ("network..allow=1", "'network..allow' is not TABLE.NAME.KEY=VALUE", "for example"),
        ("=x", "'' is not TABLE.NAME.KEY=VALUE", "for example"),
        (
            "netwrok.web.allow=1",
            "--define: there is no table 'netwrok' for it; did you mean 'network'?",
            "config, images, network",
        ),
        ("defaults.x.timeout=1", "there is no table 'defaults' for it", "options of their own"),
        (
            "network.web.alow=443/tcp",
            "--define network.web.alow: unknown key; did you mean 'allow'?",
            "allowed here: allow, base, default",
        ),
        ("network.my.net.alow=1", '--define network."my.net".alow: unknown key', "allowed here"),
        ("images.b.bootstrap.suit=x", "--define images.b.bootstrap.suit: unknown key", "suite"),
        ("config.a.env=X", "--define config.a.env: expected a table of strings", "env.NAME=VALUE"),
        (
            "config.a.timeout.x=1",
            "--define config.a.timeout: expected a number, and no key below it",
            "config.a.timeout=VALUE",
        ),
        ("config.a.services=x", "--define config.a.services: a list of tables", ""),
        ("config.a.timeout=ten", "--define config.a.timeout: expected a number, got 'ten'", ""),
        ("config.a.timeout=nan", "expected a number, got 'nan'", ""),
        ("config.a.timeout=", "expected a number, got ''", ""),
        ("config.a.pids=1.5", "--define config.a.pids: expected an integer, got '1.5'", ""),
        ("network.n.log=yes", "--define network.n.log: expected true or false, got 'yes'", ""),
        (
            "config.a.workspace=layr",
            "--define config.a.workspace: expected one of 'layer', 'overlay', 'bind', 'none'",
            "",
        ),
        ("config.a.memory=2q", "--define config.a.memory: '2q' is not a size", ""),
        ("config.-a.timeout=1", "--define config.-a: '-a' cannot name a configuration", ""),
        ("config.a b.timeout=1", "--define config.\"a b\": 'a b' cannot name", ""),
        ("images.Big.from=x:1", "--define images.Big: 'Big' cannot name an image", ""),
        ("images.i.env.A=1", "--define images.i: the image has nothing to begin with", "`from`"),
        ("network.public.allow=80/tcp", "--define network.public: the network 'public' is a", ""),
        ("network.n.allow=80", "--define network.n.allow: ", ""),
        ("config.a.volumes=x", "--define config.a.volumes: 'x' is not a volume", ""),
    ],
)
def test_what_is_wrong_is_named_by_the_option(definition: str, message: str, hint: str) -> None:
    error = problem(definition)

    assert message in str(error)
    assert str(error).startswith("--define")
    assert hint in (error.hint or "")


def test_a_mistake_of_the_file_is_the_files(tmp_path: Path) -> None:
    path = tmp_path / "barasync.toml"
    path.write_text("config = 3\n")

    with pytest.raises(ConfigError, match=r"^barasync\.toml: config: expected a table"):
        load_with(path, ["config.a.timeout=1"], tmp_path)
