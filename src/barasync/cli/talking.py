"""A shell's conversation: what is here is passed on to the container of a cell, until one ends."""

from __future__ import annotations

from barasync.aiopodman import Attachment, Container
from barasync.cli.terminals import CannotPassOn, End, Here, converse, is_terminal
from barasync.engine.dialogue import Dialogue
from barasync.engine.masking import MaskedOutput
from barasync.masking.masker import Masker
from barasync.matrix.outcome import Outcome


class Talking:
    """One conversation; with a terminal of the container's where one is read here.

    `detach_keys` are those that leave the container to itself, empty for none. `kind` is what the
    terminal here is called (`TERM`). `masker` knows the secrets: at a terminal none is masked,
    because what moves the cursor may stand within it.
    """

    def __init__(self, here: Here, detach_keys: bytes, kind: str | None, masker: Masker) -> None:
        self._here = here
        self._masker = masker
        self._keys = detach_keys
        self._kind = kind
        self._terminal = here.stdin is not None and is_terminal()
        self._end: End | None = None
        self._broken: CannotPassOn | None = None

    @property
    def dialogue(self) -> Dialogue:
        """What the engine takes of it."""
        return Dialogue(converse=self._converse, terminal=self._terminal, kind=self._kind)

    def exit_code(self, outcome: Outcome) -> int | None:
        """Return what the command ends with for how it was left, `None` where that says nothing."""
        if self._broken is not None:
            return self._broken.exit_code
        if self._end is None or (self._end is End.DETACHED and outcome.detached is None):
            return None
        return self._end.exit_code

    async def _converse(self, attachment: Attachment, container: Container) -> bool:
        if self._masker and not self._terminal:
            attachment.filter(lambda output: MaskedOutput(output, self._masker))
        try:
            self._end = await converse(
                attachment,
                self._here,
                resize=container.resize if self._terminal else None,
                detach_keys=self._keys,
            )
        except CannotPassOn as error:
            self._broken = error
            raise
        if self._end in {End.HUNG_UP, End.UNREAD}:
            # Nobody is here any more: as with SIGHUP, which need not come.
            self._here.interrupts.hang_up()
            # Held back it could not end within its grace.
            async for _chunk in attachment.output:
                pass
        return self._end is End.DETACHED
