"""Consumers of the outbox: one class, one file. `base.py` says how to write one."""
