"""A program called mmdebstrap that does what a test wants."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

EXPIRED = "E: Release file for http://mirror.example/InRelease is expired (invalid since 20d 10h)."
BROKEN_INDEX = "E: Failed to fetch Packages.xz  File has unexpected size (1 != 2)"
NO_KEY = "W: GPG error: http://mirror.example InRelease: NO_PUBKEY 871920D1991BC93C"
NO_NETWORK = "E: Failed to fetch InRelease  Temporary failure resolving 'mirror.example'"
NO_PACKAGE = "E: Unable to locate package nonesuch"


def install(directory: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMmdebstrap:
    """Put the program first on the path, and temporary files below `directory`."""
    fake = FakeMmdebstrap(directory / "bin")
    monkeypatch.setenv("PATH", str(directory / "bin"), prepend=os.pathsep)
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    return fake


def failing(line: str) -> str:
    """Return the fragment of a call that says `line` and fails half way."""
    return f'echo "{line}" >&2; printf half; exit 25'


class FakeMmdebstrap:
    """A program of that name which runs the next of some shell fragments at each call."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir()
        self._program = directory / "mmdebstrap"

    def behaves(self, *fragments: str) -> None:
        for number, fragment in enumerate(fragments, 1):
            (self._directory / f"{number}.sh").write_text(fragment)
        self._program.write_text(
            "#!/bin/sh\n"
            'if [ "$1" = --unshare-helper ]; then shift; exec "$@"; fi\n'
            f"cd '{self._directory}'\n"
            "number=$(($(ls *.arguments 2>/dev/null | wc -l) + 1))\n"
            'printf \'%s\\n\' "$TMPDIR" "$@" >$number.arguments\n'
            '. "./$number.sh"\n'
        )
        self._program.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """The temporary directory and the arguments of every call."""
        paths = sorted(self._directory.glob("*.arguments"))
        return [path.read_text().splitlines() for path in paths]

    @property
    def suites(self) -> list[str]:
        return [call[call.index("--") + 1] for call in self.calls]

    @property
    def lines(self) -> list[list[str]]:
        """The lines for sources.list of every call."""
        return [call[call.index("--") + 3 :] for call in self.calls]

    @property
    def left(self) -> list[str]:
        """The temporary directories that are still there."""
        return [call[0] for call in self.calls if Path(call[0]).exists()]
