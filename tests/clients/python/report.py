"""What every program here does with what it receives: one line of JSON for each event, and one at the end.

    python <client>.py <url> [stay]

With ``stay`` the program does not stop at the last event of the stream: it asks again, and ends when the answer is
204, which says that there will never be more.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine, Iterable

URL = sys.argv[1]
STAYS = sys.argv[2:3] == ["stay"]
PAUSE = 0.5


class Over(Exception):
    """There will never be more."""


def received(position: str, data: str) -> None:
    """Report an event; raises Over when it is the last one and the program is to stop."""
    print(json.dumps({"id": position, "data": data}), flush=True)
    if not STAYS and json.loads(data)["type"] == "run.completed":
        raise Over("closed")


def following(follow: Callable[[], Coroutine]) -> None:
    """For asynchronous libraries: run ``follow`` until the stream is over."""
    try:
        asyncio.run(follow())
    except Over as over:
        print(json.dumps({"stopped": str(over)}), flush=True)


def resuming(read: Callable[[str | None], Iterable[tuple[str, str]]], *errors: type[Exception]) -> None:
    """For libraries that read one response: ask again from where it was until the stream is over.

    ``read(position)`` gives ids and data, and raises Over at a 204; ``errors`` are those of a connection that failed.
    """
    position = None
    try:
        while True:
            try:
                for position, data in read(position):
                    received(position, data)
            except errors:
                pass
            time.sleep(PAUSE)
    except Over as over:
        print(json.dumps({"stopped": str(over)}), flush=True)


def check(status: int) -> bool:
    """Whether a response has events; raises Over when there are none any more."""
    if status == 204:
        raise Over("gave up")
    return status == 200
