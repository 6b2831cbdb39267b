import asyncio

import aiohttp
from aiosseclient import aiosseclient
from report import PAUSE, URL, following, received


async def follow():
    position = None
    while True:
        try:
            async for event in aiosseclient(URL, last_id=position):
                position = event.id or position
                if event.event == "ade.event":
                    received(event.id, event.data)
        except (aiohttp.ClientError, OSError):
            pass
        await asyncio.sleep(PAUSE)


following(follow)
