"""An engine that does what its input says: a JSON list of steps, each [name, arguments...]."""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("command")
for name in ["--input", "--input-dir", "--output-dir", "--logs-dir"]:
    parser.add_argument(name, type=pathlib.Path)
for name in ["--metadata", "--input-sheet"]:
    parser.add_argument(name, action="append", default=[])
args = parser.parse_args()


def event(told):
    with open(args.logs_dir / "events.ndjson", "a") as file:
        file.write(json.dumps(told) + "\n")


def emit(count, size=0):
    """Many events at once, numbered."""
    with open(args.logs_dir / "events.ndjson", "a") as file:
        for number in range(count):
            file.write(json.dumps({"type": "run.note", "payload": {"number": number, "text": "x" * size}}) + "\n")


def write(line, times=1):
    """A line of the file of events, as it is."""
    with open(args.logs_dir / "events.ndjson", "a", encoding="utf-8", newline="") as file:
        file.write((line + "\n") * times)


def say(text, times=1):
    sys.stdout.buffer.write((text * times + "\n").encode("utf-8", "surrogateescape"))
    sys.stdout.flush()


def complain(text):
    print(text, file=sys.stderr, flush=True)


def touch(path):
    pathlib.Path(path).touch()


def wait_for(path):
    while not pathlib.Path(path).exists():
        time.sleep(0.01)


def output(name, text):
    target = args.output_dir / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def link(name, target):
    os.symlink(target, args.output_dir / name)


def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def spawn(path):
    """A child in a session of its own that ignores SIGTERM, keeps the pipes open and never ends."""
    script = "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);" \
        "pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", script, path], start_new_session=True)
    wait_for(path)


def describe(name):
    """What the engine was started with, as an output."""
    inputs = [args.input] if args.input else sorted(args.input_dir.iterdir())
    told = {"environment": dict(os.environ), "arguments": sys.argv[1:], "folder": os.getcwd(),
            "inputs": [str(path) for path in inputs]}
    output(name, json.dumps(told))


def burn():
    """CPU time without end."""
    while True:
        pass


def hoard(megabytes):
    bytearray(megabytes << 20)


def grow(name, megabytes):
    with open(args.output_dir / name, "wb") as file:
        for _ in range(megabytes):
            file.write(b"x" * (1 << 20))


def result(**told):
    say(json.dumps(told))


STEPS = {"event": event, "emit": emit, "write": write, "sleep": time.sleep, "say": say, "complain": complain, "touch": touch, "await": wait_for,
         "output": output, "link": link, "stubborn": stubborn, "spawn": spawn, "describe": describe,
         "result": lambda told: result(**told), "exit": sys.exit, "burn": burn, "hoard": hoard, "grow": grow}


def run():
    documents = [args.input] if args.input else sorted(args.input_dir.iterdir())
    for document in documents:
        for name, *arguments in json.loads(document.read_text()):
            STEPS[name](*arguments)


match args.command:
    case "version":
        print(json.dumps({"version": "7.1.0", "capabilities": ["validate", "input_dir"]}))
    case "validate":
        event({"type": "run.phase.started", "payload": {"phase": "validating"}})
    case "run":
        run()
