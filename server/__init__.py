"""The server: what it is made of is composed in `server/app.py`."""

__version__ = "0.1.0"
