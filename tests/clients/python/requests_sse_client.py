import requests
from report import URL, check, resuming
from requests_sse import EventSource, InvalidStatusCodeError


def read(position):
    try:
        with EventSource(URL, latest_event_id=position, timeout=60) as events:
            for event in events:
                yield event.last_event_id, event.data
    except InvalidStatusCodeError as error:
        check(error.status_code)


resuming(read, requests.RequestException)
