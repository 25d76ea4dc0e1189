"""Rows of `quirks`: volumes, secrets, and the service itself."""

from __future__ import annotations

from barasync.aiopodman.quirk import Quirk

VOLUME_LABELS_ARE_ANY = Quirk(
    name="volume-labels-are-any",
    trap="volumes asked for by several labels are those that carry any of them",
    workaround="volumes.list looks at the labels itself; volumes.prune takes one there",
    evidence="measured on 4.3.1, gone in 5.4.2; podman 96241159a8",
    fixed=(4, 7, 0),
)
SECRET_LABELS_UNLISTED = Quirk(
    name="secret-labels-unlisted",
    trap="a list of secrets leaves their labels out",
    workaround="secrets.list inspects each secret where it is asked for labels",
    evidence="read in secrets.go of 4.3.1 to 5.0.0, measured on 4.3.1",
    fixed=(5, 0, 0),
)
SECRET_NAMES_ARE_SHORT = Quirk(
    name="secret-names-are-short",
    trap="a secret's name has 64 characters at most, of letters, digits and -_.",
    workaround="the caller cuts the name of a secret, which a number keeps unique",
    evidence="read in secrets.go of 4.3.1 to 4.6.0, measured on 4.3.1",
    fixed=(4, 6, 0),
)
SECRET_ENV_IS_SHOWN = Quirk(
    name="secret-env-is-shown",
    trap="inspect of a container shows the values of the secrets in its environment",
    workaround="the caller says so, and offers files instead",
    evidence="podman #23788, measured on 4.3.1",
    fixed=(5, 3, 0),
)
DATABASE_FAILS_AT_TIMES = Quirk(
    name="database-fails-at-times",
    trap="podman's SQLite fails now and then, where many containers begin and end at once",
    workaround="a GET is sent again; the caller takes another container where none has run",
    evidence="seen once on 5.4.2, at one attach of 2,000 (disk I/O error); podman #20809",
    on_demand=False,
    since=(4, 8, 0),
)
IDLE_CONNECTIONS_CLOSE = Quirk(
    name="idle-connections-close",
    trap="a service that was started with a time limit closes idle connections, 10 s by default",
    workaround="connections are kept for 5 s, and a GET that meets a closed one is sent again",
    evidence="read in server.go of 4.3.1; docker-java #2682",
    on_demand=False,
)
EVENTS_MISSED_AT_A_CUT = Quirk(
    name="events-missed-at-a-cut",
    trap="what is written within 250 ms before podman cuts its file of events is not passed on to"
    " those that follow it",
    workaround="watch follows the cuts as well, and asks again for what was before",
    evidence="measured on 5.4.2; podman 408e764b94, read in logfile.go of 5.4.2 and 5.8.2",
    since=(4, 5, 0),
)
