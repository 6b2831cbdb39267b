"""Commands: a word and its arguments, one command a line."""

import inspect
import sys

from ade_engine import events, files, lines, processes, trees


def commands():
    for module in (events, files, lines, processes, trees):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield name, function


def perform(text):
    known = dict(commands())
    for line in text.splitlines():
        word, *arguments = line.split()
        known[word](*arguments)
        sys.stdout.flush()
