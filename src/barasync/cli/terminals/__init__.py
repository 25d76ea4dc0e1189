"""The terminal here, and a container that somebody talks to through it."""

from barasync.cli.terminals.converse import Resize, Talk, converse
from barasync.cli.terminals.detach_keys import DEFAULT, parse_detach_keys
from barasync.cli.terminals.ends import CannotPassOn, End
from barasync.cli.terminals.here import Here, is_terminal

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
]
