"""Another user of this host, who may use the socket of a service that is not his."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.rig.accounts import ensure_rootless_user
from tests.rig.command import Barasync

_HIDDEN_PROC = 'mount -t proc -o hidepid=invisible proc /proc && exec "$@"'


@contextmanager
def admitted(socket_path: str) -> Iterator[pwd.struct_passwd]:
    """Give the socket of a service to the group of another user, and take it back."""
    account = ensure_rootless_user()
    path = Path(socket_path)
    before = path.stat()
    with ExitStack() as stack:
        stack.callback(os.chown, path, before.st_uid, before.st_gid)
        stack.callback(path.chmod, stat.S_IMODE(before.st_mode))
        os.chown(path, before.st_uid, account.pw_gid)
        path.chmod(0o660)
        yield account


def as_user(barasync: Barasync, account: pwd.struct_passwd, *, hidden_proc: bool) -> Barasync:
    """Return the command line in the same project, which becomes a user's, run by this user.

    `hidden_proc` mounts a `/proc` that shows nobody else's processes. The user may read and enter
    everything, as he would in an installation of his own; he may write only what is his.
    """
    home = barasync.directory.with_name(f"home-of-{account.pw_name}")
    home.mkdir()
    for path in (home, barasync.directory, *barasync.directory.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid)
    become = (
        "setpriv",
        f"--reuid={account.pw_uid}",
        f"--regid={account.pw_gid}",
        "--clear-groups",
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=-all,+dac_read_search",
    )
    mount = ("unshare", "--mount", "sh", "-c", _HIDDEN_PROC, "sh") if hidden_proc else ()
    environ = {**barasync.environ, "HOME": str(home), "USER": account.pw_name}
    return replace(barasync, within=(*mount, *become), environ=environ)
