"""What reading a document changed or could not keep: counted by kind, told once per sheet."""

import logging
from collections.abc import Callable

MAX_PLACES = 10
INVISIBLE_REMOVED = "invisible characters were removed from {count} cells"


class Notices:
    """Counts by message; keeps the first places of each."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[list[int], list[str]]] = {}

    def add(self, message: str, place: str | Callable[[], str] = "") -> None:
        """Note one more occurrence; ``message`` has ``{count}`` where the number goes."""
        count, places = self._found.setdefault(message, ([0], []))
        count[0] += 1
        if place and len(places) < MAX_PLACES:
            places.append(place if isinstance(place, str) else place())

    def __bool__(self) -> bool:
        return bool(self._found)

    def messages(self) -> list[str]:
        return [self._sentence(message) for message in self._found]

    def _sentence(self, message: str) -> str:
        (count,), places = self._found[message]
        text = message.replace("{count}", str(count))
        if not places:
            return text
        more = " ..." if count > len(places) else ""
        return f"{text}: {', '.join(places)}{more}"

    def report(self, label: str, logger: logging.Logger) -> None:
        for sentence in self.messages():
            logger.warning("%s: %s", label, sentence)
