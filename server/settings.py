"""Settings: from the environment, a `.env` file, or files named by `NAME_FILE`; read once, typed, frozen.

A start with wrong settings stops with every fault at once. Secrets are `Secret`s: no log, error or repr shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from server.errors import SettingsError
from server.settings_values import (
    CACHE_POLICIES,
    Network,
    Secret,
    edit_distance,
    parse_boolean,
    parse_choice,
    parse_directory,
    parse_integer,
    parse_networks,
    parse_origins,
    parse_quota,
    parse_secret,
    parse_secrets,
    parse_sender,
    parse_text,
    parse_url,
)

CACHE_TTL = "CACHE_TTL_"
# Names that shells, service managers and build systems set, and that happen to look like HOST, PORT or DEMO.
NOT_OURS = frozenset(
    {"HOME", "HOSTNAME", "OS", "ROOT", "BOOT", "TEMP", "TEST", "DEV", "DEBUG", "REPO", "DEST", "DIST", "POST", "FONT"}
)


def setting(default: str, parse: Callable[[str], Any], *, secret: bool = False) -> Any:
    """A field read from the environment variable of the same name in capitals; `default` is written as one would."""
    return field(default_factory=lambda: parse(default), metadata={"parse": parse}, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. `docs/settings.md` says what each means."""

    database_url: Secret = setting("", parse_url("postgresql", "postgres"), secret=True)
    database_direct_url: Secret = setting("", parse_url("postgresql", "postgres"), secret=True)
    redis_url: Secret = setting("", parse_url("redis", "rediss", "unix"), secret=True)
    data_dir: Path = setting("./var", parse_directory)
    host: str = setting("127.0.0.1", parse_text)
    port: int = setting("8080", parse_integer(0, 65535))
    public_url: str = setting("", parse_url("http", "https"))
    cdn_url: str = setting("", parse_url("http", "https"))
    secret_key: Secret = setting("", parse_secrets(16), secret=True)
    log_level: str = setting("INFO", parse_choice("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = setting("", parse_choice("", "json", "console"))
    log_file: str = setting("", parse_text)
    log_client_address: str = setting("prefix", parse_choice("full", "prefix", "none"))
    search_backend: str = setting("postgresql", parse_choice("postgresql", "elasticsearch"))
    elasticsearch_url: Secret = setting("", parse_url("http", "https"), secret=True)
    search_reindex_on_start: bool = setting("0", parse_boolean)
    media_url: str = setting("", parse_url("s3"))
    rate_limit_max: int = setting("100", parse_integer(0, 10_000_000))
    rate_limit_ttl: int = setting("60000", parse_integer(1, 86_400_000))
    comment_rate_limit: tuple[int, int] = setting("10/hour", parse_quota)
    review_rate_limit: tuple[int, int] = setting("3/day", parse_quota)
    notification_rate_limit: tuple[int, int] = setting("5/hour", parse_quota)
    login_rate_limit: tuple[int, int] = setting("10/minute", parse_quota)
    register_rate_limit: tuple[int, int] = setting("20/hour", parse_quota)
    cache_max_bytes: int = setting("33554432", parse_integer(0, 2**40))
    cache_default_timeout: int = setting("3600", parse_integer(0, 31_536_000))
    trending_interval: int = setting("60", parse_integer(1, 86_400))
    view_retention_days: int = setting("180", parse_integer(1, 36_500))
    notification_retention_days: int = setting("30", parse_integer(1, 36_500))
    cors_origins: tuple[str, ...] = setting("", parse_origins)
    slow_query_ms: int = setting("200", parse_integer(0, 3_600_000))
    cdn_purge_url: Secret = setting("", parse_url("http", "https"), secret=True)
    webhook_allow: tuple[Network, ...] = setting("", parse_networks)
    mail_from: str = setting("", parse_sender)
    demo: bool = setting("1", parse_boolean)
    admin_password: Secret = setting("", parse_secret, secret=True)
    max_concurrent_requests: int = setting("0", parse_integer(0, 1_000_000))
    max_queued_requests: int = setting("0", parse_integer(0, 1_000_000))
    trusted_proxies: tuple[Network, ...] = setting("", parse_networks)
    metrics_allow: tuple[Network, ...] = setting("127.0.0.0/8,::1/128", parse_networks)
    smtp_url: Secret = setting("", parse_url("smtp", "smtps", "smtp+starttls"), secret=True)
    # Seconds by policy, from CACHE_TTL_<POLICY>.
    cache_ttl: Mapping[str, int] = field(default_factory=dict)


NAMES: dict[str, Any] = {item.name.upper(): item for item in fields(Settings) if "parse" in item.metadata}
KNOWN = frozenset(NAMES) | frozenset(CACHE_TTL + policy.upper() for policy in CACHE_POLICIES)


def load(environment: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """Read everything; SettingsError with all faults, each on a line. The environment wins over `.env`."""
    faults: list[str] = []
    from_file = read_dotenv(dotenv, faults) if dotenv is not None and dotenv.exists() else {}
    faults += unknown_in_file(from_file) + misspelt(environment)
    given = {name: value for name, value in (from_file | dict(environment)).items() if is_setting(name)}
    values = with_files(given, faults)
    parsed: dict[str, Any] = {}
    for name, item in NAMES.items():
        if name in values:
            _parse_into(parsed, item.name, name, values[name], item.metadata["parse"], faults)
    parsed["cache_ttl"] = _cache_ttls(values, faults)
    if not faults:
        settings = Settings(**parsed)
        faults += contradictions(settings)
    if faults:
        raise SettingsError("\n".join(faults))
    return settings


def _parse_into(
    target: dict[str, Any], key: str, name: str, text: str, parse: Callable[[str], Any], faults: list[str]
) -> None:
    try:
        target[key] = parse(text.strip())
    except ValueError as error:
        faults.append(f"{name}: {error}")


def _cache_ttls(values: Mapping[str, str], faults: list[str]) -> dict[str, int]:
    ttls: dict[str, int] = {}
    for policy in CACHE_POLICIES:
        name = CACHE_TTL + policy.upper()
        if name in values:
            _parse_into(ttls, policy, name, values[name], parse_integer(0, 31_536_000), faults)
    return ttls


def contradictions(settings: Settings) -> list[str]:
    """Faults that only two settings together make."""
    faults = []
    if settings.search_backend == "elasticsearch" and not settings.elasticsearch_url:
        faults.append("SEARCH_BACKEND: elasticsearch needs ELASTICSEARCH_URL")
    if settings.smtp_url and not settings.mail_from:
        faults.append("SMTP_URL: needs MAIL_FROM, the sender of the mails")
    return faults


def is_setting(name: str) -> bool:
    """Whether the name, or the name less `_FILE`, is one of ours."""
    return name in KNOWN or (name.endswith("_FILE") and name.removesuffix("_FILE") in KNOWN)


def with_files(given: Mapping[str, str], faults: list[str]) -> dict[str, str]:
    """Replace each `NAME_FILE` by `NAME` with the content of the file it names."""
    values: dict[str, str] = {}
    for name, value in given.items():
        base = name.removesuffix("_FILE")
        if name in KNOWN:
            values[name] = value
        elif base in given:
            faults.append(f"{name}: {base} is set too; set one of them")
        else:
            try:
                values[base] = Path(value).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                faults.append(f"{name}: cannot read the file: {getattr(error, 'strerror', None) or 'not UTF-8'}")
    return values


def read_dotenv(path: Path, faults: list[str]) -> dict[str, str]:
    """Lines of `NAME=value`; `#` begins a comment line, `export` and matching quotes are dropped."""
    values: dict[str, str] = {}
    try:
        text_of_file = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path}: cannot read the file: {getattr(error, 'strerror', None) or 'not UTF-8'}")
        return values
    for number, line in enumerate(text_of_file.splitlines(), 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals:
            faults.append(f"{path}, line {number}: not of the form NAME=value")
            continue
        bare = value.strip()
        if len(bare) >= 2 and bare[0] == bare[-1] and bare[0] in "\"'":
            bare = bare[1:-1]
        values[name.strip()] = bare
    return values


def unknown_in_file(values: Mapping[str, str]) -> list[str]:
    """A fault for each name in `.env` that is no setting."""
    return [f"{name}: no such setting{suggestion(name)}" for name in values if not is_setting(name)]


def misspelt(environment: Mapping[str, str]) -> list[str]:
    """A fault for each variable whose name is within two edits of a setting."""
    suspects = (name for name in environment if not is_setting(name) and name not in NOT_OURS)
    return [f"{name}: no such setting{hint}" for name in suspects if (hint := suggestion(name))]


def suggestion(name: str) -> str:
    """`; did you mean X?` where X is the nearest setting within two edits, else nothing."""
    near = min(((edit_distance(name, known, limit=2), known) for known in KNOWN), default=(3, ""))
    return f"; did you mean {near[1]}?" if near[0] <= 2 else ""
