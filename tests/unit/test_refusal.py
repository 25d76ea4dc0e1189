from __future__ import annotations

import json

import pytest

from barasync.aiopodman.errors import (
    APIError,
    BadRequest,
    CommandNotFound,
    Conflict,
    DatabaseError,
    NoFreeSubnet,
    NotFound,
    OCIRuntimeError,
    PortInUse,
    ResolverFailed,
    ServerError,
    SubnetInUse,
)
from barasync.aiopodman.wire.refusal import MAX_TEXT, refusal


def refused(status: int, cause: str, message: str = "") -> APIError:
    body = json.dumps({"cause": cause, "message": message or cause, "response": status}).encode()
    return refusal(status, body, method="POST", path="/libpod/containers/create")


# What podman 4.3.1 (first) and 5.4.2 (second) answer to the same mistake, as recorded.
@pytest.mark.parametrize(
    ("status", "cause", "message", "kind"),
    [
        (500, "image not known", "x: image not known", NotFound),
        (404, "image not known", "no such image: x: image not known", NotFound),
        (500, "container state improper", "can only kill running containers. …", Conflict),
        (409, "container state improper", "can only kill running containers. …", Conflict),
        (
            409,
            "OCI runtime attempted to invoke a command that was not found",
            "preparing container x for attach: crun: executable file `x` not found in $PATH",
            CommandNotFound,
        ),
        (
            500,
            "OCI runtime attempted to invoke a command that was not found",
            "crun: executable file `x` not found in $PATH",
            CommandNotFound,
        ),
        (409, "OCI permission denied", "preparing container x for attach: …", OCIRuntimeError),
        (500, "OCI permission denied", "crun: open executable: …", OCIRuntimeError),
        (409, 'workdir "/x" does not exist', "preparing container x for attach: …", ServerError),
        (500, 'workdir "/x" does not exist', "preparing container x for attach: …", ServerError),
        (500, "that name is already in use", "…", Conflict),
        (409, "image is in use by a container", "…", Conflict),
        (500, "network is being used", '"n" has associated containers with it.', Conflict),
        (409, "volume is being used", "volume v is being used by …", Conflict),
        (500, "volume already exists", "volume with name v already exists: …", Conflict),
        (409, "network already exists", "network name n already used: …", Conflict),
        (500, "bridge name b1 already in use", "bridge name b1 already in use", Conflict),
        (
            500,
            "subnet 10.89.0.0/24 is already used on the host or by another config",
            "subnet 10.89.0.0/24 is already used on the host or by another config",
            SubnetInUse,
        ),
        (500, "could not find free subnet from subnet pools", "…", NoFreeSubnet),
        (
            500,
            "address already in use",
            "cannot listen on the UDP port: listen udp4 127.0.0.1:1: bind: address already in use",
            PortInUse,
        ),
        (404, "no such volume", 'no volume with name "v" found: no such volume', NotFound),
        (404, "network not found", "unable to find network with name or ID n: …", NotFound),
        (404, "no such container", "…", NotFound),
        (404, "no such file or directory", "…", NotFound),
        (400, "schema: error converting value", "…", BadRequest),
        (500, "invalid signal: X", "…", ServerError),
        (503, "anything", "…", ServerError),
        (418, "anything", "…", ServerError),
    ],
)
def test_an_error_is_classified_by_its_cause_before_its_status(
    status: int, cause: str, message: str, kind: type[APIError]
) -> None:
    assert type(refused(status, cause, message)) is kind


@pytest.mark.parametrize(
    "cause", ["disk I/O error: no such file or directory", "database is locked"]
)
def test_database_fails_at_times__a_failure_of_the_database_is_told_apart(cause: str) -> None:
    message = f"preparing container x for attach: saving container x state: {cause}"

    assert type(refused(500, cause, message)) is DatabaseError


# The two processes of the resolver write their lines in any order.
@pytest.mark.parametrize("lines", [slice(None), slice(None, None, -1)])
@pytest.mark.parametrize("prefix", ["", "preparing container x for attach: "])
def test_resolver_listens_too_early__an_address_that_is_not_usable_yet_is_told_apart(
    prefix: str, lines: slice
) -> None:
    said = [
        "Error from child process",
        (
            "Error starting server failed to bind udp listener on [fdd6:4970:e67f:cb05::1]:53: IO"
            " error: Cannot assign requested address (os error 99)"
        ),
    ]
    cause = (
        "netavark: error while applying dns entries: IO error: aardvark-dns failed to start: "
        + "\n".join(said[lines])
    )

    assert type(refused(500, cause, prefix + cause)) is ResolverFailed


@pytest.mark.parametrize(
    "reason",
    [
        "Error from child process",
        "failed to bind udp listener on 10.89.0.1:53: IO error: Address in use (os error 98)",
    ],
)
def test_a_resolver_that_failed_for_good_is_podmans_failure(reason: str) -> None:
    began = "netavark: error while applying dns entries: IO error: aardvark-dns failed to start"

    assert type(refused(500, f"{began}: {reason}")) is ServerError


def test_an_error_keeps_what_podman_said_and_what_was_asked() -> None:
    error = refused(500, "image not known", "x: image not known")

    assert error.status == 500
    assert error.cause == "image not known"
    assert error.message == "x: image not known"
    assert error.method == "POST"
    assert error.path == "/libpod/containers/create"
    assert str(error) == "x: image not known (POST /libpod/containers/create: 500)"


@pytest.mark.parametrize("body", [b"Not Found\n", b"<html>", b"\xff\xfe", b"", b"[]"])
def test_an_answer_that_is_not_libpods_is_an_error_as_well(body: bytes) -> None:
    error = refusal(404, body, method="GET", path="/x")

    assert type(error) is NotFound
    assert error.message


def test_a_very_long_text_is_shortened_in_the_middle() -> None:
    error = refused(500, "a" * 5000 + "why")

    assert len(error.cause) < MAX_TEXT + 10
    assert error.cause.endswith("why")


def test_what_podman_was_asked_to_unpack_is_left_out() -> None:
    dump = 'error during bulk transfer for copier.request{Request:"PUT", Put:Options{x:{}}}'
    error = refused(500, f'{dump}: copier: put: error creating "/x": file exists')

    assert error.cause == 'copier: put: error creating "/x": file exists'


def test_what_a_pod_cannot_do_is_said_of_its_containers() -> None:
    body = json.dumps({"Errs": ["starting container a: no", "and b: no"], "Id": "p"}).encode()

    error = refusal(409, body, method="POST", path="/libpod/pods/p/start")

    assert "starting container a: no; and b: no" in str(error)
