"""Makes src/ade_client/_sync of src/ade_client/_async: the same without `await`.

python scripts/unasync.py [--check]
"""

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "src/ade_client"
RULES = [
    (r"AsyncGenerator\[(.+?), None\]", r"Generator[\1, None, None]"),
    (r"\bAsyncGenerator\b", "Generator"),
    (r"\bAsync([A-Z]\w*)", r"\1"),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\baclosing\b", "closing"),
    (r"\baclose\b", "close"),
    (r"\baread\b", "read"),
    (r"\baiter_raw\b", "iter_raw"),
    (r"__a(iter|enter|exit)__", r"__\1__"),
    (r"\banyio\.sleep\b", "time.sleep"),
]
HEAD = "# Made of {} by scripts/unasync.py; changes belong there.\n"


def converted(name: str, text: str) -> str:
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    # Modules are in the order of their names, within their kind.
    text = text.replace("import anyio\nimport httpx\n", "import httpx\n")
    if "time.sleep" in text:
        text = re.sub(r"(from __future__ import annotations\n\n(?:import json\n)?)", r"\1import time\n", text, count=1)
    return HEAD.format(f"_async/{name}") + text


def main() -> int:
    stale = []
    for source in sorted((PACKAGE / "_async").glob("*.py")):
        text = converted(source.name, source.read_text("utf-8"))
        if source.name == "__init__.py":
            text = '"""The client that waits where it is called. Made of `_async` by scripts/unasync.py."""\n'
        target = PACKAGE / "_sync" / source.name
        if "--check" in sys.argv:
            stale += [] if target.exists() and target.read_text("utf-8") == text else [source.name]
        else:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, "utf-8")
    if stale:
        print(f"not what _async says: {', '.join(stale)}; python scripts/unasync.py")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
