"""What the documents say of declared images is what barasync does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from barasync.config.load import parse
from barasync.config.origin import Origin
from barasync.config.schema import ImageTable, Toolchain
from barasync.images.toolchains import DEV, TOOLCHAINS, Family, Names

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = [
    pytest.param(block, id=f"{name}-{number}")
    for name in ("images", "configuration")
    for number, block in enumerate(
        re.findall(r"```toml\n(.*?)```", (DOCS / f"{name}.md").read_text(), re.DOTALL)
    )
    if "[images." in block
]


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_of_images_is_a_file_that_is_accepted(block: str) -> None:
    assert parse(block, Origin()).images


def test_every_key_of_an_image_is_in_the_example() -> None:
    example = (DOCS / "configuration.md").read_text()

    keys = ["from", *(name for name in ImageTable.__struct_fields__ if name != "from_")]
    assert [key for key in keys if not re.search(rf"^{key} = ", example, re.MULTILINE)] == []


@pytest.mark.parametrize("toolchain", [*Toolchain, None], ids=str)
def test_the_packages_of_a_toolchain_are_those_of_the_table(toolchain: Toolchain | None) -> None:
    names = DEV if toolchain is None else TOOLCHAINS[toolchain]
    key = "dev = true" if toolchain is None else f'toolchain = "{toolchain}"'
    row = " | ".join([f"`{key}`", *(cell(names[family]) for family in Family)])

    assert f"| {row} |" in (DOCS / "images.md").read_text().splitlines()


def cell(names: Names) -> str:
    optional = f" (`{' '.join(names.optional)}`)" if names.optional else ""
    return f"`{' '.join(names.required)}`{optional}"
