"""The client of this repository.

python own_client.py [sync | async | poll] <url> [stay]
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

from ade_client import AdeClient, AsyncAdeClient

KIND, URL = sys.argv[1:3]
ADDRESS = urlsplit(URL)
BASE = f"{ADDRESS.scheme}://{ADDRESS.netloc}"
STREAMS = parse_qs(ADDRESS.query).get("stream") or [ADDRESS.path.split("/")[4]]
TRANSPORT = "poll" if KIND == "poll" else "sse"


def told(line):
    print(json.dumps({"id": line.id, "data": line.data}), flush=True)


def follow():
    with AdeClient(BASE) as client:
        for line in client.follow(*STREAMS, transport=TRANSPORT).lines():
            told(line)


async def follow_async():
    async with AsyncAdeClient(BASE) as client:
        async for line in client.follow(*STREAMS, transport=TRANSPORT).lines():
            told(line)


asyncio.run(follow_async()) if KIND == "async" else follow()
print(json.dumps({"stopped": "ended"}), flush=True)
