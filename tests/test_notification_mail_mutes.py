"""What was muted between the event and its mail is left out of the mail."""

from __future__ import annotations

from typing import Any

from tests.mailing import post_office

MUTE = "insert into notification_mutes (user_id, target_type, target_id) values ($1, $2, $3)"
RELEASE = "select release_id from notification_events where id = $1"


async def test_what_was_muted_meanwhile_is_left_out_but_a_moderator_s_decision_is_not(dsn: str, conn: Any) -> None:
    async with post_office(dsn, conn) as post:
        user_id = await post.reader()
        await conn.execute(
            "insert into franchises (id, slug, name, name_key) overriding system value values (901, 'f', 'F', 'f')"
        )
        told = {
            title: await post.tell(user_id, kind, title=title)
            for title, kind in (
                ("Muted", "new_release"), ("Decided", "moderation"), ("Of-franchise", "new_episode"),
                ("Of-genre", "recommendation"), ("Reply-in-genre", "reply"), ("Shown", "new_release"),
            )
        }  # fmt: skip
        await conn.execute("update releases set genre_ids = '{}'")
        columns = {"Of-franchise": "franchise_id = 901", "Of-genre": "genre_ids = '{902}'"}
        columns["Reply-in-genre"] = columns["Of-genre"]
        for title, change in columns.items():
            await conn.execute(f"update releases set {change} where id = ({RELEASE})", told[title])
        for title in ("Muted", "Decided"):
            await conn.execute(MUTE, user_id, "release", await conn.fetchval(RELEASE, told[title]))
        await conn.execute(MUTE, user_id, "franchise", 901)
        await conn.execute(MUTE, user_id, "genre", 902)
        await post.actor.on_tick()
        (mail,) = await post.letters(user_id)
        assert await post.left() == 0
    assert {title for title in told if title in mail.text} == {"Decided", "Reply-in-genre", "Shown"}
