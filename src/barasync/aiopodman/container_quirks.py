"""Rows of `quirks`: containers that are made and removed, and files in and out of them."""

from __future__ import annotations

from barasync.aiopodman.quirk import Quirk

# Creation

IMAGE_MISSING_IS_500 = Quirk(
    name="image-missing-is-500",
    trap="create answers 500 when the image does not exist",
    workaround="errors are classified by podman's cause before the status",
    evidence="measured on 4.3.1",
    fixed=(4, 8, 0),
)
IMAGE_OF_ANY_ARCHITECTURE = Quirk(
    name="image-of-any-architecture",
    trap="create takes a local image of whatever architecture, without a word",
    workaround="the caller resolves it to an image of the right one, and creates by ID",
    evidence="podman #12682, read in generate/container.go of 4.3.1 and 5.8.2",
)
COMMAND_IS_DEMANDED = Quirk(
    name="command-is-demanded",
    trap="create refuses an image that has no command where none is given",
    workaround="the caller gives one, also to a container that never runs",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 4, 2),
)
TIMEOUT_IS_WHOLE_SECONDS = Quirk(
    name="timeout-is-whole-seconds",
    trap="a server-side timeout that is not a whole number is refused with 500",
    workaround="the caller rounds up",
    evidence="measured on 4.3.1 and 5.4.2",
)
RLIMITS_REPLACE_DEFAULTS = Quirk(
    name="rlimits-replace-defaults",
    trap="as root, rlimits of a container replace default_ulimits: nproc becomes 1048576",
    workaround="the caller that gives any rlimit gives nofile and nproc",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 4, 2),
)
LIMITS_NEED_DELEGATION = Quirk(
    name="limits-need-delegation",
    trap="without root, create accepts limits that are then ignored, or refused by start",
    workaround="the caller shows podman's warnings, and says which controllers to delegate",
    evidence="podman #7959, #22147",
    on_demand=False,
)
SHARED_VOLUME_DEADLOCK = Quirk(
    name="shared-volume-deadlock",
    trap="creating containers that share a named volume at the same time can deadlock podman",
    workaround="a client creates containers with named volumes one by one; two clients still may",
    evidence="podman #20313",
    fixed=(4, 8, 0),
)
TOP_OF_NOTHING_IS_EMPTY = Quirk(
    name="top-of-nothing-is-empty",
    trap="top of a container that does not run is answered with 200 and no document",
    workaround="top takes that for the conflict that newer podmans answer",
    evidence="measured on 4.3.1; podman d0505d6bac",
    fixed=(4, 6, 0),
)
# Pods

POD_STOP_WANTS_ALL = Quirk(
    name="pod-stop-wants-all",
    trap="stop of a pod does nothing once one of its containers has ended (`Degraded`)",
    workaround="the caller kills such a pod, or removes it by force",
    evidence="measured on 4.3.1 and 5.4.2, read in pods.go of both",
)
POD_STOP_OF_ZERO_IS_TEN = Quirk(
    name="pod-stop-of-zero-is-ten",
    trap="a pod that is to be stopped within 0 seconds gets ten",
    workaround="Pods.stop refuses less than 1; kill waits for nothing",
    evidence="measured on 4.3.1 and 5.4.2, read in pods.go of both",
)
# Removal

AUTO_REMOVE_LOSES_THE_CODE = Quirk(
    name="auto-remove-loses-the-code",
    trap="a container that is created with `remove` takes its exit code along",
    workaround="create never asks for it; the caller removes what it has inspected",
    evidence="podman #25479, measured on 4.3.1: 404 within 1.5 s",
)
REMOVAL_WAITS = Quirk(
    name="removal-waits",
    trap="a forced removal waits ten seconds for a container that ignores SIGTERM",
    workaround="the caller removes with a timeout of 0",
    evidence="measured on 4.3.1: 10.1 s, and 0.1 s with a timeout of 0",
)
REMOVAL_MEETS_THE_END = Quirk(
    name="removal-meets-the-end",
    trap="a forced removal is refused where the container ends before podman's SIGKILL reaches it",
    workaround="Container.remove asks again, and podman finds it ended",
    evidence="measured on 4.3.1, every fifth of those that end at once; never on 5.4.2",
    fixed=(5, 4, 2),
)
REMOVAL_FAILS_WITHOUT_MONITOR = Quirk(
    name="removal-fails-without-monitor",
    trap="the first removal of a container whose conmon was killed fails, the next succeeds",
    workaround="remove_persistently tries a few times",
    evidence="measured on 5.4.2",
    since=(5, 0, 0),
)
ANONYMOUS_VOLUMES_STAY = Quirk(
    name="anonymous-volumes-stay",
    trap="removing a container leaves its anonymous volumes, and each holds one of podman's locks",
    workaround="the caller removes with volumes",
    evidence="podman #27093, #14195",
)
EXEC_LEAVES_MONITORS = Quirk(
    name="exec-leaves-monitors",
    trap="an exec session leaves two conmons for five minutes, also when its container is removed",
    workaround="check_health leaves nothing; exit_command_delay of containers.conf shortens it",
    evidence="measured on 4.3.1 and 5.4.2",
)
EXEC_SEEMS_TO_RUN = Quirk(
    name="exec-seems-to-run",
    trap="an exec session that was started detached counts as running when its command has ended",
    workaround="the caller starts it attached where it wants to know of its end",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 4, 2),
)
EXEC_STAYS = Quirk(
    name="exec-stays",
    trap="no request removes an exec session",
    workaround="ExecSession.remove leaves it; it goes with its monitor, or with its container",
    evidence="measured on 4.3.1, gone in 5.4.2; the request came with 4.8 (bindings' exec.go)",
    fixed=(4, 8, 0),
)
EXEC_REFUSES_IN_OUTPUT = Quirk(
    name="exec-refuses-in-output",
    trap="exec answers before it executes, and prints that there is no such command as its output",
    workaround="attached turns that into the error, where nothing else came and the code agrees",
    evidence="measured on 4.3.1 and 5.4.2",
)
EXEC_HAS_DETACH_KEYS = Quirk(
    name="exec-has-detach-keys",
    trap="an exec session has podman's default detach keys, also where none are asked for",
    workaround="sessions are created with keys that nobody types: NUL, 16 times",
    evidence="measured on 4.3.1 and 5.4.2; attach takes an empty parameter for none",
)
HEALTH_CHECKS_NEED_SYSTEMD = Quirk(
    name="health-checks-need-systemd",
    trap="without systemd nothing executes a health check at its interval, and nothing says so",
    workaround="whoever waits for a container's health calls check_health again and again",
    evidence="measured on 4.3.1 and 5.4.2",
)
HEALTH_TIMEOUT_IS_500 = Quirk(
    name="health-timeout-is-500",
    trap="a health check that takes too long is waited for, and then answered with 500",
    workaround="it has its own class of error: it is not asked again, and check_health is false",
    evidence="measured on 4.3.1 and 5.4.2",
)
STOPPING_FOR_EVER = Quirk(
    name="stopping-for-ever",
    trap="a container can stay `stopping` for ever when podman and conmon were killed",
    workaround="removal is bounded in time; the caller reports the ID of what is still there",
    evidence="podman #19629, #16641",
    on_demand=False,
    fixed=(5, 1, 0),
)
VOLUME_REMOVAL_DEADLOCK = Quirk(
    name="volume-removal-deadlock",
    trap="removing a volume while a container with it is being created can deadlock podman",
    workaround="the caller removes a run's volumes once it is dead and its containers are gone",
    evidence="podman #23613",
    on_demand=False,
    fixed=(5, 3, 0),
)
# Archives

ARCHIVE_ENDS_CLEANLY = Quirk(
    name="archive-ends-cleanly",
    trap="an archive that podman could not finish ends as if it were complete",
    workaround="archive checks for the tar format's end marker, and for the container at the end",
    evidence="measured on 4.3.1 and 5.4.2",
)
ARCHIVE_RACES_CLEANUP = Quirk(
    name="archive-races-cleanup",
    trap="an archive of a container that has just ended is empty if podman unmounts it meanwhile",
    workaround="archive holds a mount of its own until it is read",
    evidence="measured: 12 of 150 on 4.3.1, 34 of 150 on 5.4.2, four containers at a time",
)
ARCHIVE_FOLLOWS_THE_PATH = Quirk(
    name="archive-follows-the-path",
    trap="an archive of a link has what it leads to, under that name",
    workaround="the caller names what it writes, whatever the root entry is called",
    evidence="measured on 4.3.1 and 5.4.2",
)
ARCHIVE_HOLDS_ANYTHING = Quirk(
    name="archive-holds-anything",
    trap="links that lead out, fifos and devices are members of an archive",
    workaround="the caller extracts nothing that could lead out, and lists what it left out",
    evidence="measured on 4.3.1 and 5.4.2",
)
ARCHIVE_PATH_IS_A_PATTERN = Quirk(
    name="archive-path-is-a-pattern",
    trap="the path of an archive, or of what is looked at, is a pattern: no `[` is found",
    workaround="programs are looked for by names without *, ?, [ and backslash",
    evidence="measured on 4.3.1 and 5.4.2",
)
UPLOAD_CHANGES_OWNER = Quirk(
    name="upload-changes-owner",
    trap="an upload belongs to the container's user, whatever the archive says",
    workaround="the workspace layer wants it so",
    evidence="read in 4.3.1, measured on 4.3.1 and 5.4.2",
)
UPLOAD_REFUSES_LINKS = Quirk(
    name="upload-refuses-links",
    trap="an upload with entries that cross an absolute link of the container is refused",
    workaround="the workspace's archive begins with a directory, which takes the place of a link",
    evidence="podman #29805; not seen: no podman of that version was at hand",
    on_demand=False,
    since=(5, 8, 7),
)
