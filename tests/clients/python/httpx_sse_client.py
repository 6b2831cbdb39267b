import httpx
from httpx_sse import EventSource
from report import URL, check, resuming


def read(position):
    headers = {"Last-Event-ID": position} if position else {}
    with httpx.stream("GET", URL, headers=headers | {"Accept": "text/event-stream"}, timeout=60) as response:
        if not check(response.status_code):
            return
        for event in EventSource(response).iter_sse():
            # Each event is to be used without a look at whether it is one.
            event.json()
            yield event.id, event.data


resuming(read, httpx.TransportError)
