"""Searching: who finds releases for a query, and how it is corrected."""
