"""What a number format makes of a value: a moment, or a number shown with more than its digits."""

import re
from decimal import Decimal
from functools import cached_property

TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|_(?P<space>.)|\*(?P<fill>.)|\[(?P<bracket>[^\]]*)\]?'
    r"|(?P<ampm>AM/PM|A/P)|(?P<general>General)|(?P<exponent>E[+-])|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
PLACEHOLDERS = ("0", "#", "?")
FILLERS = {"0": "0", "#": "", "?": " "}
MAX_DIGITS = 300
# Shown as it stands, without quotation marks.
PLAIN_LITERALS = " $-+/():!^&'~{}<>=€£¥"
CURRENCY = re.compile(r"\$([^-\]]*)(-.*)?")
SECONDS_FRACTION = re.compile(r"s[.,]0+")
ELAPSED = re.compile(r"h+|m+|s+", re.IGNORECASE)
MAX_CODE = 255


class NumberFormat:
    """A format code; ``kind`` is number, date, time, duration or text."""

    def __init__(self, code: str):
        self.code = code[:MAX_CODE]
        self._sections = self.code.count(";") + 1
        self._tokens = [token_of(match) for match in TOKEN.finditer(first_section(self.code))]
        self.kind = self._kind()

    def _kind(self) -> str:
        kinds = {kind for kind, _ in self._tokens}
        plain = "".join(text.lower() for kind, text in self._tokens if kind == "other")
        letters = set(SECONDS_FRACTION.sub("s", plain))
        if "elapsed" in kinds:
            return "duration"
        if "general" in kinds or "0" in letters or "#" in letters:
            return "number"
        if letters & set("ydeb"):
            return "date"
        if letters & set("hs") or "ampm" in kinds:
            return "time"
        if "m" in letters:
            return "date"
        return "text" if "@" in letters else "number"

    @cached_property
    def pattern(self) -> "Pattern | None":
        """How numbers are shown, when that is more than the plain number."""
        if self.kind != "number":
            return None
        pattern = Pattern(self._tokens)
        return pattern if pattern.complete and pattern.adds else None

    def shown(self, value: object) -> str | None:
        """The text that a cell shows, when it is exact and says more than the number."""
        if self.pattern is None or isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        other_section = (value < 0 and self._sections > 1) or (value == 0 and self._sections > 2)
        return None if other_section else self.pattern.show(value)

    def identifies(self, value: object) -> bool:
        """Whether the format makes an identifier of a whole number: zeros or text before it."""
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return whole and self.pattern is not None and self.pattern.identifier


class Pattern:
    """The digits and literal texts of a section, from left to right."""

    def __init__(self, tokens: list[tuple[str, str]]):
        self.complete = True
        self.percent = False
        self.grouping = False
        self._whole: list[str] = []
        self._fraction: list[str] = []
        self._in_fraction = False
        self._comma = False
        for kind, text in tokens:
            self._add(kind, text)
        self._places = [i for i, part in enumerate(self._whole) if part in PLACEHOLDERS]
        self._zeros = self._whole.count("0")
        self._decimals = sum(part in PLACEHOLDERS for part in self._fraction)
        self.complete = self.complete and bool(self._places) and not self._comma
        self.complete = self.complete and not (self.grouping and self._interrupted)

    def _add(self, kind: str, text: str) -> None:
        parts = self._fraction if self._in_fraction else self._whole
        if kind == "literal":
            parts.append(f"'{text}")
        elif kind == "other":
            self._add_other(text, parts)
        elif kind != "nothing":
            self.complete = False

    def _add_other(self, text: str, parts: list[str]) -> None:
        if text in PLACEHOLDERS:
            self.grouping = self.grouping or self._comma
            self._comma = False
            parts.append(text)
        elif text == "." and not self._in_fraction:
            self._in_fraction = True
        elif text == "," and not self._in_fraction:
            self._comma = True  # between digits it groups, after them it divides by a thousand
        elif text == "%" or text in PLAIN_LITERALS:
            self.percent = self.percent or text == "%"
            parts.append(f"'{text}")
        else:
            self.complete = False

    @property
    def _literals(self) -> list[str]:
        return [part[1:] for part in self._whole + self._fraction if part[0] == "'"]

    @property
    def _interrupted(self) -> bool:
        """Whether text stands between the digits."""
        return bool(self._places) and len(self._places) < self._places[-1] - self._places[0] + 1

    @property
    def adds(self) -> bool:
        return self._zeros > 1 or any(self._literals) or "0" in self._fraction

    @property
    def identifier(self) -> bool:
        """Leading zeros, letters before the digits, signs between them: no amount looks so."""
        before = "".join(part[1:] for part in self._whole[: self._places[0]])
        letters = any(character.isalpha() for character in before)
        plain = not (self._in_fraction or self.grouping or self.percent)
        return plain and (self._zeros > 1 or letters or self._interrupted)

    def show(self, value: int | float) -> str | None:
        """The text, or None when it would not be exact."""
        number = Decimal(repr(value))
        if not number.is_finite() or number.adjusted() > MAX_DIGITS:
            return None
        number *= 100 if self.percent else 1
        if number != round(number, self._decimals):
            return None
        whole, _, fraction = f"{abs(number):f}".partition(".")
        text = self._filled_whole(whole) + self._filled_fraction(fraction)
        return f"-{text}" if value < 0 else text

    def _filled_whole(self, digits: str) -> str:
        """From the right; the leftmost placeholder takes all digits that are left."""
        if self.grouping:
            grouped = f"{int(digits):0{self._zeros},}" if int(digits) or self._zeros else ""
            return "".join(self._around(grouped))
        left = list("" if digits == "0" else digits)
        filled = [part[1:] for part in self._whole]
        for index in reversed(self._places[1:]):
            filled[index] = left.pop() if left else FILLERS[self._whole[index]]
        first = self._places[0]
        filled[first] = "".join(left) or FILLERS[self._whole[first]]
        return "".join(filled)

    def _around(self, digits: str) -> list[str]:
        """The literals before and after digits that nothing interrupts."""
        first, last = self._places[0], self._places[-1]
        texts = [part[1:] for part in self._whole]
        return [*texts[:first], digits, *texts[last + 1 :]]

    def _filled_fraction(self, digits: str) -> str:
        if not self._in_fraction:
            return ""
        left = iter(digits.ljust(self._decimals, "0"))
        shown = [next(left) if part in PLACEHOLDERS else part[1:] for part in self._fraction]
        return f".{''.join(shown)}"


def first_section(code: str) -> str:
    """What applies to positive numbers: up to the first semicolon outside of quotation marks."""
    for match in TOKEN.finditer(code):
        if match["other"] == ";":
            return code[: match.start()]
    return code


def token_of(match: re.Match) -> tuple[str, str]:
    kind = match.lastgroup or "other"
    text = match[kind]
    if kind in ("quoted", "escaped"):
        return "literal", text
    if kind in ("space", "fill"):
        return "nothing", ""
    if kind == "bracket":
        return bracket_token(text)
    return kind, text


def bracket_token(text: str) -> tuple[str, str]:
    """[Red], [$€-407], [h] or [>100]."""
    currency = CURRENCY.fullmatch(text)
    if currency:
        return ("literal", currency[1]) if currency[1] else ("nothing", "")
    if ELAPSED.fullmatch(text):
        return "elapsed", text
    return ("condition", text) if text[:1] in "<>=" else ("nothing", "")
