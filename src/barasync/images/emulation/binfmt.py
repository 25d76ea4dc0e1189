r"""The kernel's registry of interpreters for foreign executables, as data.

Two texts describe the same thing: an entry below /proc/sys/fs/binfmt_misc says what is registered,
a line of a binfmt.d file says what a package wants registered. Entries are found by what they
claim, not by their name: distributions name them differently, a program's header is what counts.

Source: the kernel's Documentation/admin-guide/binfmt-misc.rst; binfmt.d(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FIXED = "F"
"""The flag that opens the interpreter once, at registration: only so do containers find it."""

_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_FIELDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Which files an interpreter is for: those with `magic` at `offset`, where `mask` has bits.

    An empty `mask` compares every bit.
    """

    magic: bytes
    mask: bytes = b""
    offset: int = 0

    def covers(self, header: bytes) -> bool:
        """Tell whether a file that begins with `header` would be given to the interpreter."""
        window = header[self.offset : self.offset + len(self.magic)]
        mask = self.mask or b"\xff" * len(self.magic)
        if not self.magic or len(window) < len(self.magic):
            return False
        return all(
            (have ^ want) & bits == 0
            for have, want, bits in zip(window, self.magic, mask, strict=False)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """An interpreter that the kernel has registered; `name` is that of its entry."""

    name: str
    enabled: bool
    interpreter: str
    flags: str
    claim: Claim

    @property
    def fixed(self) -> bool:
        """Whether containers, which have other files than the host, can use it."""
        return FIXED in self.flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """An interpreter that a package offers; `fields` are those of its line, between delimiters."""

    fields: tuple[str, ...]
    delimiter: str
    claim: Claim

    @property
    def name(self) -> str:
        """The name of the entry it makes."""
        return self.fields[0]

    @property
    def interpreter(self) -> str:
        """The program it hands the files to."""
        return self.fields[5]

    def line(self) -> str:
        """Return the line to write to `register`: as shipped, and with the flag F in any case."""
        *fields, flags = self.fields
        if FIXED not in flags:
            flags += FIXED
        return self.delimiter + self.delimiter.join((*fields, flags))


def parse_entry(name: str, text: str) -> Handler | None:
    """Return the handler that an entry of binfmt_misc describes.

    `None` for an entry that goes by a file's extension, and for text that is no entry.
    """
    first, _, rest = text.partition("\n")
    values = dict(line.partition(" ")[::2] for line in rest.splitlines())
    if first not in {"enabled", "disabled"} or not {"interpreter", "magic"} <= values.keys():
        return None
    try:
        claim = Claim(
            magic=bytes.fromhex(values["magic"]),
            mask=bytes.fromhex(values.get("mask", "")),
            offset=int(values.get("offset", "0")),
        )
    except ValueError:
        return None
    return Handler(
        name=name,
        enabled=first == "enabled",
        interpreter=values["interpreter"],
        flags=values.get("flags:", ""),
        claim=claim,
    )


def parse_registrations(text: str) -> tuple[Registration, ...]:
    """Return the handlers that a binfmt.d file asks for, those found by extension left out.

    A line that the kernel would refuse is left out as well: the file is not ours to judge.
    """
    lines = (line.strip() for line in text.splitlines())
    wanted = (_parse_line(line) for line in lines if line and line[0] not in "#;")
    return tuple(registration for registration in wanted if registration is not None)


def _parse_line(line: str) -> Registration | None:
    """Return what `:name:type:offset:magic:mask:interpreter:flags` says, any delimiter."""
    delimiter, parts = line[0], line.split(line[0])
    if len(parts) != _FIELDS or parts[2] != "M":
        return None
    name, _, offset, magic, mask, interpreter, _ = fields = tuple(parts[1:])
    if not (name and magic and interpreter and (offset or "0").isdecimal()):
        return None
    claim = Claim(magic=_unescape(magic), mask=_unescape(mask), offset=int(offset or "0"))
    if claim.mask and len(claim.mask) != len(claim.magic):
        return None
    return Registration(fields=fields, delimiter=delimiter, claim=claim)


def _unescape(text: str) -> bytes:
    r"""Return the bytes that `\x7fELF` stands for."""
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode())
