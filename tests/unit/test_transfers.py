"""What `image pull` and `image push` refuse before podman is asked."""

from __future__ import annotations

import pytest

from barasync.cli.transfers import pull_image, push_image
from barasync.errors import ConfigError
from barasync.matrix.platforms import parse

pytestmark = pytest.mark.anyio

NOWHERE = "unix:///nowhere/podman.sock"


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("localhost/x:1", "IMAGE: localhost/x:1 is on this podman service, not in a registry"),
        ("Not A Name", "IMAGE: "),
        ("1" * 64, "IMAGE: .*is an image ID"),
    ],
)
async def test_only_what_a_registry_could_have_is_pulled(image: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        await pull_image(
            image, [parse("amd64")], insecure=False, verbose=False, url=NOWHERE, environ={}
        )


@pytest.mark.parametrize(
    ("image", "destination", "problem"),
    [
        ("tool", None, "'tool' has no name in a registry"),
        ("1" * 64, None, "has no name in a registry"),
        ("localhost/x:1", None, "IMAGE: localhost/x:1 is on this podman service"),
        ("localhost/x:1", "localhost/x:2", "DESTINATION: localhost/x:2 is on this podman"),
        ("localhost/x:1", "r.example/X", "DESTINATION: "),
        ("localhost/x:1", f"r.example/x@sha256:{'1' * 64}", "has a digest, which the registry"),
    ],
)
async def test_only_a_name_of_a_registry_can_be_pushed_to(
    image: str, destination: str | None, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        await push_image(
            image, destination, ["tool"], insecure=False, verbose=False, url=NOWHERE, environ={}
        )
