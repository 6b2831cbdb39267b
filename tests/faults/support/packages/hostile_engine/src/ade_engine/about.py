"""What this engine was told, and where it may write."""

import os
import sys


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def path(text):
    """``{output}``, ``{logs}``, ``{input}``, ``{venv}`` and ``{run}`` stand for places; a relative path is below the run's directory."""
    for name, place in places().items():
        text = text.replace("{" + name + "}", place)
    return os.path.normpath(os.path.join(RUN, text))


def places():
    known = {"venv": sys.prefix, "run": RUN}
    for name, flag in ("output", "--output-dir"), ("logs", "--logs-dir"), ("input", "--input"):
        if flag in sys.argv:
            known[name] = option(flag)
    return known


def events():
    """The file that the service follows."""
    return os.path.join(option("--logs-dir"), "events.ndjson")


# Before anything changes directories.
RUN = os.getcwd()
