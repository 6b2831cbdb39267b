"""``run`` performs the commands of the input file, ``version`` those that its configuration brings, if any."""

import json
import sys

from ade_engine import about, script


def version():
    try:
        from ade_config import at_version
    except ImportError:
        return
    script.perform(at_version)


if __name__ == "__main__":
    if sys.argv[1] == "version":
        version()
        print(json.dumps({"version": "0.0.1"}))
    else:
        with open(about.option("--input"), encoding="utf-8") as file:
            commands = file.read()
        script.perform(commands)
