"""Actors: whatever owns state, batches, ticks or orders conflicting work."""
