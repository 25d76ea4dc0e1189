"""Rows of `quirks`: what a container prints, and how it is learned that it has ended."""

from __future__ import annotations

from barasync.aiopodman.quirk import Quirk

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
ATTACH_ENDS_WITH_A_NOTICE = Quirk(
    name="attach-ends-with-a-notice",
    trap="what ended an attachment is written behind a command's output: before 5.4 that podman's"
    " own keys did, in any version that the connection broke",
    workaround="Attachment leaves out a notice at the very end",
    evidence="measured on 4.3.1; podman 9e2e7f2a77, read in util.go of 4.3.1 and 5.4.2",
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
    workaround="whole_log, and a cell, follow until wait has answered and read the rest without",
    evidence="read in container_log.go of 4.3.1",
    on_demand=False,
    fixed=(5, 3, 0),
)
TAIL_CUTS_A_LINE = Quirk(
    name="tail-cuts-a-line",
    trap="the last lines of a log begin with the last piece of one that was printed in pieces",
    workaround="whole_log counts the lines itself",
    evidence="measured on 4.3.1 and 5.4.2",
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
