"""The bodies of cached answers, made from the database."""
