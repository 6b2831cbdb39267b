import asyncio

import aiohttp
from aiohttp_sse_client2.client import EventSource
from report import PAUSE, URL, Over, following, received


async def read(session, headers):
    async with EventSource(URL, session=session, headers=headers) as events:
        async for event in events:
            headers["Last-Event-ID"] = event.last_event_id
            received(event.last_event_id, event.data)


async def follow():
    headers = {}
    # As it is by default: no line may be longer than 128 KiB.
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                await read(session, headers)
            except ConnectionAbortedError as refused:
                # A status that is neither 200 nor an error.
                if "204" in str(refused):
                    raise Over("gave up") from refused
            except (aiohttp.ClientError, ConnectionError):
                pass
            await asyncio.sleep(PAUSE)


following(follow)
