"""The terminal here, and a container that somebody talks to through it."""

from barasync.cli.terminals.converse import Resize, Talk, converse
from barasync.cli.terminals.detach_keys import DEFAULT, parse_detach_keys
from barasync.cli.terminals.ends import CannotPassOn, End
from barasync.cli.terminals.here import Here, is_terminal
from barasync.cli.terminals.pieces import read_piece

__all__ = [
    "DEFAULT",
    "CannotPassOn",
    "End",
    "Here",
    "Resize",
    "Talk",
    "converse",
    "is_terminal",
    "parse_detach_keys",
    "read_piece",
]
