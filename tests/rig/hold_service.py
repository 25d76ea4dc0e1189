"""Runs a private podman service until standard input ends.

    python hold_service.py USER PODMAN…

The service belongs to USER and gets this process's environment; PODMAN is the podman program with
its leading arguments. One line of JSON says where it is. A process of its own, so that the tests
can be another user, and can kill it.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

import anyio
import anyio.to_thread

from barasync.aiopodman.service import private_service


def become(name: str) -> None:
    account = pwd.getpwnam(name)
    if account.pw_uid != os.geteuid():
        os.setgroups([])
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)


async def rehearse() -> None:
    """Load what anyio loads late: the user may be unable to read our modules."""
    await anyio.run_process(["true"])


async def main() -> None:
    user, *podman = sys.argv[1:]
    await rehearse()
    become(user)
    async with private_service(environ=os.environ, podman=podman) as service:
        facts = {
            "url": service.endpoint.url,
            "version": str(service.version),
            "pid": service.pid,
            "rlimits": [[limit.type, limit.soft, limit.hard] for limit in service.rlimits],
            "notes": service.notes,
        }
        print(json.dumps(facts), flush=True)  # noqa: T201 - the answer
        await anyio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)


if __name__ == "__main__":
    anyio.run(main)
