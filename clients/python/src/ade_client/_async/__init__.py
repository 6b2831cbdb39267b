"""The client for asyncio and trio. `_sync` is made from this by scripts/unasync.py."""
