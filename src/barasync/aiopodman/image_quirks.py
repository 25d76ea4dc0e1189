"""Rows of `quirks`: images, their builds, lists and registries."""

from __future__ import annotations

from barasync.aiopodman.quirk import Quirk

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
    fixed=(5, 4, 2),
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
LIST_IS_MISSED_WHILE_REPLACED = Quirk(
    name="list-is-missed-while-replaced",
    trap="podman looks a name up and then reads what has it: where another list takes the name in"
    " between and the old one is removed, it says that there is none of that name",
    workaround="manifests.exists asks once more",
    evidence="measured on 4.3.1: 8 of 26,699 asks while a list is replaced 298 times and podman is"
    " held up at its locks, none without that in 520,000; none of 4,875 on 5.4.2",
    on_demand=False,
)
PUSH_TELLS_NO_DIGEST = Quirk(
    name="push-tells-no-digest",
    trap="the push of an image does not say which digest it has in the registry",
    workaround="push returns none, and the caller adds what the name stands for to a list",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 4, 2),
)
IMAGE_LABELS_EXCLUDE = Quirk(
    name="image-labels-exclude",
    trap="images asked for by several labels are none",
    workaround="images.list asks for one label and looks at the others itself",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 4, 2),
)
