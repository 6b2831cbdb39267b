"""Bytes on the pipes and in the event file that are hardly lines."""

import os
import sys
import time

from ade_engine.about import events

PIECE = 1 << 16


def _target(where):
    """``stdout``, ``stderr`` or ``file``, as something to write bytes to."""
    sys.stdout.flush()
    if where == "file":
        return open(events(), "ab", buffering=PIECE)
    return os.fdopen(os.dup({"stdout": 1, "stderr": 2}[where]), "wb", PIECE)


def say(*words):
    print(*words, flush=True)


def line(where, *words):
    with _target(where) as target:
        target.write(" ".join(words).encode() + b"\n")


def repeat(where, count, *words):
    """``repeat WHERE COUNT WORDS``: the same line, over and over."""
    with _target(where) as target:
        text = " ".join(words).encode() + b"\n"
        for _ in range(int(count)):
            target.write(text)


def flow(where, megabytes, text="x"):
    """``flow WHERE MEGABYTES [TEXT]``: one line that does not end."""
    with _target(where) as target:
        piece = (text.encode() * PIECE)[:PIECE]
        for _ in range(int(megabytes) * 16):
            target.write(piece)


def flood(where, text="y"):
    """Short lines until somebody ends it. A file takes as many as there are; more than the disk has are not meant here."""
    with _target(where) as target:
        piece = f"{text}\n".encode() * 1000
        while True:
            target.write(piece)
            if where == "file":
                target.flush()
                time.sleep(0.01)


def noise(where, megabytes):
    """Every byte there is, in an order of its own, NULs and line ends among them."""
    with _target(where) as target:
        piece = bytes(n * 167 % 256 for n in range(1 << 20))
        for _ in range(int(megabytes)):
            target.write(piece)


def control(where):
    """What terminals and line readers do things at."""
    with _target(where) as target:
        for text in "\x1b]0;title\x07", "\x1b[2J", "a\rb\rc", "\u2028\u2029\x85", "\0\0\0", "\x0b\x0c", "\ufeff", "\u202e":
            target.write(f"{text}\n".encode())
            target.write(b'{"type":"test.control","payload":{"text":"' + text.encode() + b'"}}\n')


def drip(where, seconds):
    """A byte now and then, and never a line."""
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        with _target(where) as target:
            target.write(b"{")
        time.sleep(0.05)
