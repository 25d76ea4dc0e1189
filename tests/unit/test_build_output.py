"""What podman's builder says of itself, and what steps that print the like of it are taken for."""

from __future__ import annotations

import pytest

from barasync.engine.build_output import BuildOutput, Cached, Event, Printed, Step

FROM = "STEP 1/4: FROM x\n"
FIRST = "STEP 2/4: RUN one\n"
SECOND = "STEP 3/4: RUN two\n"
LABEL = "STEP 4/4: LABEL a=b\n"
COMMIT = "COMMIT localhost/x:y\n"
ID = "1f3a" * 16


def named(digits: int = 11, image: str = ID) -> str:
    return f"--> {image[:digits]}\n"


def cached(image: str = ID) -> str:
    return f"--> Using cache {image}\n"


def heard(*pieces: str) -> list[Event]:
    output = BuildOutput()
    return [event for piece in pieces for event in output.take(piece)] + output.end()


def step(title: str, *, is_base: bool = False) -> Step:
    return Step(title, is_base=is_base)


BASE = step("step 1/4 FROM x", is_base=True)
ONE, TWO = step("step 2/4 RUN one"), step("step 3/4 RUN two")
LAST = step("step 4/4 LABEL a=b")


@pytest.mark.parametrize("digits", [11, 12], ids=["podman-4", "podman-5"])
def test_the_steps_of_a_build_and_what_they_print(digits: int) -> None:
    found = heard(
        *(FROM, FIRST, cached(), named(digits), SECOND, "out\n", named(digits)),
        *(LABEL, COMMIT, named(digits), f"{ID}\n"),
    )

    assert found == [
        *(BASE, ONE, Cached(), TWO, Printed("out\n")),
        *(LAST, Printed(COMMIT), Printed(f"{ID}\n")),
    ]


def test_stages_are_counted_by_themselves() -> None:
    found = heard(
        *("[1/2] STEP 1/2: FROM x AS a\n", "[1/2] STEP 2/2: RUN one\n", named()),
        *("[2/2] STEP 1/2: FROM x\n", "[2/2] STEP 2/2: COPY --from=a / /\n", cached()),
    )

    assert found == [
        step("stage 1/2 step 1/2 FROM x AS a", is_base=True),
        step("stage 1/2 step 2/2 RUN one"),
        step("stage 2/2 step 1/2 FROM x", is_base=True),
        step("stage 2/2 step 2/2 COPY --from=a / /"),
        Cached(),
    ]


@pytest.mark.parametrize(
    "piece",
    [
        "STEP 9/9: x\n",
        SECOND,
        f"{named()}{SECOND}",
        cached(),
        cached() + named(),
        named(),
        f"left{named()}",
    ],
)
def test_what_a_step_prints_is_output_whatever_it_looks_like(piece: str) -> None:
    end = ["left", named(), SECOND]

    assert heard(FROM, FIRST, piece, *end) == [BASE, ONE, Printed(piece), Printed("left"), TWO]
    assert heard(FROM, FIRST, "out", piece) == [BASE, ONE, Printed("out"), Printed(piece)]


def test_what_is_printed_before_podman_names_another_image_is_no_cache() -> None:
    other = "9c" * 32

    found = heard(FROM, FIRST, cached(other), named(), SECOND)

    assert found == [BASE, ONE, Printed(cached(other)), TWO]


def test_a_build_within_a_build_is_output() -> None:
    inner = ("STEP 1/2: FROM y\n", "STEP 2/2: RUN z\n", named(), "COMMIT y\n", named(12))

    found = heard(FROM, FIRST, *inner, "left\n", named(), SECOND)

    assert found == [BASE, ONE, *map(Printed, inner), Printed("left\n"), TWO]
