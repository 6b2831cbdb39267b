"""Not a reader of SSE: lines that are followed (``follow=true``), with the standard library only."""

import http.client
import json
from urllib.parse import urlsplit

from report import STAYS, URL, Over, resuming


def read(position):
    address, path = urlsplit(URL).netloc, urlsplit(URL).path.removesuffix("/stream")
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("GET", f"{path}?format=ndjson&follow=true&after_sequence={position or 0}")
    response = connection.getresponse()
    if response.status != 200:
        return
    while line := response.readline():
        if not line.endswith(b"\n"):
            return
        if text := line.decode().strip():
            event = json.loads(text)
            yield str(event["sequence"]), text
            if not STAYS and event["type"] == "run.completed":
                # There is no 204 here; the end is the terminal event.
                raise Over("closed")


resuming(read, OSError, http.client.HTTPException)
