"""What masking secrets costs: output through a masker, for values and pieces of several kinds.

The text is made up of words, the values of random letters, both from a seed. The last lines are the
worst for the search: values that repeat themselves, in output that is nearly they. Seconds are CPU
time, so that a busy host does not count.

    script/bench masking [--megabytes N]
"""

from __future__ import annotations

import argparse
import random
import string
import time
from collections.abc import Sequence

from barasync.masking.masker import Masker
from barasync.masking.value import SecretValue

READ, LINE = 64 * 1024, 80
LETTERS = (string.ascii_letters + string.digits).encode()


def token(rng: random.Random, size: int) -> bytes:
    return bytes(rng.choices(LETTERS, k=size))


def text(rng: random.Random, size: int) -> bytes:
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(2000)]
    lines = (" ".join(rng.choices(words, k=12)) for _ in range(size // 60))
    return "\n".join(lines).encode()[:size]


def measure(name: str, output: bytes, values: Sequence[bytes], piece: int) -> None:
    stream = Masker(map(SecretValue, values)).stream()
    pieces = [output[start : start + piece] for start in range(0, len(output), piece)]
    started = time.process_time()
    for data in pieces:
        stream.feed(data)
    stream.finish()
    seconds = time.process_time() - started
    speed, each = len(output) / seconds / 1e6, seconds / len(pieces) * 1e6
    print(f"{speed:8.1f} MB/s {each:9.1f} µs a piece of {piece:>6,}: {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=4, help="of output, for each case")
    size = parser.parse_args().megabytes * 1_000_000
    rng = random.Random(1)
    plain = text(rng, size)
    key, long_value = (b"\n".join(token(rng, 64) for _ in range(lines)) for lines in (28, 256))
    for piece in (READ, LINE):
        some = plain if piece == READ else plain[: size // 20]
        for number in (1, 4, 10):
            tokens = [token(rng, 40) for _ in range(number)]
            measure(f"text, {number} tokens of 40 bytes", some, tokens, piece)
        measure("text, a key of 28 lines", some, [key], piece)
        measure("text, a value of 256 lines", some, [long_value], piece)
    secret = token(rng, 40)
    lines = (b"with " + secret + b" in it\n") * (size // 52)
    measure("a token in each line", lines, [secret], READ)
    measure("aaa…, where aaa…b is the value", b"a" * (size // 10), [b"a" * 100 + b"b"], READ)
    measure("abab…, where abab…c is the value", b"ab" * (size // 20), [b"ab" * 200 + b"c"], READ)


if __name__ == "__main__":
    main()
