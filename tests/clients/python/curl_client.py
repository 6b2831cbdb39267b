"""The lines that curl prints, taken by the rules of the standard."""

import subprocess

from report import URL, check, resuming


def read(position):
    command = ["curl", "-sN", "-w", "\nstatus: %{http_code}\n\n", "-H", "Accept: text/event-stream"]
    if position:
        command += ["-H", f"Last-Event-ID: {position}"]
    with subprocess.Popen([*command, URL], stdout=subprocess.PIPE) as curl:
        block = {}
        for line in curl.stdout:
            if line != b"\n":
                field, _, value = line.decode().removesuffix("\n").partition(":")
                block[field] = value.removeprefix(" ")
                continue
            if block.get("event") == "ade.event" and "id" in block:
                yield block["id"], block["data"]
            check(int(block.get("status", 200)))
            block = {}


resuming(read)
