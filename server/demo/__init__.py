"""The demo: an invented catalogue, its users and a month of views, the same for the same seed."""
