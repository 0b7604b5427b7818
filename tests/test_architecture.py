"""The walls of the house: who may import whom, and the rules that keep a newcomer's reading short.

`ROOMS` is the map. A file belongs to the longest room its module name begins with; it may import what its room lists
(a name covers everything below it), the standard library, and itself. Whatever is not listed is a wall.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.cache import TABLE
from server.settings import NAMES
from sql.migrate import available

ROOT = Path(__file__).resolve().parents[1]
OURS = ("server", "actors", "handlers", "sql")
EVERYTHING = ("",)
# Third-party libraries that any room of the server's own may use for what they are for.
FORMATS = ("msgspec", "orjson")

ROOMS: dict[str, tuple[str, ...]] = {
    # Statements and what they return. Pure rules and plain values are welcome; HTTP, actors and Redis are not.
    "sql": ("sql", "server.errors", "server.events", "server.rules", "asyncpg"),
    # Whoever owns state. An actor is handed references to others, it never names their classes.
    "actors": (
        "sql", "server.errors", "server.events", "server.database", "server.rules", "actors.base", "actors.jobs",
    ),
    # LISTEN is a conversation with the driver: a dedicated connection, its callback, its end.
    "actors.invalidations": ("sql", "server.errors", "server.events", "server.database", "actors.base", "asyncpg"),
    # What it sends is said by a rule; how it goes out is behind a port.
    "actors.notification_mailer": (
        "sql", "server.errors", "server.events", "server.database", "server.rules", "server.adapters.mail",
        "actors.base",
    ),
    # Its state is what searches are filtered and counted by.
    "actors.search_index": (
        "sql", "server.errors", "server.events", "server.database", "server.search.index", "server.search.popular",
        "actors.base",
    ),
    # It sends through a port.
    "actors.search_indexer": (
        "sql", "server.errors", "server.events", "server.database", "server.rules", "server.adapters.elasticsearch",
        "actors.base",
    ),
    # What a slice is, the command that rebuilds shares with it.
    "actors.search_builder": (
        "sql", "server.errors", "server.events", "server.database", "server.search.building",
        "server.search.documents", "actors.base",
    ),
    # The runtime beneath all actors.
    "actors.base": ("server.errors",),
    # One class, one file: what a consumer of the outbox does is said in SQL, or through a port.
    "actors.consumers": (
        "sql", "server.errors", "server.events", "server.database", "server.files", "server.rules", "server.adapters",
        "actors.consumers",
    ),
    "actors.operations": (
        "sql", "server.errors", "server.events", "server.database", "server.files", "actors.base", "actors.jobs",
        "actors.works.base",
    ),
    # One kind of long work, one class, one file.
    "actors.works": (
        "sql", "server.errors", "server.events", "server.database", "server.files", "server.rules", "server.exports",
        "server.importing", "server.lists", "server.cms", "actors.works",
    ),
    # Its state is the set that requests are checked against.
    "actors.revocations": ("sql", "server.errors", "server.database", "server.identity", "actors.base"),
    # Its state is what everybody's words are held against.
    "actors.word_keeper": (
        "sql", "server.errors", "server.database", "server.rules", "server.word_rules", "actors.base",
    ),
    # A slice is a statement; what it needs of users is in the database.
    "actors.dispatcher": ("sql", "server.errors", "server.events", "server.database", "actors.base"),
    # It writes into connections, whose rights it looks after.
    "actors.stream_hub": (
        "sql", "server.errors", "server.database", "server.identity", "server.rules", "server.streams", "actors.base",
    ),
    # It sends through a port.
    "actors.webhook_sender": (
        "sql", "server.errors", "server.events", "server.database", "server.rules", "server.adapters.outgoing",
        "actors.base", "actors.jobs",
    ),
    # Who reads the outbox knows what a consumer is, and none by name.
    "actors.outbox": (
        "sql", "server.errors", "server.events", "server.database", "actors.base", "actors.consumers.base",
        "actors.outbox_handling",
    ),
    "actors.outbox_handling": (
        "sql", "server.errors", "server.events", "server.database", "server.rules", "actors.consumers.base",
    ),
    "actors.rate_limiter": ("server.errors", "server.meter", "actors.base"),
    # What it shares of the meter goes through a port.
    "actors.limit_exchange": (
        "server.adapters.redis", "server.errors", "server.events", "server.meter", "server.rules", "actors.base",
    ),
    # It says how far to give way; how memory is measured and given back it is handed.
    "actors.governor": ("server.pressure", "server.rules", "actors.base"),
    # Publishing is an edit of the catalogue like any other, only that a clock makes it.
    "actors.publisher": ("sql", "server.cms", "server.errors", "server.events", "server.database", "actors.base"),
    "actors.jobs": ("server.errors", "aiojobs"),
    "actors.supervisor": ("server.errors", "actors.base"),
    "actors.system": ("actors.base", "actors.jobs", "actors.supervisor"),
    # Parse, ask, answer. Of the actors, only their messages.
    "handlers": (
        "aiohttp", "multidict", "msgspec", "actors", "sql", "server.keys", "server.errors", "server.events",
        "server.http", "server.bodies", "server.schemas", "server.rules", "server.cache", "server.metrics",
        "server.identity", "server.meter", "server.accounts", "server.erasing", "server.passwords", "server.revoking",
        "server.streams", "server.unread", "server.cms",
    ),
    # The bottom of the house: plain values, which know nobody but one another.
    "server.errors": (),
    "server.events": ("msgspec", "server.metrics_histogram"),
    "server.metrics_histogram": (),
    "server.settings": ("msgspec", "server.errors", "server.settings_values"),
    "server.settings_values": ("msgspec", "server.errors"),
    "server.rules": ("server.rules", "server.errors"),
    # What a reader takes for one character.
    "server.rules.plain_text": ("server.errors", "server.rules", "regex"),
    "server.schemas": (*FORMATS, "server.schemas", "server.errors", "server.rules"),
    # Examples of problem documents are made by what makes the documents.
    "server.schemas.examples": (*FORMATS, "server.schemas", "server.errors", "server.http.problems"),
    # What the cache keeps: bytes made from the database, without a request in sight.
    "server.bodies": (
        *FORMATS, "sql", "server.bodies", "server.cache", "server.cms", "server.database", "server.errors",
        "server.events",
        "server.http.answer", "server.http.paging", "server.http.parse", "server.loader", "server.rules",
        "server.schemas", "server.search",
    ),
    "server.http": (
        *FORMATS, "aiohttp", "multidict", "sql", "server.http", "server.cache", "server.cms", "server.errors",
        "server.events", "server.files", "server.keys", "server.logs", "server.metrics", "server.rules",
        "server.schemas",
        "server.settings", "server.settings_values", "server.identity", "server.meter", "server.gate",
        "server.shared_meter",
    ),
    # What administrators do to the catalogue is made by the engine.
    "server.http.undoing": (
        *FORMATS, "aiohttp", "sql", "server.http", "server.cms", "server.errors", "server.keys", "server.rules",
    ),
    "server.adapters": (
        *FORMATS, "aiohttp", "aiosmtplib", "redis", "yarl", "server.adapters", "server.errors", "server.events",
        "server.settings",
    ),
    # Addresses others choose, and secrets made for them.
    "server.webhooks": ("orjson", "server.adapters.addresses", "server.errors", "server.rules"),
    "server.metrics_webhooks": ("prometheus_client", "server.events", "server.metrics"),
    "server.metrics_recommendations": ("prometheus_client", "server.events", "server.metrics"),
    # Who is asking, and what it costs them.
    "server.identity": ("jwt", "server.errors"),
    "server.meter": ("server.rules",),
    "server.word_rules": ("server.rules",),
    # Asks the actor that asks Redis.
    "server.shared_meter": (
        "actors.base", "actors.limit_exchange", "server.adapters.redis", "server.errors", "server.events",
        "server.meter", "server.rules",
    ),
    "server.metrics_sharing": ("prometheus_client", "server.adapters.redis", "server.events", "server.metrics"),
    # Hashing, on its own thread; the library is imported where it is used.
    "server.passwords": ("argon2", "server.errors", "server.metrics_histogram"),
    "server.revoking": ("server.identity",),
    # Signing up, in and out: what the handlers ask for.
    "server.accounts": (
        "sql", "server.database", "server.errors", "server.identity", "server.passwords", "server.revoking",
        "server.rules",
    ),
    "server.erasing": ("sql", "server.database", "server.errors", "server.rules"),
    "server.cache": ("multidict", "server.errors", "server.settings_values"),
    "server.database": (
        "asyncpg", "orjson", "sql.migrate", "sql.outbox", "sql.query", "server.errors", "server.events",
        "server.leases", "server.postgres", "server.settings",
    ),
    "server.leases": ("asyncpg", "sql.query"),
    "server.loader": (),
    "server.unread": ("server.loader",),
    "server.files": ("server.errors",),
    # The mathematics, in a process of its own: nothing that the server loads imports it.
    "server.recommending": (
        "numpy", "sql", "server.importing.reading", "server.lists.formats", "server.recommending", "server.rules",
    ),
    "server.importing": (
        *FORMATS, "asyncpg", "ijson", "sql", "server.importing", "server.schemas", "server.search.documents",
        "server.rules", "server.errors",
    ),
    # The catalogue as editors change it; releases go through what imports are made of.
    "server.cms": (
        *FORMATS, "asyncpg", "sql", "server.cms", "server.importing", "server.schemas", "server.search.documents",
        "server.rules", "server.errors",
    ),
    # Somebody's list from elsewhere, and everything that is somebody's on its way out.
    "server.lists": ("defusedxml", "sql", "server.lists", "server.importing.reading", "server.rules", "server.errors"),
    "server.exports": ("sql", "server.exports", "server.errors"),
    "server.demo": ("sql", "server.demo", "server.importing", "server.schemas", "server.rules", "server.errors"),
    # Names of everything that hangs on the application; types only.
    "server.keys": (
        "aiohttp", "actors", "server.adapters", "server.cache", "server.database", "server.events", "server.health",
        "server.http", "server.accounts", "server.files", "server.gate", "server.identity", "server.loader",
        "server.meter",
        "server.metrics", "server.passwords", "server.pressure", "server.rules", "server.settings", "server.streams",
        "server.search", "server.shared_meter", "server.talk", "server.unread", "server.webhooks", "server.word_rules",
    ),
    # Who finds releases for a query: ids and counts, from statements, memory and rules.
    "server.search": (
        *FORMATS, "sql", "server.database", "server.errors", "server.events", "server.metrics_histogram",
        "server.rules",
        "server.search",
    ),
    # It asks through a port.
    "server.search.elasticsearch": (
        "sql", "server.adapters.elasticsearch", "server.database", "server.errors", "server.events", "server.rules",
        "server.search",
    ),
    "server.search.elastic_finder": (
        "sql", "server.adapters.elasticsearch", "server.database", "server.errors", "server.rules", "server.search",
    ),
    "server.metrics_elasticsearch": (
        "prometheus_client", "server.adapters.elasticsearch", "server.events", "server.metrics",
    ),
    "server.pressure": ("server.rules",),
    "server.talk": ("server.cache",),
    # Who may be at work, in plain asyncio.
    "server.gate": ("server.errors", "server.pressure", "server.rules", "server.yards"),
    "server.yards": ("server.rules",),
    # How much memory there is decides how much of it PostgreSQL gets.
    "server.postgres.cluster": ("server.adapters.cgroup", "server.errors", "server.postgres"),
    "server.gate_sizes": ("server.adapters.cgroup", "server.rules", "server.settings"),
    "server.metrics_gate": ("prometheus_client", "server.gate", "server.metrics", "server.rules"),
    "server.memory": ("server.adapters.cgroup", "server.metrics", "server.rules"),
    "server.metrics_pressure": ("prometheus_client", "server.http.connections", "server.metrics", "server.pressure"),
    "server.metrics_streams": ("prometheus_client", "server.metrics", "server.streams"),
    "server.metrics_search": ("prometheus_client", "server.events", "server.metrics", "server.search"),
    "server.metrics_sources": (
        "prometheus_client", "actors.system", "server.cache", "server.database", "server.events", "server.logs",
        "server.meter", "server.metrics", "server.passwords",
    ),
    # Everything else of `server` is built from the lower parts and stands below the composition root.
    "server": (
        *FORMATS, "aiohttp", "prometheus_client", "multidict", "uvloop", "server.errors", "server.events",
        "server.settings", "server.settings_values", "server.http", "server.openapi_answers", "server.openapi_schemas",
        "server.schemas", "server.rules", "server.metrics_histogram", "server.postgres", "server.database", "sql",
        "server.identity", "server.meter",
    ),
    # The composition root, its table, and the commands: they may see everything.
    "server.app": EVERYTHING,
    "server.crew": EVERYTHING,
    "server.crew_search": EVERYTHING,
    "server.crew_recommendations": EVERYTHING,
    "server.crew_elasticsearch": EVERYTHING,
    "server.routes": EVERYTHING,
    "server.routes_community": EVERYTHING,
    "server.routes_finding": EVERYTHING,
    "server.commands": EVERYTHING,
}  # fmt: skip

# Only these may be reached from nowhere but the entry, the commands and the tests.
ROOTS = {
    "server.app": ("run", "server.commands"),
    "server.crew": ("server.app",),
    "server.crew_search": ("server.crew",),
    "server.crew_recommendations": ("server.crew",),
    "server.crew_elasticsearch": ("server.crew_search",),
    "server.routes": ("run", "server.app", "server.crew", "server.crew_search", "server.commands"),
    "server.routes_community": ("server.routes",),
    "server.routes_finding": ("server.routes",),
}
# A task somebody holds, awaits and cancels; everybody else asks an actor or a job runner.
TASK_MAKERS = {
    "actors.supervisor": "the actors' own tasks",
    "server.database": "the keeper of the embedded PostgreSQL, cancelled where its server is left",
    "server.leases": "connections on their way back to the pool; held in a set and awaited at the end",
    "server.loader": "queries under way; held in a set, and they end by themselves",
    "server.health": "one check for all who ask at once",
    "server.commands.serve": "the pulse for systemd, cancelled on the way out",
    "server.importing.pipeline": "the next batch is read while this one is written; always awaited",
    "server.search.documents": "one slice is built while the one before is written; always awaited",
}
IMPURE = {
    "asyncio", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil",
    "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib.request",
}  # fmt: skip
LONGEST_FILE, LONGEST_TEST, LONGEST_FUNCTION = 400, 500, 40
# A table of metrics, written as code: to cut it in two would hide a row, not a thought.
TABLES_AS_FUNCTIONS = {"server.metrics_sources.of_actors", "server.metrics_sources.collect"}
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_name(path): path
    for path in (ROOT / "run.py", *(path for room in OURS for path in sorted((ROOT / room).rglob("*.py"))))
}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def under(name: str, room: str) -> bool:
    return not room or name == room or name.startswith(f"{room}.")


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of each import; the name is empty where a whole module is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room is meant"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield (inner, "") if inner in MODULES else (module, alias.name)


def foreign(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Imports that are not of the standard library."""
    return (found for found in imported(tree) if found[0].split(".")[0] not in sys.stdlib_module_names)


def room_of(name: str) -> str:
    return max((room for room in ROOMS if under(name, room)), key=len)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "run"])
def test_a_file_imports_only_what_its_room_may(name: str) -> None:
    allowed = ROOMS[room_of(name)]
    trespasses = {
        module
        for module, what in foreign(TREES[name])
        if not any(under(module, one) for one in allowed) and (module, what) != ("server", "__version__")
    }
    assert trespasses == set()


def test_the_map_names_no_room_that_is_not_there() -> None:
    assert {room for room in ROOMS if not any(under(name, room) for name in MODULES)} == set()


@pytest.mark.parametrize("root", ROOTS)
def test_the_composition_root_is_reached_only_from_the_entry(root: str) -> None:
    importers = {name for name, tree in TREES.items() if any(module == root for module, _ in foreign(tree))}
    assert {name for name in importers if not any(under(name, door) for door in ROOTS[root])} == set()


def test_handlers_take_messages_of_actors_and_no_actor() -> None:
    actors = {
        node.name
        for name, tree in TREES.items()
        if under(name, "actors")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Actor" in ast.unparse(base) for base in node.bases)
    }
    assert len(actors) >= 4
    taken = {
        (name, what)
        for name, tree in TREES.items()
        if under(name, "handlers")
        for module, what in foreign(tree)
        if under(module, "actors") and (what in actors or not what)
    }
    assert taken == set()


@pytest.mark.parametrize("name", [name for name in MODULES if under(name, "server.rules")])
def test_a_rule_is_pure(name: str) -> None:
    touched = {module for module, _ in imported(TREES[name]) if any(under(module, one) for one in IMPURE)}
    called = {
        node.func.id
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "print", "input")
    }
    asynchronous = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    assert (touched, called, asynchronous) == (set(), set(), [])


def test_tasks_are_made_only_where_somebody_holds_them() -> None:
    makers = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "create_task", "ensure_future",
        )
    }  # fmt: skip
    assert makers == set(TASK_MAKERS)


def texts() -> list[Path]:
    """What people write here: code, statements, tests, documents."""
    kinds = {".py", ".sql", ".md", ".toml", ".js", ".css", ".html", ".sh", ".yml", ".yaml"}
    rooms = [ROOT / room for room in (*OURS, "tests", "docs", "deploy", ".ci")]
    found = [path for room in rooms for path in room.rglob("*") if path.suffix in kinds]
    return sorted([*found, ROOT / "run.py", ROOT / "Makefile", ROOT / "README.md", ROOT / "pyproject.toml"])


def test_no_file_is_longer_than_one_sitting() -> None:
    code = [path for path in texts() if path.suffix in (".py", ".sql")]
    bounds = {path: LONGEST_TEST if path.is_relative_to(ROOT / "tests") else LONGEST_FILE for path in code}
    assert [
        str(path.relative_to(ROOT)) for path in code if len(path.read_text("utf-8").splitlines()) > bounds[path]
    ] == []


def test_no_function_is_longer_than_forty_lines() -> None:
    long = {
        f"{name}.{node.name}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body[-1].end_lineno is not None
        and node.body[-1].end_lineno - node.lineno >= LONGEST_FUNCTION
    }
    assert long <= TABLES_AS_FUNCTIONS


def test_nothing_is_left_for_later() -> None:
    assert [str(path.relative_to(ROOT)) for path in texts() if UNFINISHED.search(path.read_text("utf-8"))] == []


def test_every_package_is_shipped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    folders = {path.parent for name, path in MODULES.items() if name != "run"}
    assert {".".join(folder.relative_to(ROOT).parts) for folder in folders} == set(
        project["tool"]["setuptools"]["packages"]
    )
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name for name, tree in TREES.items() if tree.body and ast.get_docstring(tree) is None] == []


def test_every_migration_is_numbered() -> None:
    files = sorted(path.name for path in (ROOT / "sql" / "migrations").iterdir() if path.is_file())
    assert files == [migration.name for migration in available()]


def test_every_setting_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    table = text[text.index("\n## Settings") :]
    table = table[: table.index("\n## ", 5)]
    documented = set(re.findall(r"^\| `([A-Z_]+)(?:<POLICY>)?` \|", table, flags=re.MULTILINE))
    assert documented == {*NAMES, "CACHE_TTL_"}


def test_every_cache_policy_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8").upper()
    assert [name for name in TABLE if f"`{name.upper()}`" not in text and f"CACHE_TTL_{name.upper()}" not in text] == []
