"""Lines reach whoever listens, and nobody listening is no error."""

import io
import os
import sys

import pytest

from widthwise.cli.streams import write_error, write_line


def test_characters_that_a_stream_cannot_show_become_question_marks():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write_line("γ → 0", stream)
    assert raw.getvalue() == b"? ? 0\n"


def test_a_reader_that_is_gone_is_no_error():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        write_line("nobody hears this", stream)
        write_line("nor this", stream)


def test_a_closed_standard_output_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    write_line("nobody hears this")
    write_error("nor this")


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="needs /dev/full")
def test_a_full_disk_is_an_error_for_results_and_none_for_messages(monkeypatch):
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with os.fdopen(descriptor, "w") as stream, pytest.raises(OSError, match="No space left"):
        write_line("the results", stream)
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with os.fdopen(descriptor, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        write_error("a message")
