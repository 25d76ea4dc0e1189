"""What a command asks podman before its own work: an answer, a signal, and nothing left of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import anyio
import pytest
import typer
from anyio import to_thread

from barasync.cli.interrupts import answer_of
from barasync.cli.signals import heeded


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Have signals do afterwards what they did before."""
    before = {number: signal.getsignal(number) for number in heeded()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_answer_comes_back_and_no_thread_is_left_that_a_fork_would_lose() -> None:
    before = set(threading.enumerate())

    async def question() -> int:
        return await to_thread.run_sync(int, "7")

    assert answer_of(question) == 7
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_while_it_waits_for_the_answer(number: signal.Signals) -> None:
    async def question() -> None:
        signal.raise_signal(number)
        with anyio.fail_after(60):
            await anyio.sleep_forever()

    with pytest.raises(typer.Exit) as caught:
        answer_of(question)

    assert caught.value.exit_code == 130


def test_a_signal_after_the_answer_is_ctrl_c_again() -> None:
    async def question() -> None:
        return None

    answer_of(question)

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
