"""Directories that are deep, wide, or full of names that nobody expects."""

import os

from ade_engine.about import path

NAMES = [
    b"\xff\xfe\x80", b"new\nline", b"carriage\rreturn", b"x" * 255, b"\xc3\xa9" * 127, b"-rf", b" ", b"...", b"..a",
    b"%2e%2e%2f", b"..\\..\\x", b"\x01\x1b[31m\x7f", b"e\xcc\x81", b"\xe2\x80\xae.xlsx", b"\xf0\x9f\x98\x80", b"'\";$(x)`",
    b"<script>", b"a?b#c&d=e", b"data: x\n\nid: 1", b"normalized.xlsx\t", b"{run}", b"\xed\xa0\x80", b"*", b"~", b"CON",
]


def deep(where, depth, name="d"):
    """``deep WHERE DEPTH [NAME]``: each directory in the one before, far beyond the longest path."""
    os.makedirs(path(where), exist_ok=True)
    os.chdir(path(where))
    for _ in range(int(depth)):
        os.mkdir(name)
        os.chdir(name)
    with open("at the bottom", "w") as file:
        file.write("deep")


def long(where, depth):
    """``long WHERE DEPTH``: as deep, with the longest of names."""
    deep(where, depth, "n" * 255)


def wide(where, count, kind="file"):
    """``wide WHERE COUNT [file|directory]``: so many entries in one directory."""
    os.makedirs(path(where), exist_ok=True)
    os.chdir(path(where))
    for n in range(int(count)):
        if kind == "directory":
            os.mkdir(f"entry-{n}")
        else:
            os.close(os.open(f"entry-{n}", os.O_CREAT | os.O_WRONLY))


def names(where):
    """Files and directories of all the awkward names."""
    base = os.fsencode(path(where))
    os.makedirs(os.path.join(base, b"inner"), exist_ok=True)
    for name in NAMES:
        with open(os.path.join(base, name), "w") as file:
            file.write("named")
        os.mkdir(os.path.join(base, b"inner", name))
        with open(os.path.join(base, b"inner", name, name), "w") as file:
            file.write("named")
