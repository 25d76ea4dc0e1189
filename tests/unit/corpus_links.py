"""Archives whose symbolic and hard links want to lead outside."""

from __future__ import annotations

from tests.unit.archives import (
    END,
    LIMITS,
    Packed,
    block,
    directory,
    hard_link,
    member,
    pack,
    pax_header,
    raw,
    record,
    symlink,
)
from tests.unit.corpus import Case, between, harmless, left_out, mixed, raw_left_out

OUTWARD = "it is a symbolic link that can lead outside"
TO_ABSOLUTE = "it is a symbolic link to the absolute path"
NO_DIRECTORY = "a part of its path is not a directory"
TAKEN = "another member has this name"
NO_FILE = "it is a hard link to "
# A component so long that sixteen of them exceed PATH_MAX, as in CVE-2025-4517.
LONG = "d" * 247
STEPS = "abcdefghijklmnop"


def overlong() -> list[Packed]:
    """Return CVE-2025-4517 as published: `realpath` stops resolving behind PATH_MAX bytes."""
    members: list[Packed] = []
    path = ""
    for step in STEPS:
        members += [directory(f"{path}{LONG}"), symlink(f"{path}{step}", LONG)]
        path += f"{LONG}/"
    link = "/".join(STEPS) + "/" + "l" * 254
    members.append(symlink(link, "../" * len(STEPS)))
    members.append(symlink("escape", link + "/../outside"))
    members += [hard_link("flag", "escape/sentinel"), member("flag", b"overwritten")]
    return members


def overlong_case() -> Case:
    kept: list[str] = []
    refused: list[tuple[str, str]] = []
    path = ""
    for step in STEPS:
        for name in (path + LONG, path + step):
            if len(name) <= LIMITS.path_bytes:
                kept.append(name)
            else:
                refused.append((shortened(name), "its path has more than 2048 bytes"))
        path += f"{LONG}/"
    refused += [
        (shortened("/".join(STEPS) + "/" + "l" * 254), NO_DIRECTORY),
        ("escape", OUTWARD),
        ("flag", NO_FILE),
    ]
    return Case(archive=lambda _: pack(*overlong()), kept=(*kept, "flag"), refused=tuple(refused))


def shortened(name: str) -> str:
    return name if len(name) <= 300 else name[:300] + "…"


def ladder(levels: int) -> list[Packed]:
    """Return links of which each leads to the one before, the first to the top."""
    return [
        directory("/".join("d" * levels)),
        *(symlink(f"{'/'.join('d' * level)}/up", "../" * level) for level in range(1, levels)),
    ]


SYMBOLIC = {
    "absolute": left_out(symlink("l", "/etc/passwd"), TO_ABSOLUTE),
    "absolute with two slashes": left_out(symlink("l", "//etc"), TO_ABSOLUTE),
    "absolute and there": mixed(
        lambda aim: [symlink("l", str(aim)), member("l/sentinel", b"overwritten")],
        kept=("l/sentinel",),
        refused=(("l", TO_ABSOLUTE),),
    ),
    "outward": left_out(symlink("l", "../outside"), OUTWARD),
    "outward by one": left_out(symlink("a/l", "../.."), OUTWARD),
    "outward behind dots": left_out(symlink("a/l", "./.././../outside"), OUTWARD),
    "outward by a pax target": raw_left_out(
        pax_header(record(b"linkpath", b"../outside")) + raw(b"l", type=b"2"), "l", OUTWARD
    ),
    "down, then out": left_out(symlink("l", "a/../../outside"), OUTWARD),
    "up behind a name": left_out(symlink("a/l", "b/../c"), OUTWARD),
    "to nothing": left_out(symlink("l", ""), "it is a symbolic link to nothing"),
    "to a zero byte": raw_left_out(
        pax_header(record(b"linkpath", b"a\0b")) + raw(b"l", type=b"2"),
        "l",
        "it is a symbolic link to nothing",
    ),
    "longer than a path": left_out(symlink("l", "x/" * 3000), "its name is too long for this file"),
    "to itself": harmless(symlink("l", "l")),
    "in a circle": harmless(symlink("a", "b"), symlink("b", "a")),
    "to the root": harmless(directory("d"), symlink("l", "."), symlink("d/l", "..")),
    "to what is not there": harmless(symlink("l", "nowhere/at/all")),
    "with a size but no data": Case(
        archive=lambda _: between(raw(b"l", type=b"2", size=b"00000001000\0")),
        kept=("before", "z/after"),
        refused=(("l", "it is a symbolic link to nothing"),),
    ),
    "a file through a link": mixed(
        lambda _: [directory("d"), symlink("l", "d"), member("l/f", b"x")],
        kept=("d", "l"),
        refused=(("l/f", NO_DIRECTORY),),
    ),
    "a directory through a link": mixed(
        lambda _: [directory("d"), symlink("l", "d"), directory("l/e", 0o777)],
        kept=("d", "l"),
        refused=(("l/e", NO_DIRECTORY),),
    ),
    "a file through a link to what is not there": mixed(
        lambda _: [symlink("l", "later"), member("l/f", b"x"), directory("later")],
        kept=("l", "later"),
        refused=(("l/f", NO_DIRECTORY),),
    ),
    "a file in the place of a link": mixed(
        lambda _: [member("f", b"1"), symlink("l", "f"), member("l", b"2")],
        kept=("f", "l"),
        refused=(("l", TAKEN),),
    ),
    "a directory in the place of a link": mixed(
        lambda _: [directory("d", 0o700), symlink("l", "d"), directory("l", 0o777)],
        kept=("d", "l"),
        refused=(("l", TAKEN),),
    ),
    "a link in the place of a directory": mixed(
        lambda _: [member("d/f", b"1"), symlink("d", "elsewhere"), member("d/g", b"2")],
        kept=("d/f", "d/g"),
        refused=(("d", TAKEN),),
    ),
    "a link in the place of a link": mixed(
        lambda aim: [symlink("l", "."), symlink("l", str(aim)), member("l/f")],
        kept=("l",),
        refused=(("l", TO_ABSOLUTE), ("l/f", NO_DIRECTORY)),
    ),
    "a file below a link that was refused": mixed(
        lambda aim: [symlink("l", f"../{aim.name}"), member("l/sentinel", b"x")],
        kept=("l/sentinel",),
        refused=(("l", OUTWARD),),
    ),
}

FAMILIES = {
    "CVE-2025-4517: a path longer than PATH_MAX": overlong_case(),
    "CVE-2025-4330: links that climb from each other": mixed(
        lambda _: [
            *ladder(9),
            symlink("escape", "d/d/d/up/../../outside"),
            symlink("further", "d/up/d/up/.."),
            member("escape/sentinel", b"overwritten"),
        ],
        kept=(
            "/".join("d" * 9),
            *("/".join("d" * level) + "/up" for level in range(1, 9)),
            "escape/sentinel",
        ),
        refused=(("escape", OUTWARD), ("further", OUTWARD)),
    ),
    "CVE-2025-4138: a target that is normalised away": mixed(
        lambda _: [
            directory("a/b"),
            symlink("a/b/up", ".."),
            symlink("x", "a/b/up/../../outside"),
            hard_link("y", "x/sentinel"),
        ],
        kept=("a/b", "a/b/up"),
        refused=(("x", OUTWARD), ("y", NO_FILE)),
    ),
    "CVE-2024-12718: mode and time of what a link leads to": mixed(
        lambda aim: [symlink("l", str(aim)), symlink("m", "."), directory("m", 0o777)],
        kept=("m",),
        refused=(("l", TO_ABSOLUTE), ("m", TAKEN)),
    ),
    "CVE-2007-4559: a file through a link outside": mixed(
        lambda _: [symlink("l", "../outside"), symlink("k", "l"), member("k/sentinel", b"x")],
        kept=("k",),
        refused=(("l", OUTWARD), ("k/sentinel", NO_DIRECTORY)),
    ),
    "ten links in a row": mixed(
        lambda _: [
            member("d/f", b"x"),
            symlink("l0", "d"),
            *(symlink(f"l{number}", f"l{number - 1}") for number in range(1, 10)),
            member("l9/f", b"y"),
            hard_link("h", "l9/f"),
        ],
        kept=("d/f", *(f"l{number}" for number in range(10))),
        refused=(("l9/f", NO_DIRECTORY), ("h", NO_FILE)),
    ),
    "ten links that each climb one more": mixed(
        lambda _: [
            *(symlink("d/" * level + "l", "../" * (level + 1)) for level in range(10)),
            member("d/" * 9 + "l/f", b"x"),
        ],
        kept=("d/" * 9 + "l/f",),
        refused=(*(("d/" * level + "l", OUTWARD) for level in range(10)),),
    ),
}
HARD = {
    "to nothing": left_out(hard_link("h", "nowhere"), NO_FILE + "nowhere, which is no file"),
    "outside": left_out(hard_link("h", "../outside/sentinel"), NO_FILE + "../outside/sentinel"),
    "absolute": left_out(hard_link("h", "/etc/passwd"), NO_FILE + "/etc/passwd"),
    "absolute and there": mixed(
        lambda aim: [hard_link("h", f"{aim}/sentinel"), member("h", b"overwritten")],
        kept=("h",),
        refused=(("h", NO_FILE),),
    ),
    "to itself": left_out(hard_link("h", "h"), NO_FILE + "h"),
    "to no name": left_out(hard_link("h", ""), NO_FILE),
    "to a zero byte": raw_left_out(
        pax_header(record(b"linkpath", b"before\0")) + raw(b"h", type=b"1"),
        "h",
        NO_FILE + "before\\x00",
    ),
    "to what comes later": mixed(
        lambda _: [hard_link("h", "f"), member("f", b"x")],
        kept=("f",),
        refused=(("h", NO_FILE),),
    ),
    "to a directory": mixed(
        lambda _: [directory("d"), hard_link("h", "d"), hard_link("i", "./")],
        kept=("d",),
        refused=(("h", NO_FILE), ("i", NO_FILE)),
    ),
    "to a link": mixed(
        lambda _: [member("f"), symlink("s", "f"), hard_link("h", "s")],
        kept=("f", "s"),
        refused=(("h", NO_FILE),),
    ),
    "to a dangling link": mixed(
        lambda _: [symlink("s", "later"), hard_link("h", "s"), member("h", b"x")],
        kept=("s", "h"),
        refused=(("h", NO_FILE),),
    ),
    "to a member that was refused": mixed(
        lambda _: [symlink("s", "../outside/sentinel"), hard_link("h", "s"), member("h", b"x")],
        kept=("h",),
        refused=(("s", OUTWARD), ("h", NO_FILE)),
    ),
    "through a link": mixed(
        lambda _: [member("d/f", b"x"), symlink("l", "d"), hard_link("h", "l/f")],
        kept=("d/f", "l"),
        refused=(("h", NO_FILE),),
    ),
    "in the place of a file": mixed(
        lambda _: [member("f", b"1"), member("g", b"2"), hard_link("g", "f"), hard_link("f", "f")],
        kept=("f", "g"),
        refused=(("g", TAKEN), ("f", TAKEN)),
    ),
    "ten in a row": harmless(
        member("h0", b"x"), *(hard_link(f"h{number}", f"h{number - 1}") for number in range(1, 10))
    ),
    "a file in the place of a hard link": mixed(
        lambda _: [member("f", b"1"), hard_link("h", "f"), member("h", b"2")],
        kept=("f", "h"),
        refused=(("h", TAKEN),),
    ),
    "with a size but no data": Case(
        archive=lambda _: (
            block(*member("f", b"x"))
            + pax_header(record(b"linkpath", b"f"))
            + raw(b"h", type=b"1", size=b"00000010000\0")
            + block(*member("g", b"y"))
            + END
        ),
        kept=("f", "h", "g"),
    ),
}

CASES: dict[str, Case] = {
    **{f"a symbolic link {name}": case for name, case in SYMBOLIC.items()},
    **FAMILIES,
    **{f"a hard link {name}": case for name, case in HARD.items()},
}
