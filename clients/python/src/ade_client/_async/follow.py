"""Streams that are followed, over lost connections and restarts of the service."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import anyio
import httpx

from .._core.frames import Lost, Silent
from .._core.page import parse_page
from .._core.phase import State
from .._core.place import Place
from .._core.reader import WAIT, Filter, Line, Reader, Transport
from .._core.sse import Decoder
from ..errors import AdeError, ProblemError
from .http import AsyncHttp

E = TypeVar("E")
SILENCE = 45.0


@dataclass(frozen=True)
class Options:
    only: Filter
    transport: Transport
    silence: float
    ticket: str | None


class AsyncFollow(Generic[E]):
    """Events of a stream, each once and in order, to the terminal event. Taken by iterating, once.

    It reads as fast as it is iterated and holds no more than what has arrived together.
    """

    def __init__(self, http: AsyncHttp, places: Sequence[Place], options: Options):
        self._http = http
        self._options = options
        self._reader = Reader(places, options.only, options.transport, options.ticket)
        self._listeners: list[Callable[[State], object]] = []
        self._told: State | None = None
        self._lines: AsyncGenerator[list[Line], None] | None = None

    @property
    def state(self) -> State:
        """`connecting`, `catching up`, `live`, `reconnecting` or `ended`."""
        return self._reader.phase.state

    @property
    def position(self) -> int | None:
        """The last sequence that was read; of several streams `positions` has them all."""
        return next(iter(self.positions.values()))

    @property
    def positions(self) -> dict[str, int | None]:
        return {place.stream: place.position for place in self._reader.places.values()}

    @property
    def degraded(self) -> bool:
        """The log could not be written to its end; what there is has been read."""
        return self._reader.degraded

    def on_state(self, listener: Callable[[State], object]) -> AsyncFollow[E]:
        """Calls the listener now and at each change of the state."""
        self._listeners.append(listener)
        listener(self.state)
        return self

    async def __aiter__(self) -> AsyncGenerator[E, None]:
        async with aclosing(self.lines()) as lines:
            async for line in lines:
                yield cast(E, json.loads(line.data))

    async def lines(self) -> AsyncGenerator[Line, None]:
        """Events as lines of the log, byte for byte."""
        if self._lines:
            raise AdeError("a stream is iterated once; follow it again for another reader")
        self._lines = self._persist()
        async with aclosing(self._lines) as batches:
            async for lines in batches:
                for line in lines:
                    yield line

    async def aclose(self) -> None:
        """Leaves before the end."""
        if self._lines:
            await self._lines.aclose()

    async def __aenter__(self) -> AsyncFollow[E]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _persist(self) -> AsyncGenerator[list[Line], None]:
        reader = self._reader
        try:
            while not reader.ended:
                try:
                    async with aclosing(self._poll() if reader.polls else self._stream()) as batches:
                        async for lines in batches:
                            self._tell()
                            if lines:
                                yield lines
                            reader.check()
                            if reader.ended:
                                return
                    raise Lost("the connection ended")
                except Lost as lost:
                    if reader.ended:
                        return
                    pause = reader.lost(lost)
                    self._tell()
                    await anyio.sleep(pause)
        finally:
            reader.phase.end()
            self._tell()

    async def _stream(self) -> AsyncGenerator[list[Line], None]:
        """What one connection brings."""
        try:
            response = await self._http.client.send(self._request(0), stream=True)
            try:
                if not await self._begins(response):
                    return
                decoder = Decoder()
                async for chunk in response.aiter_raw():
                    yield self._reader.take(decoder.feed(chunk))
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise _lost(error) from error

    async def _begins(self, response: httpx.Response) -> bool:
        """Whether there is something to read."""
        answer = self._reader.answered(response.status_code, dict(response.headers))
        if answer == "refused":
            await response.aread()
            raise ProblemError.of(response)
        if answer == "over":
            self._reader.over()
            return False
        await self._look_ahead()
        return True

    async def _look_ahead(self) -> None:
        """For those who watch the state: a stream that has nothing more is live at once."""
        self._tell()
        if not self._listeners or len(self._reader.places) > 1:
            return
        asked = self._reader.ahead()
        try:
            request = self._http.build("GET", asked.path, asked.query, headers=asked.headers)
            response = await self._http.client.send(request)
            if response.status_code == 200:
                self._reader.expect(parse_page(response.text).last_sequence)
        except httpx.TransportError:
            # The stream itself will tell.
            return
        self._tell()

    async def _poll(self) -> AsyncGenerator[list[Line], None]:
        """The same by long polling, for where streams do not get through."""
        wait = 0
        while True:
            try:
                response = await self._http.client.send(self._request(wait))
            except httpx.TransportError as error:
                raise _lost(error) from error
            answer = self._reader.answered(response.status_code, dict(response.headers))
            if answer == "refused":
                raise ProblemError.of(response)
            yield self._reader.take_page(parse_page(response.text))
            wait = WAIT

    def _request(self, wait: int) -> httpx.Request:
        asked = self._reader.request(wait)
        timeout = httpx.Timeout(self._options.silence + wait, connect=10.0)
        extensions = {"timeout": timeout.as_dict()}
        return self._http.build("GET", asked.path, asked.query, headers=asked.headers, extensions=extensions)

    def _tell(self) -> None:
        if self._told == self.state:
            return
        self._told = self.state
        for listener in self._listeners:
            listener(self.state)


def _lost(error: httpx.TransportError) -> Lost:
    return Silent("silent") if isinstance(error, httpx.ReadTimeout) else Lost(str(error) or type(error).__name__)
