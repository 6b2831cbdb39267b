"""The client that waits where it is called. Made of `_async` by scripts/unasync.py."""
