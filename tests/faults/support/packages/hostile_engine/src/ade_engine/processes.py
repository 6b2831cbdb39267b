"""Processes that do not want to be found, or to end."""

import ctypes
import fcntl
import os
import resource
import signal
import sys
import time

from ade_engine.about import events, option, path

LIBC = ctypes.CDLL(None, use_errno=True)
# <sys/prctl.h>, <sched.h>, <sys/ptrace.h>, <asm/unistd_64.h>
PR_SET_NAME, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 15, 4, 36
CLONE_PARENT, CLONE_NEWPID = 0x8000, 0x20000000
PTRACE_TRACEME, SYS_CLONE = 0, 56
# Nothing of this outlives a test that was cut short by more.
LIFE = 120


def trace(name):
    """``trace FILE``: every process of this engine holds this lock as long as it lives, whatever else it hides."""
    file = os.open(name, os.O_RDONLY)
    high = fcntl.fcntl(file, fcntl.F_DUPFD, 300)
    os.close(file)
    os.set_inheritable(high, True)
    fcntl.flock(high, fcntl.LOCK_SH)


def sleep(seconds):
    time.sleep(float(seconds))


def ignore(*_):
    """All signals that can be ignored."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass


def kill(number, whom="self"):
    """``kill SIGNAL [self|parent|group|service]``"""
    pids = {"self": os.getpid(), "parent": os.getppid(), "group": 0, "service": _service()}
    os.kill(pids[whom], int(number))


def _service():
    """The first ancestor whose own parent is another program; there may be helpers of the service in between."""
    pid = os.getppid()
    while (parent := _parent(pid)) > 1 and _program(parent) == _program(pid):
        pid = parent
    return pid


def _parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def _program(pid):
    return os.readlink(f"/proc/{pid}/exe")


def leave(code):
    sys.stdout.flush()
    os._exit(int(code))


def close(*descriptors):
    """``close N...``: no more pipes."""
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, int(descriptor))


def wipe():
    """The environment that ``/proc`` shows of this process and its children is gone."""
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    ctypes.memset(start, 0, end - start)


def disguise(name):
    """``disguise NAME``: another name, and one that spoils the reading of ``/proc/PID/stat``."""
    LIBC.prctl(PR_SET_NAME, name.replace("_", " ").encode(), 0, 0, 0)
    LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def adopt():
    """Orphans come to this process first."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def escape():
    """Out of the control group that it was put in, where there is one and it is allowed."""
    for name in "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs":
        try:
            with open(name, "w") as file:
                file.write(str(os.getpid()))
        except OSError:
            pass


def _idle():
    ignore()
    time.sleep(LIFE)
    os._exit(0)


def _detached(act):
    """In a session of its own, child of nobody."""
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            act()
        os._exit(0)
    os.waitpid(middle, 0)


def daemon(kind="idle"):
    """``daemon KIND``: a process that has left in a way of its own."""
    sys.stdout.flush()
    _detached({"idle": _quiet, "bare": _bare, "holds": _idle, "wiped": _wiped, "writes": _writes, "speaks": _speaks}[kind])


def _quiet():
    close(0, 1, 2)
    _idle()


def _bare():
    """Another program, with an empty environment, as ``env -i`` starts it."""
    close(0, 1, 2)
    ignore()
    os.execve("/bin/sleep", ["kworker/0:1"] + [str(LIFE)], {})


def _wiped():
    close(0, 1, 2)
    wipe()
    disguise(")_Z_1_(")
    _idle()


def _writes():
    """The event file and the outputs grow after the end."""
    close(0, 1, 2)
    wipe()
    end = time.monotonic() + LIFE
    ignore()
    while time.monotonic() < end:
        with open(events(), "a") as file:
            file.write('{"type":"test.late","payload":{}}\n' * 100)
        with open(os.path.join(option("--output-dir"), f"late-{time.monotonic_ns()}"), "w") as file:
            file.write("late")
        time.sleep(0.001)


def _speaks():
    """The pipes are never silent."""
    wipe()
    ignore()
    end = time.monotonic() + LIFE
    while time.monotonic() < end:
        os.write(1, b'{"type":"test.late","payload":{}}\n' * 20)
        time.sleep(0.001)


def sibling():
    """A child of its parent instead of its own."""
    sys.stdout.flush()
    if LIBC.syscall(SYS_CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os.setsid()
        _bare()


def chain(lives_ms):
    """``chain MILLISECONDS``: always another process, always an orphan, without an environment."""
    end, life = time.monotonic() + LIFE, int(lives_ms) / 1000
    sys.stdout.flush()
    if os.fork() == 0:
        close(0, 1, 2)
        wipe()
        ignore()
        while time.monotonic() < end:
            time.sleep(life)
            if os.fork() != 0:
                os._exit(0)
            os.setsid()


def bomb(alive, seconds):
    """``bomb ALIVE SECONDS``: everybody forks as long as there are fewer than that many."""
    end = time.monotonic() + float(seconds)
    takes, gives = os.pipe()
    os.set_blocking(takes, False)
    os.write(gives, b"x" * int(alive))
    sys.stdout.flush()
    if os.fork() == 0:
        close(0, 1, 2)
        wipe()
        ignore()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while time.monotonic() < end:
            _spread(takes, gives)
        os._exit(0)


def _spread(takes, gives):
    """Takes a token for a child, which gives it back when it ends by itself."""
    try:
        os.read(takes, 1)
    except BlockingIOError:
        time.sleep(0.01)
        return
    if os.fork() == 0:
        os.setsid()
    elif os.urandom(1)[0] < 64:
        os.write(gives, b"x")
        os._exit(0)


def traced():
    """A child that its own parent traces, and that has stopped."""
    sys.stdout.flush()
    if os.fork() == 0:
        LIBC.ptrace(PTRACE_TRACEME, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        _idle()


def stopped():
    """A child that has stopped, in a group of its own."""
    sys.stdout.flush()
    if os.fork() == 0:
        os.setpgid(0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        _idle()


def inside():
    """A daemon that is the first process of a namespace."""
    sys.stdout.flush()
    if os.fork() == 0:
        os.setsid()
        if LIBC.unshare(CLONE_NEWPID) == 0 and os.fork() == 0:
            _bare()
        os._exit(0)


def zombies(count):
    """``zombies COUNT``: children that end and are left to whoever comes after."""
    sys.stdout.flush()
    for _ in range(int(count)):
        if os.fork() == 0:
            os._exit(0)


def become(*command):
    """``become PROGRAM ARGUMENTS``: this process goes on as another program."""
    sys.stdout.flush()
    os.execv(command[0], list(command))


def helper(name):
    """``helper FILE``: a detached process, with an empty environment, that a well-behaved run has, and whose pid it keeps."""
    sys.stdout.flush()
    name = path(name)

    def act():
        with open(name + ".new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(name + ".new", name)
        _bare()

    _detached(act)
    wait(name)


def alive(name):
    """``alive FILE``: says whether that helper is."""
    with open(path(name)) as file:
        pid = int(file.read())
    try:
        with open(f"/proc/{pid}/stat") as file:
            state = file.read().rpartition(")")[2].split()[0]
    except OSError:
        state = "X"
    print("helper lives" if state not in "ZX" else "helper is gone", flush=True)


def wait(name):
    """``wait FILE``: until there is one."""
    while not os.path.exists(path(name)):
        time.sleep(0.01)
