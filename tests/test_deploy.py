"""The files an operator installs and reads: held against the programs that read them, and against the code."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server import settings
from server.postgres import config

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "deploy" / "yojohan.service"
SOCKET_UNIT = ROOT / "deploy" / "yojohan.socket"
ENVIRONMENT = ROOT / "deploy" / "yojohan.env.example"
SETTINGS_PAGE = ROOT / "docs" / "settings.md"
DEPLOY_PAGE = ROOT / "docs" / "deploy.md"


def program(name: str) -> str:
    """The path of a Debian program; skips the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (apt install {name.partition('-')[0]})")
    return found


def unit_values(name: str, path: Path = UNIT) -> list[str]:
    """The values of a key of a unit file, in order."""
    lines = path.read_text("utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def unit_environment() -> dict[str, str]:
    """The variables the unit sets itself."""
    return dict(pair.split("=", 1) for value in unit_values("Environment") for pair in value.split())


# The unit files


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory with both units, the interpreter of /opt/yojohan replaced by one that exists here."""
    text = UNIT.read_text("utf-8")
    (tmp_path / UNIT.name).write_text(text.replace("/opt/yojohan/.venv/bin/python", "/usr/bin/env"), "utf-8")
    shutil.copy(SOCKET_UNIT, tmp_path)
    return tmp_path


def verify(directory: Path) -> subprocess.CompletedProcess[str]:
    units = [str(directory / UNIT.name), str(directory / SOCKET_UNIT.name)]
    analyze = program("systemd-analyze")
    return subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)


@pytest.mark.external
def test_systemd_understands_every_key_of_the_units(installed: Path) -> None:
    done = verify(installed)
    # systemd-analyze ends with 0 even where it only warns of a key it will ignore.
    assert (done.stderr, done.stdout, done.returncode) == ("", "", 0)


@pytest.mark.external
def test_a_misspelt_key_would_be_noticed(installed: Path) -> None:
    with (installed / UNIT.name).open("a", encoding="utf-8") as unit:
        unit.write("[Service]\nMemoryMaximum=1G\n")
    assert "MemoryMaximum" in verify(installed).stderr


@pytest.mark.external
def test_the_service_is_exposed_no_more_than_2_of_10(installed: Path) -> None:
    command = [program("systemd-analyze"), "security", "--offline=true", "--no-pager", str(installed / UNIT.name)]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert level is not None
    assert float(level[1]) <= 2.0


def test_the_soft_memory_limit_leaves_a_seventh_below_the_hard_one() -> None:
    high, hard = (int(unit_values(name)[0].removesuffix("M")) for name in ("MemoryHigh", "MemoryMax"))
    assert 0.80 <= high / hard <= 0.90
    assert hard == 512


def test_systemd_waits_longer_than_draining_and_stopping_postgresql_take() -> None:
    assert int(unit_values("TimeoutStopSec")[0]) >= 30
    assert unit_values("KillMode") == ["mixed"]


def test_the_socket_listens_where_the_settings_default_to() -> None:
    defaults = settings.Settings()
    assert unit_values("ListenStream", SOCKET_UNIT) == [f"{defaults.host}:{defaults.port}"]


# Settings and their documentation


def example_names() -> list[str]:
    return re.findall(r"^#?([A-Z][A-Z_]+)=", ENVIRONMENT.read_text("utf-8"), re.MULTILINE)


def test_every_name_in_the_example_is_a_setting() -> None:
    assert len(example_names()) > 5
    assert [name for name in example_names() if not settings.is_setting(name)] == []


def test_the_server_accepts_the_environment_of_the_unit_with_the_example_switched_on(tmp_path: Path) -> None:
    everything = re.sub(r"^#(?=[A-Z][A-Z_]+=)", "", ENVIRONMENT.read_text("utf-8"), flags=re.MULTILINE)
    (tmp_path / "yojohan.env").write_text(everything, "utf-8")
    added_by_systemd = {
        "STATE_DIRECTORY": "/x",
        "RUNTIME_DIRECTORY": "/x",
        "INVOCATION_ID": "0",
        "JOURNAL_STREAM": "1:2",
    }
    environment = (
        unit_environment() | added_by_systemd | {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "LISTEN_FDS": "1"}
    )
    loaded = settings.load(environment, tmp_path / "yojohan.env")
    assert loaded.public_url == "https://anime.example.org"
    assert loaded.demo is False


def table(page: Path, heading: str) -> dict[str, str]:
    """First and second column, without back quotes, of the tables below a heading."""
    section = page.read_text("utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([^|]+?)` \| (.*?) \|", section, re.MULTILINE)
    return {name: value.strip("`") for name, value in rows}


def test_every_setting_is_documented_and_no_other() -> None:
    documented = set(table(SETTINGS_PAGE, "Settings"))
    assert documented - {"CACHE_TTL_<POLICY>"} == set(settings.NAMES)


def test_the_documented_defaults_are_those_of_the_program() -> None:
    for name, shown in table(SETTINGS_PAGE, "Settings").items():
        if name in settings.NAMES:
            item = settings.NAMES[name]
            text = "" if shown == "empty" else shown
            assert item.metadata["parse"](text) == item.default_factory(), name


def test_the_documented_postgresql_settings_are_those_of_the_embedded_server() -> None:
    assert table(SETTINGS_PAGE, "The embedded PostgreSQL") == {
        name: value or "empty" for name, value in (config.SETTINGS | config.SINCE_18).items()
    } | {"shared_buffers": f"{config.LEAST_BUFFERS}MB"}


@pytest.mark.external
def test_nginx_accepts_the_documented_site(tmp_path: Path) -> None:
    nginx = program("nginx")
    site = re.search(r"```nginx\n(.*?)```", DEPLOY_PAGE.read_text("utf-8"), re.DOTALL)
    assert site is not None
    # Certificates and port 443 belong to the real machine.
    plain = re.sub(r"^\s*ssl_certificate.*\n", "", site[1], flags=re.MULTILINE)
    plain = plain.replace("listen 443 ssl http2", "listen 127.0.0.1:18443").replace(
        "listen [::]:443 ssl http2", "listen [::1]:18443"
    )
    paths = "".join(
        f"{kind}_temp_path {tmp_path / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    wrapper = tmp_path / "nginx.conf"
    wrapper.write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}}\nhttp {{ access_log off; {paths}\n{plain}\n}}\n"
    )
    done = subprocess.run([nginx, "-t", "-q", "-c", str(wrapper)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# The confinement


def allowed_system_calls() -> list[str]:
    """What SystemCallFilter of the unit leaves, the sets resolved by systemd-analyze."""
    names: set[str] = set()
    for value in unit_values("SystemCallFilter"):
        if value.startswith("~"):
            names -= resolved(value[1:].split())
        else:
            names |= resolved(value.split())
    # systemd allows these whatever the filter says.
    return sorted(names | resolved(["@default"]))


def resolved(entries: list[str]) -> set[str]:
    """The system calls of these entries, sets within sets included."""
    names = {entry for entry in entries if not entry.startswith("@")}
    for group in (entry for entry in entries if entry.startswith("@")):
        command = [program("systemd-analyze"), "syscall-filter", "--no-pager", group]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
        names |= resolved([line.strip() for line in listed if line.strip() and not line.strip().startswith("#")])
    return names


@pytest.mark.external
def test_postgresql_and_the_server_work_under_the_filters_of_the_unit(tmp_path: Path) -> None:
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp.so.2 is not installed (apt install libseccomp2)")
    calls = "\n".join(allowed_system_calls())
    command = [sys.executable, "-m", "tests.sandbox", str(tmp_path / "data")]
    done = subprocess.run(command, input=calls, capture_output=True, text=True, check=False, cwd=ROOT, timeout=100)
    assert done.stdout.strip() == "refused: unshare, sched_setscheduler, chown, netlink socket, executable memory", (
        done.stderr
    )
