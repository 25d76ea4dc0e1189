"""Capabilities that a cell gets beyond podman's default ones, and which of them no policy bears.

Source: capabilities(7), as of Linux 6.18.
"""

from __future__ import annotations

from barasync.config.spelling import did_you_mean

ALL = "ALL"

CAPABILITIES = frozenset(
    {
        "AUDIT_CONTROL",
        "AUDIT_READ",
        "AUDIT_WRITE",
        "BLOCK_SUSPEND",
        "BPF",
        "CHECKPOINT_RESTORE",
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "IPC_LOCK",
        "IPC_OWNER",
        "KILL",
        "LEASE",
        "LINUX_IMMUTABLE",
        "MAC_ADMIN",
        "MAC_OVERRIDE",
        "MKNOD",
        "NET_ADMIN",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_RAW",
        "PERFMON",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYSLOG",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_CHROOT",
        "SYS_MODULE",
        "SYS_NICE",
        "SYS_PACCT",
        "SYS_PTRACE",
        "SYS_RAWIO",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "WAKE_ALARM",
    }
)

# SYS_PTRACE is not among them: a container under a policy sees the processes of its own PID
# namespace alone, and none of those may do more to the rules than itself. The hook refuses others.
LIFTING = {
    "BPF": "loads programs into the kernel, where packets pass them",
    "DAC_READ_SEARCH": "opens files of the host by their handles, and gets out of the container",
    "NET_ADMIN": "changes the rules and the interfaces",
    "NET_RAW": "sends packets that pass no rule",
    "SYS_ADMIN": "mounts, and enters other namespaces",
    "SYS_MODULE": "loads modules into the kernel",
    "SYS_RAWIO": "writes to the host's devices and memory",
    ALL: "has those that change the rules",
}
"""Capabilities with which a cell could lift the rules of a policy or send past them, and how."""

DROPPED = tuple(name for name in LIFTING if name != ALL)
"""What every container under a policy is made without, whatever podman's configuration gives."""


def parse_capability(text: str) -> str:
    """Return the name of a capability in capitals and without `CAP_`, or `ALL`.

    Raises:
        ValueError: there is no such capability.
    """
    name = text.upper().removeprefix("CAP_")
    if name not in CAPABILITIES and text.upper() != ALL:
        known = (*sorted(CAPABILITIES), ALL)
        raise ValueError(f"there is no capability {text!r}{did_you_mean(name, known)}")
    return name
