from __future__ import annotations

import pytest

from barasync.aiopodman.errors import ProtocolError
from barasync.aiopodman.models import ContainerInspect, ContainerSummary, ImageInspect
from barasync.aiopodman.wire.documents import decode_document


def test_null_counts_as_absent_at_any_depth() -> None:
    document = b'{"Id":"a","Config":{"Labels":null,"Env":null},"Error":null}'

    assert decode_document(document, ContainerInspect) == ContainerInspect(id="a")


def test_names_are_podmans_and_the_rest_is_ignored() -> None:
    state = b'{"Status":"exited","OOMKilled":true,"ExitCode":137,"Pid":0,"Healthy":{}}'

    container = decode_document(b'{"Id":"a","State":' + state + b"}", ContainerInspect)

    assert container.state.oom_killed
    assert container.state.exit_code == 137


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("created", False),
        ("running", False),
        ("stopping", False),
        ("stopped", True),
        ("exited", True),
    ],
)
def test_a_container_has_ended_when_podman_says_stopped_or_exited(status: str, ended: bool) -> None:
    document = b'{"Id":"a","State":{"Status":"%s"}}' % status.encode()

    assert decode_document(document, ContainerInspect).state.ended is ended


def test_times_have_nanoseconds_or_mean_never() -> None:
    image = decode_document(b'{"Id":"a","Created":"2026-11-23T22:56:12.844515967Z"}', ImageInspect)
    never = decode_document(b'{"Id":"a","Created":"0001-01-01T00:00:00Z"}', ImageInspect)

    assert image.created is not None
    assert image.created.second == 12
    assert never.created is not None
    assert never.created.year == 1


@pytest.mark.parametrize("data", [b"", b"OK", b"{}", b'{"Id":1}', b"[", b"[" * 100_000, b"\xff"])
def test_anything_else_is_a_protocol_error_that_quotes_it(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="podman sent '") as caught:
        decode_document(data, ContainerSummary)

    assert len(str(caught.value)) < 300
