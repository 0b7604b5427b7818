"""Settings: every fault at once, misspelt names, files, secrets that never show, and what they decide about clients."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from server.errors import SettingsError
from server.http.client import ClientAddress
from server.settings import KNOWN, Settings, load
from server.settings_values import Secret, parse_networks
from tests.conftest import Server
from tests.http_fixture import ON_18, problem, shared_site

# What these set on a usual machine, by name; values do not matter.
SHELL = (
    "HOME PATH PWD OLDPWD SHELL SHLVL TERM USER LOGNAME LANG LC_ALL LS_COLORS EDITOR PAGER MAIL DISPLAY HOSTNAME _ "
    "PS1 IFS TMPDIR TEMP TMP TZ COLUMNS LINES OS OSTYPE HOSTTYPE MACHTYPE XDG_RUNTIME_DIR SSH_AUTH_SOCK SSH_TTY "
    "VIRTUAL_ENV PYTHONPATH HISTFILE COLORTERM ROOT TEST DEV POST FONT SSL_CERT_FILE HTTP_PROXY NO_PROXY "
    "MANPATH INFOPATH LESS DEBUG"
)
SYSTEMD = (
    "INVOCATION_ID JOURNAL_STREAM SYSTEMD_EXEC_PID MAINPID LISTEN_FDS LISTEN_PID LISTEN_FDNAMES NOTIFY_SOCKET "
    "WATCHDOG_USEC WATCHDOG_PID STATE_DIRECTORY LOGS_DIRECTORY CREDENTIALS_DIRECTORY RUNTIME_DIRECTORY "
    "MEMORY_PRESSURE_WATCH"
)
CI = (
    "CI GITHUB_ACTIONS GITHUB_SHA GITHUB_REF RUNNER_OS RUNNER_TEMP RUNNER_NAME CI_JOB_ID CI_COMMIT_SHA CI_PROJECT_DIR "
    "GITLAB_CI BUILD_ID BUILD_URL JOB_NAME JOB_URL GIT_URL GIT_COMMIT NODE_NAME WORKSPACE REPO DIST DEST TRAVIS "
    "JENKINS_URL RUN_DISPLAY_URL COMPOSE_FILE DOCKER_HOST"
)
KUBERNETES = (
    "KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_PORT KUBERNETES_PORT_443_TCP "
    "KUBERNETES_PORT_443_TCP_ADDR REDIS_PORT REDIS_SERVICE_HOST REDIS_PORT_6379_TCP DB_PORT DB_SERVICE_PORT "
    "YOJOHAN_PORT YOJOHAN_SERVICE_HOST POD_NAME POD_IP NODE_IP"
)


def faults(environment: dict[str, str], dotenv: Path | None = None) -> list[str]:
    """The lines of the refusal."""
    with pytest.raises(SettingsError) as caught:
        load(environment, dotenv)
    return str(caught.value).splitlines()


def test_with_nothing_set_everything_has_its_default() -> None:
    settings = load({})
    assert (settings.host, settings.port, settings.cache_max_bytes) == ("127.0.0.1", 8080, 33_554_432)
    assert settings.comment_rate_limit == (10, 3600)
    assert settings.database_url == ""


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PROT=1\nno equals sign\nCACHE_TTL_RELEASES=soon\n")
    environment = {
        "PORT": "99999", "LOG_LEVEL": "LOUD", "DATABASE_URL": "mysql://x", "TRUSTED_PROXIES": "10.0.0.0/8, nonsense",
        "DEMO": "maybe", "COMMENT_RATE_LIMIT": "many", "CORS_ORIGINS": "example.org", "RATE_LIMT_MAX": "1",
        "SECRET_KEY": "short", "SECRET_KEY_FILE": "/x", "DATA_DIR": "",
    }  # fmt: skip
    found = faults(environment, dotenv)
    for name in (
        "PROT", "line 2", "CACHE_TTL_RELEASES", "PORT", "LOG_LEVEL", "DATABASE_URL", "TRUSTED_PROXIES", "DEMO",
        "COMMENT_RATE_LIMIT", "CORS_ORIGINS", "RATE_LIMT_MAX", "SECRET_KEY:", "SECRET_KEY_FILE", "DATA_DIR",
    ):  # fmt: skip
        assert any(name in line for line in found), name
    assert len(found) == 14


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RATE_LIMT_MAX", "RATE_LIMIT_MAX"), ("DATABSE_URL", "DATABASE_URL"), ("PROT", "PORT"), ("HOSTS", "HOST"),
        ("CACHE_TTL_TRENDNG", "CACHE_TTL_TRENDING"), ("TRUSTED_PROXY", None), ("SERCET_KEY", "SECRET_KEY"),
    ],
)  # fmt: skip
def test_a_name_nearly_ours_in_the_environment_is_refused_with_what_was_meant(name: str, meant: str | None) -> None:
    if meant is None:
        # Three letters away: somebody else's.
        load({name: "x"})
    else:
        (line,) = faults({name: "x"})
        assert line == f"{name}: no such setting; did you mean {meant}?"


@pytest.mark.parametrize("names", [SHELL, SYSTEMD, CI, KUBERNETES], ids=["shell", "systemd", "ci", "kubernetes"])
def test_the_environment_of_usual_machines_is_taken(names: str) -> None:
    load(dict.fromkeys(names.split(), "x"))


def test_the_environment_of_this_very_process_is_taken() -> None:
    load({name: value for name, value in os.environ.items() if name not in KNOWN})


def test_in_the_file_every_unknown_name_is_refused(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("HOME=/root\nSOMETHING_ELSE=1\nLOG_LEVLE=INFO\n")
    assert faults({}, dotenv) == [
        "HOME: no such setting; did you mean HOST?",
        "SOMETHING_ELSE: no such setting",
        "LOG_LEVLE: no such setting; did you mean LOG_LEVEL?",
    ]


def test_the_file_is_read_as_people_write_it_and_the_environment_wins(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "# a comment\n\nexport PORT=1234\nHOST = \"::1\"\nLOG_LEVEL='debug'\nSECRET_KEY=a=b#c=d0123456789\n"
    )
    settings = load({"PORT": "4321"}, dotenv)
    assert (settings.port, settings.host, settings.log_level) == (4321, "::1", "DEBUG")
    assert settings.secret_key == "a=b#c=d0123456789"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00P", None])
def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path, content: bytes | None) -> None:
    dotenv = tmp_path / ".env"
    if content is None:
        dotenv.mkdir()
    else:
        dotenv.write_bytes(content)
    (line,) = faults({}, dotenv)
    assert line.startswith(f"{dotenv}: cannot read the file: ")


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("  0123456789abcdef\n")
    assert load({"SECRET_KEY_FILE": str(secret)}).secret_key == "0123456789abcdef"
    assert faults({"SECRET_KEY_FILE": str(secret), "SECRET_KEY": "0123456789abcdef"}) == [
        "SECRET_KEY_FILE: SECRET_KEY is set too; set one of them"
    ]
    assert faults({"SECRET_KEY_FILE": str(tmp_path / "none")}) == [
        "SECRET_KEY_FILE: cannot read the file: No such file or directory"
    ]


def test_log_file_is_a_setting_and_no_file_to_read(tmp_path: Path) -> None:
    assert load({"LOG_FILE": str(tmp_path / "new.log")}).log_file == str(tmp_path / "new.log")


WORD = "hunter2hunter2hunter2"
SECRETS = {
    "DATABASE_URL": f"postgresql://u:{WORD}@h/d", "DATABASE_DIRECT_URL": f"postgres://u:{WORD}@h/d",
    "REDIS_URL": f"redis://:{WORD}@h", "SECRET_KEY": WORD, "ELASTICSEARCH_URL": f"http://u:{WORD}@h",
    "CDN_PURGE_URL": f"https://h/{WORD}", "ADMIN_PASSWORD": WORD, "SMTP_URL": f"smtp://u:{WORD}@h", "MAIL_FROM": "a@b",
}  # fmt: skip


def test_secrets_do_not_show_in_repr() -> None:
    settings = load(SECRETS)
    for text in (repr(settings), str(settings), f"{settings}", repr(dataclasses.astuple(settings))):
        assert WORD not in text
    assert WORD in settings.database_url
    assert repr(Secret("x")) == "'***'"
    assert repr(Secret("")) == "''"


def test_every_setting_that_may_hold_a_password_is_kept_out_of_repr() -> None:
    hidden = {item.name.upper() for item in dataclasses.fields(Settings) if not item.repr}
    assert hidden == set(SECRETS) - {"MAIL_FROM"}


@pytest.mark.parametrize(
    "text",
    [
        WORD, f"mysql://u:{WORD}@h/d", f"postgresql://u:{WORD}/{WORD}@h/d", f"postgresql://u:{WORD}#{WORD}@h/d",
        f"postgresql://u:[{WORD}]@h/d", f"postgresql://u:{WORD}\u2100@h/d", f"postgresql://u@h:{WORD}/d",
        f"postgresql://[{WORD}/d", f"postgresql:{WORD}",
    ],
)  # fmt: skip
def test_a_wrong_address_is_refused_without_repeating_it(text: str) -> None:
    (line,) = faults({"DATABASE_URL": text})
    assert line.startswith("DATABASE_URL: ")
    assert WORD not in line


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://h1:5432,h2:5433/d", "postgresql:///d?host=/run/postgresql", "postgres://u:p%2Fw@[::1]:5432/d",
        "POSTGRESQL://h/d",
    ],
)  # fmt: skip
def test_addresses_that_postgresql_takes_are_taken(text: str) -> None:
    assert load({"DATABASE_URL": text}).database_url == text


def test_settings_that_contradict_each_other_are_refused() -> None:
    assert faults({"SEARCH_BACKEND": "elasticsearch", "SMTP_URL": "smtp://h"}) == [
        "SEARCH_BACKEND: elasticsearch needs ELASTICSEARCH_URL",
        "SMTP_URL: needs MAIL_FROM, the sender of the mails",
    ]


class Transport:
    """Stands for the connection, of which only the peer counts."""

    def __init__(self, peer: str) -> None:
        self.peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self.peer, 1) if name == "peername" and self.peer else default

    def is_closing(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        ("", "198.51.100.1", ["1.1.1.1"], "198.51.100.1"),
        ("10.0.0.0/8", "198.51.100.1", ["1.1.1.1"], "198.51.100.1"),
        ("10.0.0.0/8", "10.1.2.3", [], "10.1.2.3"),
        ("10.0.0.0/8", "10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.1.2.3", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.1.2.3", ["127.0.0.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.1.2.3", ["1.1.1.1, 203.0.113.9, 10.9.9.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.1.2.3", ["1.1.1.1, nonsense"], "10.1.2.3"),
        ("10.0.0.0/8", "10.1.2.3", ["1.1.1.1, nonsense, 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.1.2.3", [", ".join(["10.1.1.1"] * 1000)], "10.1.1.1"),
        ("2001:db8::/32", "2001:db8::1", ["2001:db9::7"], "2001:db9::7"),
    ],
)
def test_a_forwarded_address_counts_only_as_far_as_trusted_proxies_vouch_for_it(
    trusted: str, peer: str, forwarded: list[str], client: str
) -> None:
    request = make_mocked_request(
        "GET", "/", headers=[("X-Forwarded-For", value) for value in forwarded], transport=Transport(peer)
    )
    assert ClientAddress(parse_networks(trusted), "full").of(request) == client


@ON_18
@pytest.mark.parametrize(
    ("allowed", "proxies", "forwarded", "status"),
    [
        ("127.0.0.0/8", "", None, 200),
        ("10.0.0.0/8", "", None, 403),
        ("10.0.0.0/8", "", "10.0.0.1", 403),
        ("127.0.0.0/8", "127.0.0.1", "203.0.113.9", 403),
        ("10.0.0.0/8", "127.0.0.1", "10.0.0.1", 200),
    ],
)
async def test_metrics_are_for_whom_the_operator_names(
    server: Server, tmp_path: Path, allowed: str, proxies: str, forwarded: str | None, status: int
) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    async with (
        shared_site(server, tmp_path, METRICS_ALLOW=allowed, TRUSTED_PROXIES=proxies) as site,
        site.client.get("/metrics", headers=headers) as answer,
    ):
        if status == 403:
            assert (await problem(answer, 403))["code"] == "forbidden"
        else:
            assert answer.status == 200


@pytest.mark.parametrize("text", ["short", "0123456789abcdef,short", ",", "0123456789abcdef,", " ,0123456789abcdef"])
def test_each_of_several_keys_has_to_be_long_enough(text: str) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY: shorter than 16"):
        load({"SECRET_KEY": text})
    assert load({"SECRET_KEY": "0123456789abcdef, fedcba9876543210"}).secret_key
