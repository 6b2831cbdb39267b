import requests
import sseclient
from report import URL, check, resuming


def read(position):
    headers = {"Last-Event-ID": position} if position else {}
    with requests.get(URL, headers=headers | {"Accept": "text/event-stream"}, stream=True, timeout=60) as response:
        if not check(response.status_code):
            return
        for event in sseclient.SSEClient(response).events():
            yield event.id, event.data


resuming(read, requests.RequestException)
