"""A shell in a container, as whoever sits before its terminal has it."""

from __future__ import annotations

import re

from tests.rig.pseudo_terminal import PseudoTerminal

KEYS = b"\x10\x11"
"""Ctrl-P and Ctrl-Q: those that detach unless others were asked for."""


def prompted(terminal: PseudoTerminal) -> None:
    """Wait for the prompt of a shell."""
    terminal.expect(b"# ")


def answer(terminal: PseudoTerminal, line: str) -> str:
    """Have a shell execute a line, and return what that prints."""
    # What is typed is echoed, and has neither mark in one piece.
    terminal.send(f"echo '<''<'; {line}; echo '>''>'\r".encode())
    terminal.expect(b"<<\r\n")
    said = terminal.expect(b">>\r\n").decode().removesuffix(">>\r\n")
    prompted(terminal)
    return said.replace("\r\n", "\n")


def detached(terminal: PseudoTerminal) -> str:
    """Return the name of the container that goes on, as the command tells it."""
    found = re.search(rb"barasync: (barasync-\S+-1-detached) goes on", terminal.expect(b"goes on"))
    assert found is not None
    return found[1].decode()
