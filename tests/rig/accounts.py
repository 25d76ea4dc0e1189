"""The user that rootless podman runs as in the tests."""

from __future__ import annotations

import pwd
import subprocess
from pathlib import Path

from tests.rig.debian import CACHE, SetupError, locked

ROOTLESS_USER = "barasync-test"


def ensure_rootless_user() -> pwd.struct_passwd:
    """Return the account, made with ranges of subordinate IDs if it is not there yet."""
    with locked(CACHE / "accounts.lock"):
        try:
            account = pwd.getpwnam(ROOTLESS_USER)
        except KeyError:
            add = ("useradd", "--system", "--add-subids-for-system", "--no-create-home")
            _run(*add, ROOTLESS_USER)
            account = pwd.getpwnam(ROOTLESS_USER)
    for table in (Path("/etc/subuid"), Path("/etc/subgid")):
        if not any(line.startswith(f"{ROOTLESS_USER}:") for line in table.read_text().splitlines()):
            raise SetupError(f"{ROOTLESS_USER} has no range in {table}; delete the user and retry")
    return account


def _run(*command: str) -> None:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SetupError(f"{' '.join(command)} failed: {run.stderr.strip()}")
