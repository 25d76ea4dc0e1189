"""The keys that leave a container to itself, found among what is typed. No I/O.

Whoever talks to a container has to leave its side of the conversation without a word to the other:
podman would look for the keys too, but only where it is told, and cannot tell us that it found
them. So podman is asked for none.
"""

from __future__ import annotations

from barasync.errors import ConfigError

DEFAULT = "ctrl-p,ctrl-q"
"""As in podman and docker."""

_CONTROL = "ctrl-"
_HINT = (
    "keys are characters or ctrl- with a to z, @, [, \\, ], ^ or _, with commas between: a,ctrl-b"
)


def parse_detach_keys(text: str | None) -> bytes:
    """Return what a terminal sends for keys such as `ctrl-p,ctrl-q`; nothing for no keys.

    `None` is for those of `DEFAULT`.

    Raises:
        ConfigError: the text names no keys.
    """
    text = DEFAULT if text is None else text
    return b"".join(_key(word) for word in text.split(",")) if text else b""


def _key(word: str) -> bytes:
    if len(word) == 1 and word.isascii():
        return word.encode()
    letter = word.removeprefix(_CONTROL).upper()
    if word.startswith(_CONTROL) and len(letter) == 1 and "@" <= letter <= "_":
        return bytes([ord(letter) - ord("@")])
    raise ConfigError(f"--detach-keys: {word!r} is no key", hint=_HINT)


class DetachKeys:
    """Passes on what is typed, until the keys come.

    Invariant: what has been passed on and what is held are together what was fed, in order; held is
    the longest end of it with which the keys begin. So a first key that turns out to be meant for
    the container comes with the key after it, as in podman.
    """

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = 0
        self._back = _borders(keys)
        self.detached = False

    def feed(self, data: bytes) -> bytes:
        """Return what goes to the container; once `detached`, all that comes is dropped."""
        keys = self._keys
        if not keys:
            return data
        if self.detached:
            return b""
        matched = self._held
        for position, byte in enumerate(data, start=1):
            while matched and keys[matched] != byte:
                matched = self._back[matched - 1]
            matched += keys[matched] == byte
            if matched == len(keys):
                self.detached = True
                return self._released(data[:position], matched)
        return self._released(data, matched)

    def _released(self, data: bytes, matched: int) -> bytes:
        """Return what was held and `data`, but for the last `matched` bytes, which are held now."""
        together = self._keys[: self._held] + data
        self._held = 0 if self.detached else matched
        return together[: len(together) - matched]


def _borders(keys: bytes) -> list[int]:
    """Return for each beginning of the keys how long its longest end is that begins them too.

    Source: Knuth, Morris and Pratt, "Fast pattern matching in strings", 1977.
    """
    borders = [0] * len(keys)
    length = 0
    for position in range(1, len(keys)):
        while length and keys[length] != keys[position]:
            length = borders[length - 1]
        length += keys[length] == keys[position]
        borders[position] = length
    return borders
