"""What a reader knows and decides. No input or output here: `_async` and `_sync` do that, and ask this."""
