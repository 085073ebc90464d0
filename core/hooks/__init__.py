"""Hooks: telling other programs what happens in the loop. What they are told stands in `storage.outbox`."""
