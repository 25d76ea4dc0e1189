from __future__ import annotations

from pathlib import Path

import pytest

from barasync.config.load import find, load, parse
from barasync.config.origin import Origin
from barasync.config.schema import CellTable, Document, ExcludeTable, WorkspaceMode
from barasync.errors import ConfigError

FULL = """
[defaults]
image = "toolchain"
command = ["bar", "{rule}", "{args}"]
timeout = 600
memory = "2g"
cpus = 1.0
pids = 100
network = "bridge"
env = { A = "1" }
volumes = ["./data:/data:ro"]
workspace = "none"
artifacts = ["/workspace/target/release/app"]

[matrix]
arch = ["amd64", "arm64", "riscv64"]
config = ["debug", "release"]
exclude = [{ arch = "riscv64", config = "release" }]
include = [{ arch = "amd64", config = "release", env = { LTO = "1" } }]

[config.release]
env = { PROFILE = "release" }
timeout = 900

[images.toolchain.bootstrap]
suite = "trixie"
packages = ["bash", "coreutils"]
"""


def problem(text: str, origin: Origin | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text, origin or Origin())
    return caught.value


def test_everything_a_file_may_say_is_read() -> None:
    document = parse(FULL, Origin())

    assert document.defaults.workspace is WorkspaceMode.NONE
    assert document.defaults.timeout == 600
    assert document.config["release"].env == {"PROFILE": "release"}
    assert document.matrix.exclude == [ExcludeTable(arch="riscv64", config="release")]
    assert document.matrix.include[0].env == {"LTO": "1"}
    assert document.images["toolchain"].bootstrap.distribution == "debian"
    assert document.images["toolchain"].bootstrap.packages == ["bash", "coreutils"]


def test_an_empty_file_says_nothing() -> None:
    assert parse("", Origin()) == Document()


def test_a_pyproject_is_read_below_our_table_only() -> None:
    origin = Origin.of(Path("pyproject.toml"))
    text = '[project]\nname = "x"\n[tool.barasync.defaults]\nimage = "a"\n'

    assert parse(text, origin) == Document(defaults=CellTable(image="a"))
    assert parse("[tool.other]\na = 1\n", origin) == Document()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[config.release]\ntiemout = 3",
            "config.release.tiemout: unknown key; did you mean 'time",
        ),
        ("[matrixx]", "matrixx: unknown key; did you mean 'matrix'?"),
        (
            "[defaults]\ntimeout = 'ten'",
            "defaults.timeout: expected a number, got the string 'ten'",
        ),
        ("[config]\nrelease = 3", "config.release: expected a table, got the number 3"),
        ("[config.'a b']", "config.\"a b\": 'a b' cannot name a configuration"),
        ("[config.release]\nmemory = '2q'", "config.release.memory: '2q' is not a size"),
        ("[images.Base.bootstrap]\nsuite = 'sid'", "images.Base: 'Base' cannot name an image"),
        ("[images.base.bootstrap]", "images.base.bootstrap.suite: missing"),
        ("[matrix]\nconfig = ['a', '/']", "matrix.config[1]: '/' cannot name a configuration"),
        ("[matrix]\narch = []", "matrix.arch: expected a non-empty list of strings"),
        ("[[matrix.exclude]]", "matrix.exclude[0]: names neither an arch nor a config"),
        (
            "[[matrix.include]]\nconfig = 'a'\n[[matrix.include]]\nconfig = '-a'",
            "matrix.include[1].config: '-a' cannot name a configuration",
        ),
        (
            "[[matrix.include]]\nenv = { 'A=' = '' }",
            "matrix.include[0].env.\"A=\": 'A=' cannot name an environment variable",
        ),
        ("[[matrix.include]]\nos = 'a'", "matrix.include[0].os: unknown key"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(text: str, message: str) -> None:
    assert str(problem(text)).startswith(f"barasync.toml: {message}")


def test_a_setting_at_the_top_is_sent_to_the_defaults() -> None:
    error = problem("image = 'a'")

    assert str(error) == "barasync.toml: image: unknown key"
    assert error.hint == "it belongs at barasync.toml: defaults.image"


def test_a_problem_in_a_pyproject_names_the_whole_key() -> None:
    error = problem("[tool.barasync.defaults]\ncpu = 1", Origin.of(Path("pyproject.toml")))

    assert str(error) == (
        "pyproject.toml: tool.barasync.defaults.cpu: unknown key; did you mean 'cpus'?"
    )


@pytest.mark.parametrize("text", ["tool = 3", "[tool]\nbarasync = 3"])
def test_a_pyproject_whose_table_is_none_is_refused(text: str) -> None:
    error = problem(text, Origin.of(Path("pyproject.toml")))

    assert str(error) == "pyproject.toml: tool.barasync: expected a table, got the number 3"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[defaults]\nimage = x", "line 2, column 9"),
        ("[defaults]\n\nimage = \n\n\n", "line 3, column 9: not TOML: Invalid value"),
        ("[defaults]\n\nimage = ", "line 3, at its end: not TOML: Invalid value"),
        ("a = 1\na = 2", "line 2, at its end: not TOML: Cannot overwrite a value"),
    ],
)
def test_a_syntax_error_has_its_line(text: str, where: str) -> None:
    assert str(problem(text)).startswith(f"barasync.toml: {where}")


def test_values_nested_without_end_are_refused() -> None:
    assert "nested too deeply" in str(problem("a = " + "[" * 5000))


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    assert "a number too large" in str(problem("a = " + "9" * 5000))


def test_the_nearest_folder_upwards_has_the_file(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "barasync.toml").touch()

    assert find(deep) == tmp_path / "barasync.toml"

    (tmp_path / "a" / "barasync.toml").touch()

    assert find(deep) == tmp_path / "a" / "barasync.toml"


def test_our_own_file_wins_over_a_pyproject_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.barasync]")

    assert find(tmp_path) == tmp_path / "pyproject.toml"

    (tmp_path / "barasync.toml").touch()

    assert find(tmp_path) == tmp_path / "barasync.toml"


@pytest.mark.parametrize("text", ["[tool.other]", "tool = 3", "", "broken", "[[[", b"\xff"])
def test_a_pyproject_that_does_not_name_us_is_passed_over(
    tmp_path: Path, text: str | bytes
) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (tmp_path / "barasync.toml").touch()
    (below / "pyproject.toml").write_bytes(text if isinstance(text, bytes) else text.encode())

    assert find(below) == tmp_path / "barasync.toml"


def test_a_broken_pyproject_that_names_us_is_found_so_that_its_error_is_shown(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.barasync.defaults]\nimage = x")
    path = find(tmp_path)

    assert path == tmp_path / "pyproject.toml"
    with pytest.raises(ConfigError, match=r"^pyproject\.toml: line 2"):
        load(path)


def test_a_directory_of_that_name_is_not_the_file(tmp_path: Path) -> None:
    (tmp_path / "barasync.toml").touch()
    (tmp_path / "below" / "barasync.toml").mkdir(parents=True)

    assert find(tmp_path / "below") == tmp_path / "barasync.toml"


def test_the_search_ends_at_the_root_of_the_file_system() -> None:
    root = Path("/")
    if (root / "barasync.toml").exists() or (root / "pyproject.toml").exists():
        pytest.skip("this host keeps a configuration file in its root folder")

    assert find(root) is None


def test_a_file_is_loaded_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "barasync.toml"
    path.write_text(FULL)

    assert load(path) == parse(FULL, Origin())


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(tmp_path / "nowhere.toml")


def test_a_file_in_another_encoding_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "barasync.toml"
    path.write_bytes(b"# gr\xf6\xdfe")

    with pytest.raises(ConfigError, match="not UTF-8 at byte 4"):
        load(path)


def test_a_folder_that_cannot_be_looked_at_is_said() -> None:
    with pytest.raises(ConfigError, match=r"barasync\.toml: cannot be looked for: File name too"):
        find(Path("/", "a" * 300))
