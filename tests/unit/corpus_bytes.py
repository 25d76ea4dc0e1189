"""Archives whose bytes are hostile or odd: numbers, extension headers, sparse maps, the end."""

from __future__ import annotations

import gzip

from barasync.artifacts.errors import LimitExceeded, TruncatedArchive
from barasync.artifacts.extract import Limits
from tests.unit.archives import END, block, directory, member, pack, padded, pax_header, raw, record
from tests.unit.corpus import Case, broken, raw_left_out

SIZE = record(b"GNU.sparse.size", b"9000")
V1 = record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0")
NO_RECORD = "a record of a pax header has"


def taken(archive: bytes, *kept: str) -> Case:
    return Case(archive=lambda _: archive, kept=kept)


def octal(size: int) -> bytes:
    return b"%011o\0" % size


def base_256(number: int) -> bytes:
    return (number % (1 << 96) | (0x80 << 88 if number >= 0 else 0)).to_bytes(12, "big")


def sparse(payload: bytes, data: bytes) -> bytes:
    return pax_header(payload) + raw(b"s", size=octal(len(data))) + padded(data) + END


def old_sparse(slots: list[tuple[int, int]], stored: int, size: int) -> bytes:
    tail = b"".join(octal(offset) + octal(length) for offset, length in slots)
    tail = tail.ljust(96, b"\0") + b"\0" + octal(size)
    return raw(b"s", type=b"S", size=octal(stored), tail=tail) + padded(b"x" * stored) + END


NUMBERS = {
    "a negative size": broken(raw(b"f", size=base_256(-1)) + END, "negative size"),
    "a very negative size": broken(raw(b"f", size=base_256(-(1 << 62))) + END, "negative size"),
    "a minus in a size": broken(raw(b"f", size=b"-0000000001\0") + END, "size|not a tar header"),
    "a size that is not octal": broken(raw(b"f", size=b"99999999999\0") + END, "not a tar header"),
    "a negative size of an extension header": broken(
        raw(b"x", type=b"x", size=base_256(-512)) + END, "negative size"
    ),
    "a negative size in a pax header": broken(
        pax_header(record(b"size", b"-512")) + raw(b"f") + END, "number in an extension header"
    ),
    "a size of 8 exabytes": broken(
        raw(b"f", size=base_256(1 << 63)) + END, "the files have more than", LimitExceeded
    ),
    "a size of 8 exabytes in a pax header": broken(
        pax_header(record(b"size", b"%d" % (1 << 63))) + raw(b"f") + END,
        "the files have more than",
        LimitExceeded,
    ),
    "a size beyond what is there": broken(
        raw(b"f", size=octal(5000)) + END, "cut off before its end", TruncatedArchive
    ),
    "a size in base 256": taken(raw(b"f", size=base_256(3)) + padded(b"abc") + END, "f"),
    "a size that a pax header makes smaller": Case(
        archive=lambda _: (
            pax_header(record(b"size", b"0"))
            + raw(b"f", size=octal(512))
            + raw(b"../smuggled")
            + END
        ),
        kept=("f",),
        refused=(("../smuggled", "its path leads upwards"),),
    ),
    "a size that a pax header makes larger": taken(
        pax_header(record(b"size", b"512")) + raw(b"f") + raw(b"../hidden") + END, "f"
    ),
    "a time before and behind all time": taken(
        pack(member("past", mtime=-5), member("future", mtime=1 << 60)), "past", "future"
    ),
    "a time that is no number": taken(
        b"".join(
            pax_header(record(b"mtime", text)) + raw(b"f%d" % number)
            for number, text in enumerate((b"soon", b"nan", b"1e400", b"-inf", b"9" * 5000))
        )
        + END,
        *(f"f{number}" for number in range(5)),
    ),
    "a wrong checksum": broken(
        raw(b"f")[:148] + b"0000000\0" + raw(b"f")[156:] + END, "not a tar header"
    ),
}

EXTENSIONS = {
    **{
        f"an extension header {flag!r} of gigabytes": broken(
            raw(b"e", type=flag, size=b"77777777777\0") + END, "extension header", LimitExceeded
        )
        for flag in (b"x", b"g", b"L", b"K")
    },
    "pax headers without end": broken(
        pax_header(record(b"comment", b"x")) * 2000 + pack(member("x")),
        "extension headers before one member",
    ),
    "long names without end": broken(
        raw(b"l", type=b"L") * 2000 + pack(member("x")), "extension headers before one member"
    ),
    "a pax header of a megabyte of digits": broken(
        pax_header(b"1" * 1_000_000) + pack(member("x")), NO_RECORD
    ),
    "a pax header of 170,000 records": taken(
        pax_header(b"6 a=b\n" * 170_000) + pack(member("x")), "x"
    ),
    "a pax value of a megabyte": taken(
        pax_header(record(b"comment", b"1" * 1_000_000)) + pack(member("x")), "x"
    ),
    "a pax record without a length": broken(pax_header(b"path=x\n") + END, NO_RECORD),
    "a pax record of length 0": broken(pax_header(b"0 a=b\n") + END, NO_RECORD),
    "a pax record that is too long": broken(pax_header(b"99 a=b\n") + END, NO_RECORD),
    "a pax record without a keyword": broken(pax_header(b"5 =b\n") + END, NO_RECORD),
    "a pax record with a line break inside": taken(
        pax_header(record(b"comment", b"x\n11 path=/e\n")) + pack(member("f")), "f"
    ),
    "a pax header with nothing behind it": broken(
        pax_header(record(b"path", b"x")) + END, "without a member behind it"
    ),
    "a pax header cut off": broken(
        pax_header(record(b"path", b"x" * 2000))[:1024], "cut off", TruncatedArchive
    ),
    "the last of two pax paths": taken(
        pax_header(record(b"path", b"../evil") + record(b"path", b"good")) + raw(b"f") + END,
        "good",
    ),
    "a pax path over a GNU long name": taken(
        pax_header(record(b"path", b"pax"))
        + raw(b"l", type=b"L", size=octal(4))
        + padded(b"gnu\0")
        + raw(b"f")
        + END,
        "pax",
    ),
    "owners and attributes that are not taken over": taken(
        pax_header(
            record(b"uid", b"0")
            + record(b"gname", b"root")
            + record(b"SCHILY.xattr.security.capability", b"\1\0\0\2")
            + record(b"SCHILY.acl.access", b"user::rwx")
        )
        + raw(b"f")
        + END,
        "f",
    ),
}

PETABYTE = b"1000000000000000"
SPARSE = {
    "a sparse bomb in GNU's old format": broken(
        old_sparse([(0, 1)], 1, 8_000_000_000),
        "the files have more than",
        LimitExceeded,
        Limits(bytes=1 << 30),
    ),
    "a sparse bomb in pax format 0.1": broken(
        sparse(record(b"GNU.sparse.size", PETABYTE) + record(b"GNU.sparse.map", b"0,1"), b"x"),
        "the files have more than",
        LimitExceeded,
    ),
    "a sparse bomb in pax format 1.0": broken(
        sparse(V1 + record(b"GNU.sparse.realsize", PETABYTE), padded(b"1\n0\n1\n") + b"x"),
        "the files have more than",
        LimitExceeded,
    ),
    "a sparse bomb without any data": broken(
        sparse(record(b"GNU.sparse.size", PETABYTE) + record(b"GNU.sparse.map", b""), b""),
        "the files have more than",
        LimitExceeded,
    ),
    "two sparse files below the limit, together above it": broken(
        sparse(SIZE + record(b"GNU.sparse.map", b""), b"").removesuffix(END) * 2 + END,
        "the files have more than 10000 bytes",
        LimitExceeded,
        Limits(bytes=10_000),
    ),
    "a file of holes alone": taken(sparse(SIZE + record(b"GNU.sparse.map", b""), b""), "s"),
    "a sparse map that overlaps": broken(
        sparse(SIZE + record(b"GNU.sparse.map", b"0,3,2,2"), b"abcde"), "overlaps itself"
    ),
    "a sparse map that runs backwards": broken(
        sparse(SIZE + record(b"GNU.sparse.map", b"5,3,0,2"), b"abcde"), "overlaps itself"
    ),
    "a sparse map behind the file's end": broken(
        sparse(SIZE + record(b"GNU.sparse.map", b"0,3,9999,2"), b"abcde"), "does not fit"
    ),
    "a sparse map with less than the data": broken(
        sparse(SIZE + record(b"GNU.sparse.map", b"0,3"), b"abcde"), "does not fit"
    ),
    "a sparse map with more than the data": broken(
        sparse(SIZE + record(b"GNU.sparse.map", b"0,9"), b"abcde"), "does not fit"
    ),
    "a sparse map with a negative number": broken(
        sparse(SIZE + record(b"GNU.sparse.map", b"0,-3"), b"abcde"), "number in an extension"
    ),
    "a sparse map with half a pair": broken(
        sparse(SIZE + record(b"GNU.sparse.map", b"0,5,7"), b"abcde"), "malformed"
    ),
    "a sparse map that claims a billion parts": broken(
        sparse(V1 + record(b"GNU.sparse.realsize", b"9"), padded(b"1000000000\n")), "malformed"
    ),
    "a sparse map of one endless number": broken(
        sparse(V1 + record(b"GNU.sparse.realsize", b"9"), b"9" * 2048), "malformed"
    ),
    "a sparse file in GNU's old format": taken(old_sparse([(1000, 3), (5000, 2)], 5, 8000), "s"),
    "an old sparse map that goes on for ever": broken(
        raw(b"s", type=b"S", tail=bytes(96) + b"\1" + octal(1))
        + (bytes(504) + b"\1" + bytes(7)) * 2100,
        "the map of a sparse file is too long",
        LimitExceeded,
    ),
    "an old sparse map that is no number": broken(
        raw(b"s", type=b"S", tail=b"zzzzzzzzzzz\0" * 2) + END, "malformed|not a tar header"
    ),
}

STREAMS = {
    "nothing": broken(b"", "cut off", TruncatedArchive),
    "half a block": broken(bytes(100), "cut off", TruncatedArchive),
    "one block of zeroes": broken(bytes(512), "cut off", TruncatedArchive),
    "a member and one block of zeroes": broken(
        block(*member("f", b"x")) + bytes(512), "cut off", TruncatedArchive
    ),
    "a block of zeroes in the middle": broken(
        block(*member("f")) + bytes(512) + pack(member("g")), "a single block of zeroes"
    ),
    "an empty archive": taken(END),
    "a second archive behind the end": broken(
        pack(member("f")) + pack(member("../evil")), "goes on after the end"
    ),
    "zeroes without end": broken(END + bytes(3 << 20), "goes on after the end"),
    "text": broken(b"x" * 512 + END, "not a tar header"),
    "compressed": broken(gzip.compress(pack(member("f")), mtime=0) + bytes(1024), "not a tar"),
    "too many members": broken(
        pack(*(directory(f"d{number}") for number in range(9))),
        "more than 8 members",
        LimitExceeded,
        Limits(members=8),
    ),
    "too many refused members": broken(
        pack(*(member("/x") for _ in range(9))), "more than 8", LimitExceeded, Limits(members=8)
    ),
    "too many directories that no member names": broken(
        pack(member("d/" * 50 + "f"), member("e/" * 50 + "f")),
        "more than 80 members",
        LimitExceeded,
        Limits(members=80),
    ),
    "a pax header that belongs to a refused member": Case(
        archive=lambda _: (
            pax_header(record(b"path", b"../evil")) + raw(b"x") + pack(member("f", b"y"))
        ),
        kept=("f",),
        refused=(("../evil", "its path leads upwards"),),
    ),
    "data of a refused member that looks like a member": raw_left_out(
        raw(b"/x", size=octal(1024)) + raw(b"../evil") + raw(b"evil"), "/x", "its path is absolute"
    ),
}

CASES: dict[str, Case] = {**NUMBERS, **EXTENSIONS, **SPARSE, **STREAMS}
