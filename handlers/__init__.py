"""Handlers: parse, ask, answer."""
