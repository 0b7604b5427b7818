"""An import by upload in a server that is killed again and again: it goes on by itself, and counts each line once."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from aiohttp import ClientSession

from server.identity import API_TOKEN_PREFIX
from tests.chaos.process import Served, served
from tests.cms import ADMIN
from tests.test_cms_import import lines, row
from tests.working import until

KILLS, MANY = 3, 3000


async def admin_token(server: Served) -> str:
    """A token of an administrator made for this."""
    token = API_TOKEN_PREFIX + token_hex(16)
    async with server.connection() as conn:
        user = await conn.fetchval(
            "insert into users (username, username_key, role) values ('admin', 'admin', 'admin') returning id"
        )
        await conn.execute(
            "insert into api_tokens (user_id, name, token_hash, scopes) values ($1, 'test', $2, '{admin}')",
            user, sha256(token.encode()).digest(),
        )  # fmt: skip
    return token


@pytest.mark.slow
async def test_an_import_killed_again_and_again_is_finished_by_itself_and_counts_each_line_once(tmp_path: Path) -> None:
    content = lines([row(number) for number in range(MANY)] + [{"title": ""}] * 7)
    async with served(tmp_path / "var", releases=0, DEMO="0") as server:
        await server.start()
        headers = {"Authorization": f"Bearer {await admin_token(server)}", "Content-Type": "application/x-ndjson"}
        async with (
            ClientSession() as client,
            client.post(server.base + f"{ADMIN}/import", data=content, headers=headers) as answer,
        ):
            assert answer.status == 202, await answer.text()
            address = server.base + answer.headers["Location"]
        for kill in range(KILLS):
            async with server.connection() as conn:

                async def further(conn: Any = conn, least: int = (kill + 1) * MANY // (KILLS + 2)) -> bool:
                    return int(await conn.fetchval("select count(*) from releases")) >= least

                await until(further, 60)
            server.kill()
            await server.start()
            async with server.connection() as conn:
                await conn.execute("update operations set leased_until = now() where status = 'running'")
        async with ClientSession() as client:

            async def over() -> bool:
                async with client.get(address, headers=headers) as answer:
                    return (await answer.json())["status"] not in ("queued", "running")

            await until(over, 90)
            async with client.get(address, headers=headers) as answer:
                found = await answer.json()
        assert found["status"] == "succeeded"
        assert found["result"] == {
            "created": MANY, "updated": 0, "unchanged": 0, "skipped": {"invalid": 7}, "episodes": 2 * MANY,
            "refused": 7,
        }  # fmt: skip
        async with server.connection() as conn:
            assert await conn.fetchval("select count(*) from releases") == MANY
            assert await conn.fetchval("select count(*) from episodes") == 2 * MANY
            assert await conn.fetchval("select count(*) from revisions where origin = 'import'") == MANY + 1
            assert await conn.fetchval("select attempts from operations where kind = 'import'") > 1
