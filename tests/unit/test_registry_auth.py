"""What auth files say about registries, and what helpers do."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from barasync.aiopodman import RegistryLogin, parse_reference
from barasync.errors import ImageError
from barasync.images.auth import (
    AuthFile,
    Helper,
    Malformed,
    auth_files,
    find,
    parse_auth_file,
    parse_helper_answer,
)
from barasync.images.login import find_login


def encoded(user: str, password: str = "word") -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def auth_file(*users: tuple[str, str], **more: object) -> AuthFile:
    """An auth file of `(registry, user)`."""
    auths = {registry: {"auth": encoded(user)} for registry, user in users}
    return parse_auth_file(json.dumps({"auths": auths, **more}).encode())


def user_of(file: AuthFile, reference: str) -> str | None:
    found = find(file, parse_reference(reference))
    assert not isinstance(found, Helper)
    return None if found is None else found.username


# Which entry


@pytest.mark.parametrize(
    ("reference", "user"),
    [
        ("r.example/team/tool/debug:1", "tool"),
        ("r.example/team/tool@sha256:" + "1" * 64, "tool"),
        ("r.example/team/toolbox", "team"),
        ("r.example/other", "registry"),
        ("r.example:5000/team/tool", "port"),
        ("other.example/team/tool", None),
        ("localhost/x", None),
    ],
)
def test_the_most_specific_entry_counts(reference: str, user: str | None) -> None:
    file = auth_file(
        ("r.example", "registry"),
        ("r.example/team/tool", "tool"),
        ("r.example/team", "team"),
        ("r.example:5000", "port"),
    )

    assert user_of(file, reference) == user


@pytest.mark.parametrize(
    ("key", "reference"),
    [
        ("https://index.docker.io/v1/", "docker.io/library/debian"),
        ("https://index.docker.io/v1/", "debian"),
        ("docker.io", "team/tool"),
        ("docker.io/library/debian", "docker.io/debian"),
        ("https://quay.io/v2/", "quay.io/team/tool"),
        ("http://r.example:5000", "r.example:5000/x"),
    ],
)
def test_keys_of_docker_are_understood(key: str, reference: str) -> None:
    assert user_of(auth_file((key, "me")), reference) == "me"


def test_a_short_name_is_only_dockers() -> None:
    assert user_of(auth_file(("r.example", "me")), "team/tool") is None


def test_a_password_may_hold_a_colon_and_an_entry_a_token() -> None:
    auths = {
        "a.example": {"auth": encoded("me", "p:w")},
        "b.example": {"auth": encoded("me", ""), "identitytoken": "t0ken"},
    }
    file = parse_auth_file(json.dumps({"auths": auths}).encode())

    assert find(file, parse_reference("a.example/x")) == RegistryLogin(
        registry="a.example", username="me", password="p:w"
    )
    assert find(file, parse_reference("b.example/x")) == RegistryLogin(
        registry="b.example", username="me", password="", identity_token="t0ken"
    )


def test_a_helper_of_the_registry_comes_first_and_the_one_of_all_last() -> None:
    file = auth_file(
        ("a.example", "me"), ("b.example", "me"), credHelpers={"a.example": "pass"}, credsStore="kw"
    )

    assert find(file, parse_reference("a.example/x")) == Helper("pass", "a.example")
    assert user_of(file, "b.example/x") == "me"
    assert find(file, parse_reference("c.example/x")) == Helper("kw", "c.example", optional=True)
    assert find(file, parse_reference("debian")) == Helper(
        "kw", "https://index.docker.io/v1/", optional=True
    )


def test_an_empty_entry_leaves_the_login_to_the_helper() -> None:
    text = b'{"auths": {"r.example": {}}, "credsStore": "kw"}'

    assert find(parse_auth_file(text), parse_reference("r.example/x")) == Helper(
        "kw", "r.example", optional=True
    )


@pytest.mark.parametrize("text", [b"", b" \n", b"{}", b'{"auths": {}, "detachKeys": "ctrl-x"}'])
def test_a_file_may_hold_no_login(text: bytes) -> None:
    assert user_of(parse_auth_file(text), "r.example/x") is None


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"auths": []}', b'{"auths": {"a": "b"}}', b"\xff"])
def test_what_is_no_auth_file_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_auth_file(text)


@pytest.mark.parametrize("auth", ["s3cret", "czNjcmV0", "/w=="])
def test_an_entry_that_cannot_be_read_is_named_and_not_shown(auth: str) -> None:
    file = parse_auth_file(json.dumps({"auths": {"r.example": {"auth": auth}}}).encode())

    with pytest.raises(Malformed, match=r"the entry of r\.example is not base64") as caught:
        find(file, parse_reference("r.example/x"))

    assert auth not in str(caught.value)


# Which file


def test_podmans_files_are_looked_at_in_its_order() -> None:
    assert auth_files({"HOME": "/home/me"}, 1000) == (
        Path("/run/containers/1000/auth.json"),
        Path("/home/me/.config/containers/auth.json"),
        Path("/home/me/.docker/config.json"),
    )
    places = {"XDG_RUNTIME_DIR": "/r", "XDG_CONFIG_HOME": "/c", "DOCKER_CONFIG": "/d"}
    assert auth_files(places, 0) == (
        Path("/r/containers/auth.json"),
        Path("/c/containers/auth.json"),
        Path("/d/config.json"),
    )
    assert auth_files({**places, "REGISTRY_AUTH_FILE": "/a"}, 0) == (Path("/a"),)


@pytest.mark.anyio
async def test_the_first_file_with_a_login_counts(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "HOME": str(tmp_path / "home")}
    first, *_, last = auth_files(environ, 0)
    for path, registry in ((first, "a.example"), (last, "b.example")):
        path.parent.mkdir(parents=True)
        auths = {registry: {"auth": encoded("me")}, "both.example": {"auth": encoded(path.name)}}
        path.write_text(json.dumps({"auths": auths}))

    found = {
        name: await find_login(parse_reference(f"{name}.example/x"), environ)
        for name in ("a", "b", "both", "c")
    }

    assert {name: None if one is None else one.file for name, one in found.items()} == {
        "a": first,
        "b": last,
        "both": first,
        "c": None,
    }


@pytest.mark.anyio
async def test_a_broken_file_is_named_with_what_writes_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text("{")

    with pytest.raises(ImageError, match=rf"the auth file {path} cannot be used: ") as caught:
        await find_login(parse_reference("r.example/x"), {"REGISTRY_AUTH_FILE": str(path)})

    assert caught.value.hint == "`podman login r.example` writes it anew"


# Helpers


def helped(tmp_path: Path, script: str) -> dict[str, str]:
    """The environment of a user whose auth file names a helper, a script of the shell."""
    path = tmp_path / "auth.json"
    path.write_text('{"credHelpers": {"r.example": "test"}}')
    helper = tmp_path / "docker-credential-test"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o755)
    return {"REGISTRY_AUTH_FILE": str(path), "PATH": f"{tmp_path}:/usr/bin:/bin"}


@pytest.mark.anyio
async def test_a_helper_is_asked_for_the_registry(tmp_path: Path) -> None:
    script = """read -r server; echo "{\\"Username\\": \\"$1 $server\\", \\"Secret\\": \\"s\\"}" """

    found = await find_login(parse_reference("r.example/x"), helped(tmp_path, script))

    assert found is not None
    assert (found.login.username, found.login.password) == ("get r.example", "s")


@pytest.mark.anyio
async def test_a_helper_may_know_no_login(tmp_path: Path) -> None:
    environ = helped(tmp_path, "echo credentials not found in native keychain; exit 1")

    assert await find_login(parse_reference("r.example/x"), environ) is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo s3cret; exit 3", "failed with exit code 3"),
        ("echo s3cret", "its answer is not JSON"),
    ],
)
async def test_a_helper_that_fails_is_named_and_its_output_not_shown(
    tmp_path: Path, script: str, problem: str
) -> None:
    with pytest.raises(ImageError, match=problem) as caught:
        await find_login(parse_reference("r.example/x"), helped(tmp_path, script))

    assert "s3cret" not in str(caught.value)


@pytest.mark.anyio
async def test_a_helper_that_is_missing_is_named(tmp_path: Path) -> None:
    environ = helped(tmp_path, "")
    (tmp_path / "docker-credential-test").unlink()

    with pytest.raises(ImageError, match=r"docker-credential-test, which is not installed"):
        await find_login(parse_reference("r.example/x"), environ)


@pytest.mark.anyio
async def test_a_helper_of_all_registries_may_be_missing(tmp_path: Path) -> None:
    """Docker's desktop leaves its own in the file."""
    path = tmp_path / "config.json"
    path.write_text('{"credsStore": "desktop.exe"}')
    environ = {"REGISTRY_AUTH_FILE": str(path), "PATH": str(tmp_path)}

    assert await find_login(parse_reference("r.example/x"), environ) is None


def test_a_helper_may_give_a_token() -> None:
    answer = b'{"ServerURL": "r.example", "Username": "<token>", "Secret": "t"}'

    assert parse_helper_answer("r.example", answer).identity_token == "t"
