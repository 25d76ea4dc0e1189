"""Archives whose members have hostile or odd names and types."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.unit.archives import (
    END,
    Packed,
    directory,
    hard_link,
    member,
    pack,
    padded,
    pax_header,
    raw,
    record,
    symlink,
)
from tests.unit.corpus import Case, harmless, left_out, mixed, raw_left_out

UPWARDS = "its path leads upwards ('..')"
ABSOLUTE = "its path is absolute"
TAKEN = "another member has this name"
NO_DIRECTORY = "a part of its path is not a directory"
UNKNOWN = "its type b{!r} is unknown"


def gnu_long(name: bytes, type: bytes = b"L") -> bytes:  # noqa: A002 tar's word
    """Return the extension header of GNU tar for a long name or target."""
    payload = name + b"\0"
    header = raw(b"././@LongLink", type=type, size=b"%011o\0" % len(payload))
    return header + padded(payload)


def with_prefix(prefix: bytes, name: bytes) -> bytes:
    """Return a ustar header whose name is in two fields."""
    header = bytearray(raw(name))
    header[345 : 345 + len(prefix)] = prefix
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def planted(aim: Path) -> list[Packed]:
    """Return a file for an absolute path that exists."""
    return [member("a"), member(f"{aim}/sentinel", b"overwritten"), directory(str(aim), 0o777)]


def absolute(aim: Path) -> bytes:
    return pack(*planted(aim))


PATHS = {
    "upwards": left_out(member("../evil", b"x"), UPWARDS),
    "upwards in the middle": left_out(member("a/../../evil", b"x"), UPWARDS),
    "upwards, but back again": left_out(member("a/../b", b"x"), UPWARDS),
    "upwards behind a dot": left_out(member("./../evil", b"x"), UPWARDS),
    "upwards behind slashes": left_out(member("a//..//../evil", b"x"), UPWARDS),
    "upwards at the end": left_out(directory("a/.."), UPWARDS),
    "only upwards": left_out(directory(".."), UPWARDS),
    "upwards in a pax path": left_out(
        member("x", b"x", pax={"path": "../outside/evil"}), UPWARDS, shown="../outside/evil"
    ),
    "upwards in a GNU long name": raw_left_out(
        gnu_long(b"../" * 40 + b"evil") + raw(b"short"), "../" * 40 + "evil", UPWARDS
    ),
    "upwards in the ustar prefix": raw_left_out(
        with_prefix(b"..", b"outside/evil"), "../outside/evil", UPWARDS
    ),
    "upwards in a sparse file's name": raw_left_out(
        pax_header(
            record(b"GNU.sparse.size", b"1")
            + record(b"GNU.sparse.map", b"0,1")
            + record(b"GNU.sparse.name", b"../evil")
        )
        + raw(b"fine", size=b"%011o\0" % 1)
        + padded(b"x"),
        "../evil",
        UPWARDS,
    ),
    "upwards in a global pax path": Case(
        archive=lambda _: pax_header(record(b"path", b"../evil"), b"g") + pack(member("fine")),
        refused=(("../evil", UPWARDS),),
    ),
    "absolute file": left_out(member("/etc/evil", b"x"), ABSOLUTE),
    "absolute directory": left_out(directory("/evil"), ABSOLUTE),
    "absolute with two slashes": left_out(member("//evil", b"x"), ABSOLUTE),
    "absolute in the ustar prefix": raw_left_out(
        with_prefix(b"/etc", b"passwd"), "/etc/passwd", ABSOLUTE
    ),
    "absolute and there": Case(
        archive=absolute,
        kept=("a",),
        # Where it is, only the test knows: see `refused_paths` there.
        refused=(("AIM/sentinel", ABSOLUTE), ("AIM", ABSOLUTE)),
    ),
    "the root of all": raw_left_out(raw(b"/", type=b"5"), "", "it has no name"),
    "backslashes": harmless(member("..\\evil", b"x"), member("C:\\evil", b"y")),
    "a home directory": harmless(member("~", b"x"), member("~root/x", b"y")),
}

NAMES = {
    "a file for the root": left_out(member("./", b"x"), "it is not a directory, but has the name"),
    "a link for the root": left_out(symlink(".", "x"), "it is not a directory, but has the name"),
    "a hard link for the root": left_out(
        hard_link(".", "before"), "it is not a directory, but has the name"
    ),
    "no name": raw_left_out(raw(b""), "", "it has no name"),
    "an empty pax path": Case(
        archive=lambda _: pax_header(record(b"path", b"")) + raw(b"header") + END, kept=("header",)
    ),
    "a zero byte in a pax path": raw_left_out(
        pax_header(record(b"path", b"good\0/../evil")) + raw(b"x"),
        "good\\x00/../evil",
        "its name holds a zero byte",
    ),
    "a zero byte in a header's name": Case(
        archive=lambda _: raw(b"good\0/../evil") + END, kept=("good",)
    ),
    "a part of 256 bytes": left_out(
        member("x" * 256, b"x"), "a part of its path has more than 255"
    ),
    "a part of 255 bytes": harmless(member("x" * 255, b"x")),
    "a part of 128 letters": left_out(
        member("ü" * 128, b"x"), "a part of its path has more than 255 bytes"
    ),
    "200 levels deep": left_out(
        member("d/" * 200 + "f", b"x"),
        "its path has more than 100 parts",
        shown=("d/" * 200)[:300] + "…",
    ),
    "3000 bytes long": left_out(
        member(("d" * 100 + "/") * 30 + "f", b"x"),
        "its path has more than 2048 bytes",
        shown=(("d" * 100 + "/") * 3)[:300] + "…",
    ),
    "a path of a megabyte": raw_left_out(
        pax_header(record(b"path", b"/" + b"x" * 1_000_000)) + raw(b"x"),
        "/" + "x" * 299 + "…",
        ABSOLUTE,
    ),
    "line breaks": harmless(member("a\nb", b"x"), member("\n", b"y"), member("c\r\nd", b"z")),
    "a terminal's escape sequences": left_out(
        member("/\x1b[2J\x1b]0;x\x07", b"x"), ABSOLUTE, shown="/\\x1b[2J\\x1b]0;x\\x07"
    ),
    "bytes that are no text": harmless(member("caf\udce9", b"x"), member("\udcff\udcfe/\udc80")),
    "options and patterns": harmless(member("-rf", b"x"), member("--", b"y"), member("*", b"z")),
    "dots and blanks": harmless(
        member("...", b"1"), member(".. ", b"2"), member(" ..", b"3"), member(" ", b"4")
    ),
    "dots and slashes around": harmless(
        member("./a/./b//c", b"1"), directory("d/."), kept=("a/b/c", "d")
    ),
    "the staging directory's own names": harmless(
        member("content/x", b"1"), member("previous", b"2"), member(".barasync-0.partial/x", b"3")
    ),
    "two spellings of one letter": harmless(member("\u00e9", b"1"), member("e\u0301", b"2")),
    "upper and lower case": harmless(member("README", b"1"), member("readme", b"2")),
    "a file with a directory's name": left_out(
        member("f", b"x", pax={"path": "f/"}), "it is a file with the name of", shown="f/"
    ),
    "the oldest format's directory": Case(
        archive=lambda _: raw(b"old/", type=b"\0") + END, kept=("old",)
    ),
}

DUPLICATES = {
    "a file twice": mixed(
        lambda _: [member("f", b"first"), member("f", b"second")],
        kept=("f",),
        refused=(("f", TAKEN),),
    ),
    "a file twice in other spellings": mixed(
        lambda _: [member("d/f", b"1"), member("./d//f", b"2"), member("d/./f", b"3")],
        kept=("d/f",),
        refused=(("./d//f", TAKEN), ("d/./f", TAKEN)),
    ),
    "a directory twice": harmless(directory("d", 0o700), directory("d/", 0o711), kept=("d",)),
    "a file, then a directory": mixed(
        lambda _: [member("f", b"1"), directory("f"), member("f/g", b"2")],
        kept=("f",),
        refused=(("f", TAKEN), ("f/g", NO_DIRECTORY)),
    ),
    "a directory, then a file": mixed(
        lambda _: [member("d/f", b"1"), member("d", b"2"), member("d/g", b"3")],
        kept=("d/f", "d/g"),
        refused=(("d", TAKEN),),
    ),
    "a thousand times": Case(
        archive=lambda _: pack(member("f", b"1"), *[member("f", b"2")] * 999),
        kept=("f",),
        refused=(("f", TAKEN),) * 999,
    ),
}

TYPES = {
    "a named pipe": left_out(member("p", type=tarfile.FIFOTYPE), "it is a named pipe"),
    "a character device": left_out(member("n", type=tarfile.CHRTYPE), "it is a character device"),
    "a block device": left_out(member("n", type=tarfile.BLKTYPE), "it is a block device"),
    "a pipe for a directory": mixed(
        lambda _: [member("p", type=tarfile.FIFOTYPE), member("p/f", b"x")],
        kept=("p/f",),
        refused=(("p", "it is a named pipe"),),
    ),
    # Socket has no type flag; star writes this one for what it cannot store.
    "a socket": left_out(member("s", type=b"s"), UNKNOWN.format("s")),
    "an unknown type with data": left_out(member("u", b"x" * 600, type=b"Q"), UNKNOWN.format("Q")),
    "a type that is no text": left_out(member("u", type=b"\xff"), "its type b'\\xff' is unknown"),
    "a continued volume": left_out(member("v", b"x", type=b"M"), UNKNOWN.format("M")),
    "a volume's label": left_out(member("v", type=b"V"), UNKNOWN.format("V")),
    "GNU's dump of a directory": left_out(member("d", b"Yf\0\0", type=b"D"), UNKNOWN.format("D")),
    "a contiguous file": harmless(member("c", b"x", type=tarfile.CONTTYPE)),
    "set-ID bits": harmless(member("s", b"x", mode=0o6755), directory("d", 0o7777)),
    "no permissions": harmless(directory("d", 0), member("d/f", b"x", mode=0)),
}

CASES: dict[str, Case] = {**PATHS, **NAMES, **DUPLICATES, **TYPES}
