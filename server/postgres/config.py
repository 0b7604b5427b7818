"""The configuration of the embedded PostgreSQL: small memory, no parallel workers, nothing on the network.

Every value departs from PostgreSQL's default for a reason that stands beside it. `docs/settings.md` explains them
to operators. The file is written anew at each start, so an upgrade of this program upgrades the configuration.
"""

from __future__ import annotations

from pathlib import Path

SETTINGS: dict[str, str] = {
    # Reached through a socket in a directory that only we may enter.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    # Memory, beside `shared_buffers` (below). A backend costs about 2 MB.
    "max_connections": "24",
    "superuser_reserved_connections": "2",
    "work_mem": "2MB",
    "maintenance_work_mem": "32MB",
    "temp_buffers": "1MB",
    "wal_buffers": "1MB",
    "effective_cache_size": "256MB",
    # One or two cores: workers would only take turns with the query they serve.
    "max_worker_processes": "3",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "autovacuum_max_workers": "1",
    "autovacuum_naptime": "30s",
    "jit": "off",
    # Solid state: a random page is nearly as cheap as the next one.
    "random_page_cost": "1.1",
    # Random event ids touch many pages: with rare checkpoints and compressed page images the log stays small.
    "checkpoint_timeout": "15min",
    "max_wal_size": "512MB",
    "min_wal_size": "64MB",
    "wal_compression": "pglz",
    # After a crash the whole file system is flushed at once instead of every file by itself: a start, not a wait.
    "recovery_init_sync_method": "syncfs",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    # A week of logs, one file a weekday, each overwritten after a week.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_min_messages": "warning",
    # A failing statement may carry what a user wrote; it is not for a log file.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
MIB = 2**20
# Of the memory that server and PostgreSQL have together, and between how many megabytes.
SHARE, LEAST_BUFFERS, MOST_BUFFERS = 16, 32, 64
# Known to newer servers only.
SINCE_18 = {"io_method": "sync", "autovacuum_worker_slots": "2"}


def shared_buffers(memory: int | None) -> int:
    """How many megabytes of pages PostgreSQL keeps itself, where there are so many bytes of memory (None: unknown).

    The kernel keeps the others, at the price of a system call each.
    """
    share = (memory or 0) // SHARE // MIB
    return max(LEAST_BUFFERS, min(share, MOST_BUFFERS))


def render(major: int, socket_directory: Path, memory: int | None) -> str:
    """The text of `postgresql.conf` for a server of this major version, where there are so many bytes of memory."""
    values = SETTINGS | {
        "unix_socket_directories": str(socket_directory), "shared_buffers": f"{shared_buffers(memory)}MB",
    }  # fmt: skip
    if major >= 18:
        values |= SINCE_18
    lines = [f"{name} = '{value}'" for name, value in values.items()]
    return "# Written at every start; change settings through the environment.\n" + "\n".join(lines) + "\n"


# Whoever may enter the socket's directory (mode 0700) may connect; there is no other way in.
HOST_BASED_AUTHENTICATION = "local all all trust\n"
