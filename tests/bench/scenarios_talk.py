"""Talking: comments, reviews and votes written by thousands of people, pages of what was said, and a shared limiter."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.database import connect
from server.postgres.cluster import DATABASE, Cluster
from tests.bench import lua, talk_seed
from tests.bench.context import Bench, Result, say
from tests.bench.load import BROWSER, Contender, Load, Outcome, Series, interleave, ratios, run_script
from tests.bench.measure import PeakRss
from tests.bench.probe import exchange, get, get_json, release_ids
from tests.bench.processes import BenchError, Running
from tests.bench.scenarios_people import OPEN
from tests.bench.scenarios_read import RELEASE, compare
from tests.bench.settling import settle

ROWS = "/rows"
COMMENTS, REPLIES = "/api/v1/releases/{}/comments", "/api/v1/comments/{}/replies"
REVIEWS, HELPFUL = "/api/v1/releases/{}/reviews", "/api/v1/reviews/{}/helpful"
LEAST_COMMENTS = 1_500.0
# So many that nobody comes to the end of a quota, and nobody says ten things in a minute, which would be held.
PEOPLE, RELEASES, CONNECTIONS = 8_000, 2_000, 64
# One review a release and user; three a day would be over in a second.
SETTINGS = OPEN | {"SECRET_KEY": talk_seed.SECRET, "REVIEW_RATE_LIMIT": "1000/day", "COMMENT_RATE_LIMIT": "1000/hour"}
BADGE, GREETED = "/api/v1/notifications/unread/count?{}", 2_000
COMMENT = '{"text":"What I think of it, number %9d of many; it is as long as most are.","spoiler":false}'
REVIEW = '{"rating":8,"text":"Number %9d of many. ' + "It was worth the time it took, and then some. " * 4 + '"}'


def talk(bench: Bench) -> list[Result]:
    """People say something, others read it."""
    data_dir = bench.fresh_catalogue("talk")
    with bench.server(data_dir, **SETTINGS) as server:
        releases = release_ids(server.port, RELEASES)
        say(f"preparing {PEOPLE:,} people and {talk_seed.REPLIES:,} answers to one comment")
        tokens, asked, reviews = asyncio.run(_prepare(data_dir, releases[0]))
        settle(data_dir)
        with PeakRss(server.pid) as watch:
            _greet(bench, server, tokens)
            results = [
                *_pages(bench, server, releases[0], asked, tokens[0]),
                *_comments(bench, server, data_dir, releases, tokens),
                _reviews(bench, server, data_dir, releases, tokens),
                _votes(bench, server, data_dir, reviews, tokens),
            ]
        bench.note_peak("talk", watch.peak)
    return results


async def _prepare(data_dir: Path, release_id: int) -> tuple[list[str], int, list[int]]:
    conn = await connect(Cluster(data_dir).dsn(DATABASE))
    try:
        tokens = await talk_seed.people(conn, "talker", PEOPLE)
        return tokens, *await talk_seed.talk(conn, release_id)
    finally:
        await conn.close()


async def _row(data_dir: Path, text: str) -> Any:
    conn = await connect(Cluster(data_dir).dsn(DATABASE))
    try:
        return await conn.fetchrow(text)
    finally:
        await conn.close()


def _greet(bench: Bench, server: Running, tokens: Sequence[str]) -> None:
    """Everybody has looked at something before they speak: their tokens have been checked."""
    known = 0
    while known < len(tokens):
        some = tokens[known : known + GREETED]
        script = lua.doing("GET", BADGE, [1], some, "", BROWSER)
        known += min(len(some), max(1, run_script(server.port, script, CONNECTIONS, 1.0, bench.root).answers))


def _do(bench: Bench, server: Running, script: str) -> Outcome:
    # One stretch: what was said once is a conflict, or a repetition, the second time.
    return run_script(server.port, script, CONNECTIONS, bench.rounds * bench.seconds, bench.root)


def _written(name: str, least: float | None, outcome: Outcome, made: Any, held: int) -> Result:
    details: dict[str, float | str] = {
        "p99": f"{outcome.p99_ms:.1f} ms", "failures": str(outcome.failures), "held": str(held),
        "committed": f"{made} for {outcome.answers} answers",
    }  # fmt: skip
    # What was under way when the load ended is committed, too.
    kept = not outcome.failures and outcome.answers <= made <= outcome.answers + CONNECTIONS and not held
    ok = kept and outcome.rate >= least if least is not None else None if kept else False
    return Result(name, "reported" if least is None else f">= {least:,.0f}/s", outcome.rate, "/s", ok, details)


def _comments(
    bench: Bench, server: Running, data_dir: Path, releases: Sequence[int], tokens: Sequence[str]
) -> list[Result]:
    with bench.bare("insert", path=ROWS, dsn=Cluster(data_dir).dsn(DATABASE)) as bare:
        script = lua.doing("POST", ROWS + "?{}", [1], tokens[:100], COMMENT, BROWSER)
        limit = run_script(bare.port, script, CONNECTIONS, bench.seconds, bench.root)
    outcome = _do(bench, server, lua.doing("POST", COMMENTS, releases, tokens, COMMENT, BROWSER))
    mine = "from comments c join users u on u.id = c.user_id where username_key like 'talker%'"
    made, held = asyncio.run(_row(data_dir, f"select count(*), count(*) filter (where not counted) {mine}"))
    share = outcome.rate / limit.rate if limit.rate else 0.0
    details: dict[str, float | str] = {"bare_rps": limit.rate, "server_rps": outcome.rate}
    return [
        _written("POST /releases/{id}/comments", LEAST_COMMENTS, outcome, made, held),
        Result("the same beside a bare handler that commits one row", "reported", share, "x", None, details),
    ]


def _reviews(bench: Bench, server: Running, data_dir: Path, releases: Sequence[int], tokens: Sequence[str]) -> Result:
    outcome = _do(bench, server, lua.doing("POST", REVIEWS, releases, tokens, REVIEW, BROWSER))
    mine = "from reviews r join users u on u.id = r.user_id where username_key like 'talker%'"
    made, held = asyncio.run(_row(data_dir, f"select count(*), count(*) filter (where not counted) {mine}"))
    return _written("POST /releases/{id}/reviews", None, outcome, made, held)


def _votes(bench: Bench, server: Running, data_dir: Path, reviews: Sequence[int], tokens: Sequence[str]) -> Result:
    outcome = _do(bench, server, lua.doing("PUT", HELPFUL, reviews, tokens, "", BROWSER))
    mine = "from helpful_votes v join users u on u.id = v.user_id where username_key like 'talker%'"
    (made,) = asyncio.run(_row(data_dir, f"select count(*) {mine}"))
    return _written("PUT /reviews/{id}/helpful", None, outcome, made, 0)


def _pages(bench: Bench, server: Running, release_id: int, asked: int, token: str) -> list[Result]:
    """The first page for visitors against the bare handler; for a signed-in reader, and deep among ten thousand."""
    path, signed = COMMENTS.format(release_id), {"Authorization": f"Bearer {token}"}
    page = get(server.port, path)
    if len(json.loads(page.body)["results"]) < 20:
        raise BenchError(f"GET {path} is not a whole page")
    with bench.bare("get", body=page.body, content_type=page.content_type, path=path) as bare:
        contenders = [
            Contender("bare", bare.port, Load((path,))),
            Contender("visitor", server.port, Load((path,))),
            Contender("signed in", server.port, Load((path,), headers=signed)),
            Contender("replies", server.port, Load(_pages_of(server, asked), headers=signed)),
        ]
        series = interleave(contenders, bench.rounds, bench.seconds, bench.root)
    body: dict[str, float | str] = {"body": f"{len(page.body)} bytes"}
    return [
        compare("first page of comments", 0.55, series["visitor"], series["bare"], body),
        _reported("a page of comments, signed in", series["signed in"]),
        _reported(f"a page out of {talk_seed.REPLIES:,} replies", series["replies"]),
    ]


def _pages_of(server: Running, asked: int) -> tuple[str, ...]:
    """Some of the pages of an answered comment, from the first to the last."""
    found = [REPLIES.format(asked) + "?limit=20"]
    following = get_json(server.port, REPLIES.format(asked) + "?limit=100")["next"]
    while following:
        found.append(str(following).replace("limit=100", "limit=20"))
        answer = exchange(server.port, "GET", following)
        if answer.status != 200:
            raise BenchError(f"GET {following} answered {answer.status}")
        following = json.loads(answer.body)["next"]
    if len(found) < talk_seed.REPLIES // 100:
        raise BenchError(f"only {len(found)} pages of {talk_seed.REPLIES} replies")
    return tuple(found[::7])


def _reported(name: str, series: Series) -> Result:
    details: dict[str, float | str] = {"p99": f"{series.p99_ms:.1f} ms", "failures": str(series.failures)}
    return Result(name, "reported", series.rate, "/s", None if not series.failures else False, details)


def limiter(bench: Bench) -> list[Result]:
    """A hot release where limits are shared through Redis, against the same where they are not."""
    from tests.redis_server import redis_server  # noqa: PLC0415 - a server of its own that only this scenario needs

    counted = {"RATE_LIMIT_MAX": "10000000"}
    data_dir = bench.catalogue()
    with bench.server(data_dir, **counted) as alone, redis_server() as redis:
        shared_settings = counted | {"REDIS_URL": redis.url, "DATABASE_URL": Cluster(data_dir).dsn(DATABASE)}
        with bench.server(bench.empty_directory("limiter"), **shared_settings) as shared:
            path = RELEASE.format(release_ids(alone.port, 1)[0])
            contenders = [
                Contender("alone", alone.port, Load((path,))),
                Contender("shared", shared.port, Load((path,))),
            ]
            series = interleave(contenders, bench.rounds, bench.seconds, bench.root)
        if redis.command("DBSIZE").startswith(b":0"):
            raise BenchError("Redis was never asked")
    value = statistics.median(ratios(series["shared"], series["alone"]))
    details: dict[str, float | str] = {
        "server_rps": series["shared"].rate, "alone": f"{series['alone'].rate:,.0f}/s",
        "p99": f"{series['shared'].p99_ms:.1f} ms beside {series['alone'].p99_ms:.1f} ms",
        "failures": str(series["shared"].failures + series["alone"].failures),
    }  # fmt: skip
    return [Result("hot GET with limits in Redis", "reported", value, "x", None, details)]
