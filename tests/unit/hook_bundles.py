"""What podman writes of a container for its runtime, as far as the OCI hook looks at it."""

from __future__ import annotations

import json

ID = "0123456789abcdef" * 4
NETNS = "netns-5f3c2a10-9b1e-4c55-8a77-0123456789ab"
NONE_HELD: dict[str, list[str]] = {}
OWN_PIDS = {"type": "pid"}
OWN = {"type": "network", "path": f"/run/netns/{NETNS}"}


def bundle(
    *,
    policy: str = "local",
    capabilities: object = NONE_HELD,
    namespace: object = OWN,
    pid: object = OWN_PIDS,
) -> bytes:
    return json.dumps(
        {
            "ociVersion": "1.0.2",
            "process": {"args": ["true"], "capabilities": capabilities},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": [each for each in (pid, namespace) if each]},
            "annotations": {"barasync.network": policy, "other": "1"},
        }
    ).encode()
