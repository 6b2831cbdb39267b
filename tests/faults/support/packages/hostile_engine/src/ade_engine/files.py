"""Files of every kind, where the service expects plain ones or its own."""

import fcntl
import os
import shutil
import socket
import stat
import struct
import sys
import time

from ade_engine.about import events, option, path

# <linux/fs.h>
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL = 0x80086601, 0x40086602, 0x10


def put(kind, name, *target):
    """``put KIND NAME [TARGET]``: whatever is there goes, and something of this kind takes its place."""
    place = path(name)
    remove(name)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    try:
        globals()["_" + kind](place, *target)
    except PermissionError as error:
        print(f"SKIPPED: this user may not make a {kind}: {error}", flush=True)
        sys.exit(0)


def remove(name):
    place = path(name)
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)
    elif os.path.lexists(place):
        os.unlink(place)


def rename(name, other):
    os.rename(path(name), path(other))


def mode(octal, name):
    os.chmod(path(name), int(octal, 8))


def immutable(name):
    """Not even root removes it; the test takes the flag away again."""
    file = os.open(path(name), os.O_RDONLY)
    try:
        flags = bytearray(8)
        fcntl.ioctl(file, FS_IOC_GETFLAGS, flags)
        fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("l", struct.unpack("l", flags)[0] | FS_IMMUTABLE_FL))
    except OSError as error:
        print(f"SKIPPED: this file system has no immutable files: {error}", flush=True)
    os.close(file)


def write(name, text, count="1"):
    """``write NAME TEXT [COUNT]``: appends it, a line each time."""
    with open(path(name), "a") as file:
        file.write(f"{text}\n" * int(count))


def truncate(name):
    os.truncate(path(name), 0)


def overwrite(name):
    """Each byte becomes another; the file keeps its size."""
    size = os.path.getsize(path(name))
    with open(path(name), "r+b") as file:
        file.write(b"\x00" * size)


def disturb(seconds):
    """``disturb SECONDS``: the event file grows, shrinks, vanishes and comes back while it is followed."""
    end = time.monotonic() + float(seconds)
    turn = 0
    while time.monotonic() < end:
        turn += 1
        with open(events(), "ab") as file:
            file.write(b'{"type":"test.tick","payload":{"turn":%d}}\n' % turn * 50)
        if turn % 4 == 0:
            os.truncate(events(), 0)
        elif turn % 4 == 1:
            os.truncate(events(), os.path.getsize(events()) // 2)
        elif turn % 4 == 2:
            os.unlink(events())
        else:
            os.rename(events(), events() + ".old")
        time.sleep(0.003)


def swap(name, target, seconds):
    """``swap NAME TARGET SECONDS``: the name is a file, a link, a directory with such a file, and a link to one, in turns."""
    place, end = path(name), time.monotonic() + float(seconds)
    os.makedirs(place + ".real")
    with open(place + ".plain", "w") as file:
        file.write("plain")
    with open(place + ".real/inner", "w") as file:
        file.write("plain")
    os.symlink(target, place + ".linked")
    os.symlink(os.path.dirname(target), place + ".aside")
    while time.monotonic() < end:
        for one in ".plain", ".linked":
            os.rename(place + one, place)
            os.rename(place, place + one)
        for one in ".real", ".aside":
            os.rename(place + one, place + ".folder")
            os.rename(place + ".folder", place + one)


def fill(limit):
    """``fill MEGABYTES``: until the disk is full, or this much is written."""
    try:
        with open(os.path.join(option("--output-dir"), "ballast"), "wb", buffering=0) as file:
            for _ in range(int(limit) * 256):
                file.write(b"\0" * 4096)
    except OSError as error:
        sys.stderr.write(f"{error}\n")


def _symlink(place, target):
    os.symlink(target, place)


def _loop(place):
    os.symlink(os.path.basename(place), place)


def _hard_link(place, target):
    os.link(target, place)


def _fifo(place):
    os.mkfifo(place)


def _socket(place):
    # The name that a socket may have is short.
    os.chdir(os.path.dirname(place))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("./" + os.path.basename(place))


def _device(place):
    """A second ``/dev/zero``."""
    os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def _directory(place):
    os.makedirs(os.path.join(place, "in", "side"))


def _sparse(place):
    with open(place, "wb") as file:
        file.truncate(1 << 40)
