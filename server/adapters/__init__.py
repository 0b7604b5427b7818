"""Adapters to the optional world (Redis, Elasticsearch, S3, SMTP), one interface each."""
