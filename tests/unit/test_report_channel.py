from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from barasync.report.channel import Channel, Descriptor
from tests.unit.report_examples import Capture, Failing


def test_text_is_written_in_the_encoding_of_the_stream() -> None:
    device = Capture()

    Channel(device, encoding="iso8859-1").print("café ✓", "two")

    assert device.data == b"caf\xe9 ?\ntwo\n"


def test_lines_for_a_terminal_in_raw_mode_begin_at_its_beginning() -> None:
    device = Capture()
    channel = Channel(device, terminal=True)

    channel.raw = True
    channel.print("one\ntwo", "three")
    channel.write(b"as it is\n")
    channel.raw = False
    channel.print("four")

    assert device.data == b"one\r\ntwo\r\nthree\r\nas it is\nfour\n"


def test_an_unknown_encoding_counts_as_ascii() -> None:
    assert Channel(Capture(), encoding="no-such-encoding").encode("café") == b"caf?"


def test_bytes_are_written_as_they_are() -> None:
    device = Capture()

    Channel(device, encoding="ascii").write(b"\xff\x00")

    assert device.data == b"\xff\x00"


def test_a_reader_that_has_gone_silences_the_channel_and_is_no_problem() -> None:
    device = Failing(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    channel = Channel(device)

    channel.print("one")
    channel.print("two")

    assert (channel.closed, channel.problem, device.calls) == (True, None, 1)


def test_a_terminal_that_has_hung_up_is_no_problem_either() -> None:
    channel = Channel(Failing(OSError(errno.EIO, "Input/output error")))

    channel.print("one")

    assert (channel.closed, channel.problem) == (True, None)


def test_a_full_disk_silences_the_channel_and_is_a_problem() -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    channel = Channel(Failing(error))

    channel.print("one")

    assert (channel.closed, channel.problem) == (True, error)


def test_nothing_is_no_write() -> None:
    device = Failing(OSError(errno.ENOSPC, "No space left on device"))

    Channel(device).print()

    assert device.calls == 0


def test_a_descriptor_takes_all_of_a_write_larger_than_the_pipe() -> None:
    reader, writer = os.pipe()
    data = bytes(range(256)) * 4096
    received = bytearray()

    def read() -> None:
        while piece := os.read(reader, 65536):
            received.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    Descriptor(writer).write(data)
    os.close(writer)
    thread.join()
    os.close(reader)

    assert bytes(received) == data


def test_a_descriptor_that_somebody_made_non_blocking_takes_all_of_a_write() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = b"x" * 300_000
    received = bytearray()

    def read() -> None:
        while piece := os.read(reader, 4096):
            received.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    Descriptor(writer).write(data)
    os.close(writer)
    thread.join()
    os.close(reader)

    assert bytes(received) == data


def test_a_descriptor_without_a_reader_leads_nowhere_afterwards() -> None:
    reader, writer = os.pipe()
    os.close(reader)

    with pytest.raises(BrokenPipeError):
        Descriptor(writer).write(b"lost")

    try:
        assert os.write(writer, b"what the interpreter flushes at exit") > 0
    finally:
        os.close(writer)


def test_two_descriptors_of_one_file_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with path.open() as one, path.open() as other, (tmp_path / "third").open("w") as third:
        assert Descriptor(one.fileno()).same_as(Descriptor(other.fileno()))
        assert not Descriptor(one.fileno()).same_as(Descriptor(third.fileno()))


def test_the_channel_of_a_terminal_and_of_a_pipe() -> None:
    environment = {"TERM": "xterm"}
    leader, terminal = os.openpty()
    reader, pipe = os.pipe()
    try:
        of_terminal = Channel.of(Descriptor(terminal), encoding="utf-8", environment=environment)
        of_pipe = Channel.of(Descriptor(pipe), encoding="utf-8", environment=environment)

        assert (of_terminal.terminal, of_terminal.style.colour) == (True, True)
        assert (of_pipe.terminal, of_pipe.style.colour) == (False, False)
        assert of_terminal.size() == (80, 24)
        assert of_pipe.size() == (80, 24)
    finally:
        for descriptor in (leader, terminal, reader, pipe):
            os.close(descriptor)
