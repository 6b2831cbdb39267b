"""Entry point of ``python -m ade_engine``. What to do comes as ``--metadata key=value``.

mode      nothing (default), flood or paced
gate      a file; nothing is said before it exists
report    a file that is told when the first and the last byte were written, in nanoseconds since 1970
events    flood: how many; rate, seconds: paced: how many a second, for how long
size      length of each event's text
"""

import json
import os
import sys
import time

GATE_PATIENCE = 300
BLOCK = 1 << 20


def main(arguments):
    if arguments[:1] == ["version"]:
        print(json.dumps({"version": "0.0.1"}))
        return 0
    pairs = zip(arguments, arguments[1:])
    options = dict(value.split("=", 1) for name, value in pairs if name == "--metadata")
    if "gate" in options and not opened(options["gate"]):
        print("the gate was never opened", file=sys.stderr)
        return 1
    modes = {"nothing": nothing, "flood": flood, "paced": paced}
    first, last = modes[options.get("mode", "nothing")](options)
    if "report" in options:
        with open(options["report"], "w", encoding="utf-8") as file:
            json.dump({"first": first, "last": last}, file)
    return 0


def opened(gate):
    deadline = time.monotonic() + GATE_PATIENCE
    while not os.path.exists(gate):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def nothing(options):
    now = time.time_ns()
    return now, now


def flood(options):
    """The same line again and again, as fast as the pipe takes it."""
    events = int(options["events"])
    text = "x" * int(options.get("size", 105))
    line = b'{"type":"run.row","payload":{"i":1,"text":"%s"}}\n' % text.encode()
    in_block = max(1, BLOCK // len(line))
    block = line * in_block
    first = time.time_ns()
    for _ in range(events // in_block):
        put(block)
    put(line * (events % in_block))
    return first, time.time_ns()


def paced(options):
    """Each event carries the time of its writing, as ``t=<nanoseconds since 1970>``."""
    rate, seconds = float(options["rate"]), float(options["seconds"])
    padding = "x" * int(options.get("size", 64))
    at_once = max(1, int(rate / 200))
    total = int(rate * seconds)
    begin, first = time.monotonic(), time.time_ns()
    for number in range(0, total, at_once):
        wait = begin + number / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        now = time.time_ns()
        line = f'{{"type":"run.row","payload":{{"mark":"t={now}","text":"{padding}"}}}}\n'.encode()
        put(line * min(at_once, total - number))
    return first, time.time_ns()


def put(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]


sys.exit(main(sys.argv[1:]))
