"""What every scenario is handed: the run's options, its data directories, and ways to start servers."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import (
    HOST,
    Running,
    clean_environment,
    free_port,
    python,
    run_to_end,
    running,
    stop_left_postgres,
)

SEED = 1
DEMO_SECONDS = 3600.0


@dataclass
class Bench:
    """One run: `root` holds data and logs, `run_py` is the program measured, `peaks` the RSS seen under loads (MB)."""

    root: Path
    run_py: Path
    rounds: int
    seconds: float
    quick: bool
    releases: int
    views: int
    peaks: dict[str, float] = field(default_factory=dict)

    def settings(self, data_dir: Path, **extra: str) -> dict[str, str]:
        """Return the environment of a server over `data_dir`; `extra` adds or replaces settings."""
        fixed = {
            "DATA_DIR": str(data_dir),
            "HOST": HOST,
            "RATE_LIMIT_MAX": "0",
            "TRENDING_INTERVAL": "60",
            "LOG_FILE": str(self.root / f"{data_dir.name}.server.log"),
            "DEMO": "0",
        }
        return clean_environment({**fixed, **extra})

    @contextmanager
    def server(self, data_dir: Path, **extra: str) -> Iterator[Running]:
        """Run `serve` over `data_dir`; ready means that GET /ready answered 200."""
        port = free_port()
        environment = self.settings(data_dir, **extra) | {"PORT": str(port)}
        log = self.root / f"{data_dir.name}.output.log"
        command = python(str(self.run_py), "serve")
        try:
            with running(command, port=port, environment=environment, log=log, ready=b"/ready 200") as server:
                yield server
        finally:
            stop_left_postgres(data_dir)

    @contextmanager
    def bare(
        self, kind: str, *, body: bytes = b"", content_type: str = "application/json", path: str, dsn: str = ""
    ) -> Iterator[Running]:
        """Run a bare handler (`get` answers `body`, `parse` parses what is posted, `insert` commits it in `dsn`) on the
        one route `path`."""
        port = free_port()
        source = self.root / f"bare.{port}.body"
        source.write_bytes(body)
        arguments = ("--port", str(port), "--path", path, "--body", str(source), "--content-type", content_type)
        command = python("-m", "tests.bench.bare", kind, *arguments, "--dsn", dsn)
        log = self.root / "bare.log"
        with running(command, port=port, environment=clean_environment({}), log=log, ready=path.encode()) as handler:
            yield handler

    def catalogue(self) -> Path:
        """Return a data directory with the catalogue and no views, made once; scenarios only read it."""
        return self._prepared("catalogue", views=0)

    def catalogue_with_views(self) -> Path:
        """Return a data directory with the catalogue and `views` views over 30 days, made once."""
        return self._prepared("volume", views=self.views)

    def fresh_catalogue(self, name: str) -> Path:
        """Return a copy of the catalogue that nobody wrote views to before."""
        original = self.catalogue()
        self._discard(name)
        # The server writes its paths anew at each start, so a stopped directory may be copied; cp keeps the modes.
        run_to_end(
            ["cp", "-a", str(original), str(self.root / name)], self.settings(original), self.root / "cp.log", 600
        )
        return self.root / name

    def empty_directory(self, name: str) -> Path:
        """Return the path of a data directory that does not exist yet."""
        self._discard(name)
        return self.root / name

    def _prepared(self, name: str, views: int) -> Path:
        data_dir, marker = self.root / name, self.root / f"{name}.json"
        wanted = {"releases": self.releases, "seed": SEED, "views": views}
        if data_dir.exists() and marker.exists() and json.loads(marker.read_text()) == wanted:
            return data_dir
        self._discard(name)
        self._generate(data_dir, views)
        marker.write_text(json.dumps(wanted))
        return data_dir

    def _generate(self, data_dir: Path, views: int) -> None:
        say(f"preparing {data_dir.name}: {self.releases} releases, {views} views")
        options = ("--releases", str(self.releases), "--seed", str(SEED), "--views", str(views))
        command = python(str(self.run_py), "demo", *options)
        started = time.monotonic()
        try:
            run_to_end(command, self.settings(data_dir), self.root / f"{data_dir.name}.demo.log", DEMO_SECONDS)
        finally:
            stop_left_postgres(data_dir)
        say(f"prepared in {time.monotonic() - started:.1f} s")

    def _discard(self, name: str) -> None:
        (self.root / f"{name}.json").unlink(missing_ok=True)
        if (self.root / name).exists():
            stop_left_postgres(self.root / name)
            shutil.rmtree(self.root / name)

    def note_peak(self, load: str, megabytes: float) -> None:
        """Remember the highest RSS of the server seen under a load."""
        self.peaks[load] = max(megabytes, self.peaks.get(load, 0.0))


def say(text: str) -> None:
    """Tell the person who waits, on standard error, so that the table alone stands on standard output."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Result:
    """One line of the table.

    `ok` is None where no target exists. `details` may hold `server_rps`, `bare_rps` and `rss_mb`, which have
    columns of their own; every other key is shown as a note.
    """

    name: str
    target: str
    value: float | None
    unit: str
    ok: bool | None
    details: Mapping[str, float | str] = field(default_factory=dict)


def not_measured(name: str, target: str, unit: str, reason: str) -> Result:
    """Return the result of a target that could not be measured: it counts as missed."""
    return Result(name, target, None, unit, ok=False, details={"not measured": reason})
