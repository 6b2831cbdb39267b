"""``run`` reads commands from the input file, one a line: a word and the rest of the line as its argument."""

import json
import os
import signal
import subprocess
import sys
import time


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def event(n):
    return json.dumps({"type": "test.tick", "payload": {"n": n}}) + "\n"


def emit(argument):
    """``emit COUNT [PER_SECOND]``: events on standard output."""
    count, *rate = argument.split()
    for n in range(int(count)):
        sys.stdout.write(event(n))
        sys.stdout.flush()
        if rate:
            time.sleep(1 / float(rate[0]))


def log(argument):
    """``log COUNT``: events in the file."""
    with open(os.path.join(option("--logs-dir"), "events.ndjson"), "a") as file:
        for n in range(int(argument)):
            file.write(event(n))


def tables(argument):
    """``tables COUNT COLUMNS``: tables of so many columns each, in the file."""
    count, width = map(int, argument.split())
    columns = [{"field": f"field_{n}", "source_column_index": n, "score": 0.5} for n in range(width)]
    issues = {f"code_{n}": 1 for n in range(100)}
    with open(os.path.join(option("--logs-dir"), "events.ndjson"), "a") as file:
        for n in range(count):
            payload = {"table_id": f"t{n}", "source_file": f"file {n}.csv", "source_sheet": "S", "row_count": 1}
            payload["mapping"] = {"mapped_columns": columns, "unmapped_columns": []}
            payload["validation"] = {"issues_total": 100, "issues_by_code": issues}
            file.write(json.dumps({"type": "run.table.summary", "payload": payload}) + "\n")


def arguments(_):
    """What the engine was started with, as one line."""
    print(json.dumps(sys.argv[1:]), flush=True)


def say(argument):
    print(argument, flush=True)


def stderr(argument):
    print(argument, file=sys.stderr, flush=True)


def wait(argument):
    """``wait PATH``: until there is such a file."""
    while not os.path.exists(argument):
        time.sleep(0.01)


def touch(argument):
    with open(argument, "w"):
        pass


def python(argument):
    """``python CODE``: anything; ``run`` is the run's folder and ``out`` the one for outputs."""
    out = option("--output-dir")
    os.makedirs(out, exist_ok=True)
    exec(argument, {"os": os, "time": time, "out": out, "run": os.path.dirname(os.path.abspath(out))})


def output(argument):
    """``output NAME``: a file among the outputs."""
    with open(os.path.join(option("--output-dir"), argument), "w") as file:
        file.write("made by the scripted engine")


def ignore(_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def idle():
    ignore(None)
    while True:
        time.sleep(60)


def fork_deaf():
    """A child that ignores the signals from its first moment on: they may come before it has done anything."""
    former = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGTERM, signal.SIGINT)]
    child = os.fork()
    if child != 0:
        for number, handler in former:
            signal.signal(number, handler)
    return child


def child(_):
    """In the engine's own group."""
    if fork_deaf() == 0:
        idle()


def group(_):
    """A child in a process group of its own."""
    if fork_deaf() == 0:
        os.setpgid(0, 0)
        idle()


def silence():
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)


def daemon(_):
    """In a session of its own, child of nobody, with no pipe of ours."""
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if fork_deaf() == 0:
            silence()
            idle()
        os._exit(0)
    os.waitpid(middle, 0)


def hold(_):
    """A grandchild that keeps the pipes open."""
    middle = os.fork()
    if middle == 0:
        if fork_deaf() == 0:
            idle()
        os._exit(0)
    os.waitpid(middle, 0)


def respawn(_):
    """A process that is always another one, for a minute: it must not outlive a test that was cut short."""
    end = time.monotonic() + 60
    if fork_deaf() == 0:
        while time.monotonic() < end:
            time.sleep(0.002)
            if os.fork() != 0:
                os._exit(0)


def executed(argument):
    """``executed SECONDS``: another program, in a session of its own."""
    subprocess.Popen(["sleep", argument], start_new_session=True, stdin=subprocess.DEVNULL)


def escape(argument):
    """``escape SECONDS``: another program in a session of its own, child of nobody, with nothing of its environment."""
    ready, done = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            silence()
            os.execve("/bin/sleep", ["sleep", argument], {})
        os._exit(0)
    os.wait()
    os.close(done)
    os.read(ready, 1)


def parent(argument):
    """``parent SIGNAL``: to whoever has started the engine."""
    sys.stdout.flush()
    os.kill(os.getppid(), int(argument))


def long(argument):
    """``long MEGABYTES``: one line without an end."""
    for _ in range(int(argument)):
        sys.stdout.write("x" * 1_000_000)
    sys.stdout.flush()


def beginning(argument):
    """``object MEGABYTES``: one line that begins like an event and goes on."""
    sys.stdout.write("{")
    for _ in range(int(argument)):
        sys.stdout.write("z" * 1_000_000)
    sys.stdout.flush()


def flood(_):
    """Lines for ever."""
    line = "y" * 200 + "\n"
    while True:
        sys.stdout.write(line * 100)


def binary(argument):
    """``binary BYTES``: anything but text."""
    sys.stdout.flush()
    sys.stdout.buffer.write(bytes(range(256)) * (int(argument) // 256) + b"\n")
    sys.stdout.buffer.flush()


def leave(argument):
    sys.stdout.flush()
    os._exit(int(argument))


def kill(argument):
    sys.stdout.flush()
    os.kill(os.getpid(), int(argument))


def run():
    commands = {
        "emit": emit, "log": log, "print": say, "stderr": stderr, "wait": wait, "touch": touch, "output": output,
        "sleep": lambda seconds: time.sleep(float(seconds)), "ignore": ignore, "child": child, "group": group,
        "daemon": daemon, "hold": hold, "respawn": respawn, "executed": executed, "long": long, "flood": flood,
        "escape": escape, "parent": parent, "object": beginning, "tables": tables, "arguments": arguments, "binary": binary,
        "python": python, "exit": leave, "kill": kill,
    }
    with open(option("--input"), encoding="utf-8") as file:
        for line in file:
            word, _, argument = line.strip().partition(" ")
            if word:
                commands[word](argument)


if __name__ == "__main__":
    if sys.argv[1] == "version":
        print(json.dumps({"version": "0.0.1"}))
    else:
        run()
