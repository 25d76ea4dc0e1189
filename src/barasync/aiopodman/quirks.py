"""What podman does differently from what one would expect, by version, and what is done about it.

Code that depends on a version asks this table; nothing else compares version numbers. Where a row
says *the caller*, this package cannot work around the trap alone. Every row has tests, which begin
with its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from barasync.aiopodman.version import PodmanVersion, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """A trap, in which versions it is set, and the way around it.

    It is active from `since` (inclusive; `None`: from the oldest supported version) up to `fixed`
    (exclusive; `None`: in every version known). `evidence` names an upstream issue or commit, or
    says that it was measured. `on_demand` is false where the trap cannot be sprung at will: then
    the tests show only that the way around is taken.
    """

    name: str
    trap: str
    workaround: str
    evidence: str
    on_demand: bool = True
    since: Release | None = None
    fixed: Release | None = None

    def is_active(self, release: Release) -> bool:
        """Tell whether a podman of this release has the trap."""
        old_enough = self.fixed is None or release < self.fixed
        new_enough = self.since is None or self.since <= release
        return old_enough and new_enough


# Output and its end

ATTACH_BEGINS_WITH_ITS_ANSWER = Quirk(
    name="attach-begins-with-its-answer",
    trap="what a container prints before podman answers attach does not come",
    workaround="start_attached awaits the headers of the answer before it starts the container",
    evidence="measured on 4.3.1: output lost in 8 of 20 runs, in none after the headers",
    on_demand=False,
)
ATTACH_MISSES_OUTPUT = Quirk(
    name="attach-misses-output",
    trap="attach answers before conmon accepts it: the output of a quick container can be missing",
    workaround="start_attached compares what came with the log, or replays it where nothing could",
    evidence="measured: 1 of 2000 on 4.3.1 under load, each one while conmon is held up",
)
ATTACH_REINITIALISES = Quirk(
    name="attach-reinitialises",
    trap="attach to a container that has exited makes it anew: its exit code is lost, attach hangs",
    workaround="the caller attaches once, before start, and reads lost output with logs",
    evidence="podman #23757, measured on 4.3.1",
)
ATTACH_TAKES_STDIN = Quirk(
    name="attach-takes-stdin",
    trap="attach that does not speak of stdin attaches it",
    workaround="attach says no to stdin",
    evidence="read in containers_attach.go of 4.3.1",
    on_demand=False,
)
ATTACH_MISFRAMES_LOGS = Quirk(
    name="attach-misframes-logs",
    trap="attach that asks for the log as well gets frames of a wrong length",
    workaround="attach never asks for the log, which is read by a request of its own",
    evidence="podman #16856",
    on_demand=False,
    fixed=(4, 4, 0),
)
SLOW_READER_FREEZES = Quirk(
    name="slow-reader-freezes",
    trap="while an attached client does not read, a container stands still and is not removed",
    workaround="the caller reads all the time, and leaves attach before it removes the container",
    evidence="measured on 4.3.1 and 5.4.2: the removal fails after 5 s",
)
LOG_IS_THE_SERVICES = Quirk(
    name="log-is-the-services",
    trap="a container logs as the service says: not at all, without bounds, or dropping lines",
    workaround="create names the log driver k8s-file, and a size",
    evidence="measured: 45 bytes a line on top of the line, without a limit",
)
LOG_HEADERS_LATE = Quirk(
    name="log-headers-late",
    trap="logs that follow answer with headers only after the container's first line",
    workaround="the headers of such a request are awaited without a time limit",
    evidence="podman #23712, measured on 4.3.1",
    fixed=(5, 3, 0),
)
LOG_FOLLOW_MAY_NOT_END = Quirk(
    name="log-follow-may-not-end",
    trap="logs that follow never end where the container ended before they listened for that",
    workaround="the caller stops following once wait has answered, and reads the rest without",
    evidence="read in container_log.go of 4.3.1",
    on_demand=False,
    fixed=(5, 3, 0),
)
WAIT_POLLS = Quirk(
    name="wait-polls",
    trap="wait polls the container at an interval, 250 ms by default, under the container's lock",
    workaround="wait asks for a short interval; the end of attach is the signal to prefer",
    evidence="podman #23601, measured on 4.3.1",
    fixed=(5, 3, 0),
)
WAIT_OF_UNSTARTED_IS_ZERO = Quirk(
    name="wait-of-unstarted-is-zero",
    trap="wait answers 0 at once for a container that never started",
    workaround="the caller takes no verdict from wait: what has not ended has none",
    evidence="podman #27423, measured on 4.3.1 and 5.4.2",
)
DEAD_MONITOR_LOOKS_ALIVE = Quirk(
    name="dead-monitor-looks-alive",
    trap="where conmon was killed, wait answers 0 at once, and inspect says that it runs",
    workaround="the caller takes no verdict from wait, and looks for conmon before it gives up",
    evidence="measured on 5.4.2",
    since=(5, 0, 0),
)
KILL_RETURNS_EARLY = Quirk(
    name="kill-returns-early",
    trap="kill answers before the container has ended",
    workaround="the caller awaits the end, with a deadline",
    evidence="measured on 4.3.1",
    on_demand=False,
)
WRONG_STATE_IS_500 = Quirk(
    name="wrong-state-is-500",
    trap="kill answers 500 when the container does not run",
    workaround="errors are classified by podman's cause before the status",
    evidence="podman #19368, measured on 4.3.1",
    fixed=(4, 6, 1),
)
OOM_KILLED_UNSET = Quirk(
    name="oom-killed-unset",
    trap="a container killed for lack of memory exits with 137 and OOMKilled=false",
    workaround="the caller counts the kernel's kills in the cgroup that it gave the container",
    evidence="podman #13102, measured on 4.3.1",
    fixed=(5, 0, 0),
)
OOM_KILLED_FOR_ANY = Quirk(
    name="oom-killed-for-any",
    trap="OOMKilled is true though it was a child that was killed and the command went on",
    workaround="the caller takes the command's own exit code, and remarks on the rest",
    evidence="measured on 5.4.2",
    since=(5, 0, 0),
)
TIMEOUT_EXITS_MINUS_ONE = Quirk(
    name="timeout-exits-minus-one",
    trap="a container killed by its server-side timeout has the exit code -1",
    workaround="the caller reads -1 as a timeout once that time is over, before as unknown",
    evidence="measured on 4.3.1 and 5.4.2",
)
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
    fixed=(5, 0, 0),
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
    fixed=(5, 0, 0),
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
# Images and volumes

BUILD_KNOWS_NO_HEREDOC = Quirk(
    name="build-knows-no-heredoc",
    trap="a build takes the lines of a heredoc for instructions",
    workaround="the caller writes scripts in the JSON form",
    evidence="buildah 1.33 brought them; measured on 4.3.1 and 5.4.2",
    fixed=(4, 8, 0),
)
COMMIT_CHANGES_ARE_LITERAL = Quirk(
    name="commit-changes-are-literal",
    trap="commit takes the values in changes as they are, where later ones read a Containerfile's",
    workaround="the caller writes values that need quoting in the way of the version",
    evidence="podman #20657, measured on 4.3.1 and 5.4.2",
    fixed=(5, 0, 0),
)
COMMIT_PAUSES = Quirk(
    name="commit-pauses",
    trap="commit stops a running container unless it is told not to",
    workaround="commit says no to pause",
    evidence="read in commit.go of 4.3.1",
    on_demand=False,
)
COMMIT_CANNOT_CLEAR_COMMAND = Quirk(
    name="commit-cannot-clear-command",
    trap="a commit that is to have neither entrypoint nor command has those of the container",
    workaround="the caller gives it a command that does no harm, and no entrypoint",
    evidence="measured on 5.4.2, not so in 4.3.1",
    since=(5, 0, 0),
)
COMMIT_LOSES_STOP_SIGNAL = Quirk(
    name="commit-loses-stop-signal",
    trap="a commit does not have the stop signal of the container's image",
    workaround="the caller gives it once more, in the changes",
    evidence="measured on 5.4.2, not so in 4.3.1",
    since=(5, 0, 0),
)
PULL_FAILS_AFTER_200 = Quirk(
    name="pull-fails-after-200",
    trap="a pull that fails has answered 200 before",
    workaround="pull reads the stream to its end, and raises the error that is in it",
    evidence="measured on 4.3.1 and 5.4.2",
)
BUILD_FAILS_AFTER_200 = Quirk(
    name="build-fails-after-200",
    trap="a build that fails has answered 200 before",
    workaround="build reads the stream to its end, and raises the error that is in it",
    evidence="measured on 4.3.1 and 5.4.2",
)
BUILD_HAS_NO_CACHE = Quirk(
    name="build-has-no-cache",
    trap="a build that is not told the format of its images takes no step from the cache",
    workaround="build asks for OCI's format",
    evidence="measured on 4.3.1 and 5.4.2",
)
BUILD_HAS_THE_HOSTS_NETWORK = Quirk(
    name="build-has-the-hosts-network",
    trap="what a build executes has the host's network, also where it is to have none",
    workaround="build asks for a network namespace of its own",
    evidence="measured on 4.3.1 and 5.4.2",
)
BUILD_LEAVES_LAYERS = Quirk(
    name="build-leaves-layers",
    trap="the images of the steps before the one that fails stay, without a name",
    workaround="the caller removes those that have the annotation of the build",
    evidence="measured on 4.3.1 and 5.4.2",
)
BUILD_OUTLIVES_ITS_CLIENT = Quirk(
    name="build-outlives-its-client",
    trap="after its client has gone a build ends its step, and then removes its containers",
    workaround="the caller kills what it executes, by its cgroup, before it leaves",
    evidence="measured on 4.3.1 and 5.4.2",
)
LIST_REFUSES_IDS = Quirk(
    name="list-refuses-ids",
    trap="a manifest list takes no image by its ID, and asks a registry for one that has a name",
    workaround="manifests.add says that the image lies in the storage",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 0, 0),
)
LIST_NAME_MEANS_A_MEMBER = Quirk(
    name="list-name-means-a-member",
    trap="an image removed or untagged by the name of a list is the list's own of this platform",
    workaround="manifests.remove takes the list; the caller removes no image by such a name",
    evidence="measured on 4.3.1 and 5.4.2",
)
LIST_IS_ASKED_OF_REGISTRIES = Quirk(
    name="list-is-asked-of-registries",
    trap="for the entries of what is no list here podman asks a registry, for as long as it takes",
    workaround="manifests.entries looks first whether there is such a list",
    evidence="measured on 4.3.1 and 5.4.2",
)
PUSH_TELLS_NO_DIGEST = Quirk(
    name="push-tells-no-digest",
    trap="the push of an image does not say which digest it has in the registry",
    workaround="push returns none, and the caller names the image by its tag",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 0, 0),
)
IMAGE_LABELS_EXCLUDE = Quirk(
    name="image-labels-exclude",
    trap="images asked for by several labels are none",
    workaround="images.list asks for one label and looks at the others itself",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 0, 0),
)
VOLUME_LABELS_ARE_ANY = Quirk(
    name="volume-labels-are-any",
    trap="volumes asked for by several labels are those that carry any of them",
    workaround="volumes.list looks at the labels itself",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 0, 0),
)
# Secrets

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
# The service

IDLE_CONNECTIONS_CLOSE = Quirk(
    name="idle-connections-close",
    trap="a service that was started with a time limit closes idle connections, 10 s by default",
    workaround="connections are kept for 5 s, and a GET that meets a closed one is sent again",
    evidence="read in server.go of 4.3.1; docker-java #2682",
    on_demand=False,
)

QUIRKS = (
    ATTACH_BEGINS_WITH_ITS_ANSWER,
    ATTACH_MISSES_OUTPUT,
    ATTACH_REINITIALISES,
    ATTACH_TAKES_STDIN,
    ATTACH_MISFRAMES_LOGS,
    SLOW_READER_FREEZES,
    LOG_IS_THE_SERVICES,
    LOG_HEADERS_LATE,
    LOG_FOLLOW_MAY_NOT_END,
    WAIT_POLLS,
    WAIT_OF_UNSTARTED_IS_ZERO,
    DEAD_MONITOR_LOOKS_ALIVE,
    KILL_RETURNS_EARLY,
    WRONG_STATE_IS_500,
    OOM_KILLED_UNSET,
    OOM_KILLED_FOR_ANY,
    TIMEOUT_EXITS_MINUS_ONE,
    IMAGE_MISSING_IS_500,
    IMAGE_OF_ANY_ARCHITECTURE,
    COMMAND_IS_DEMANDED,
    TIMEOUT_IS_WHOLE_SECONDS,
    RLIMITS_REPLACE_DEFAULTS,
    LIMITS_NEED_DELEGATION,
    SHARED_VOLUME_DEADLOCK,
    AUTO_REMOVE_LOSES_THE_CODE,
    REMOVAL_WAITS,
    REMOVAL_FAILS_WITHOUT_MONITOR,
    ANONYMOUS_VOLUMES_STAY,
    STOPPING_FOR_EVER,
    VOLUME_REMOVAL_DEADLOCK,
    ARCHIVE_ENDS_CLEANLY,
    ARCHIVE_RACES_CLEANUP,
    ARCHIVE_FOLLOWS_THE_PATH,
    ARCHIVE_HOLDS_ANYTHING,
    UPLOAD_CHANGES_OWNER,
    UPLOAD_REFUSES_LINKS,
    BUILD_KNOWS_NO_HEREDOC,
    COMMIT_CHANGES_ARE_LITERAL,
    COMMIT_PAUSES,
    COMMIT_CANNOT_CLEAR_COMMAND,
    COMMIT_LOSES_STOP_SIGNAL,
    PULL_FAILS_AFTER_200,
    PUSH_TELLS_NO_DIGEST,
    BUILD_FAILS_AFTER_200,
    BUILD_HAS_NO_CACHE,
    BUILD_HAS_THE_HOSTS_NETWORK,
    BUILD_LEAVES_LAYERS,
    BUILD_OUTLIVES_ITS_CLIENT,
    LIST_REFUSES_IDS,
    LIST_NAME_MEANS_A_MEMBER,
    LIST_IS_ASKED_OF_REGISTRIES,
    IMAGE_LABELS_EXCLUDE,
    VOLUME_LABELS_ARE_ANY,
    SECRET_LABELS_UNLISTED,
    SECRET_NAMES_ARE_SHORT,
    SECRET_ENV_IS_SHOWN,
    IDLE_CONNECTIONS_CLOSE,
)


def active(version: PodmanVersion) -> tuple[Quirk, ...]:
    """Return the quirks of this version, in the order of the table."""
    return tuple(quirk for quirk in QUIRKS if quirk.is_active(version.release))
