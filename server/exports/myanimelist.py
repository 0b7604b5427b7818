"""A list as MyAnimeList's XML, which MyAnimeList and most trackers import."""

from __future__ import annotations

from xml.sax.saxutils import escape

from sql.exports import Listed

STATUSES = {1: "Plan to Watch", 2: "Watching", 3: "Completed", 4: "On-Hold", 5: "Dropped"}
TYPES = {"tv": "TV", "movie": "Movie", "ova": "OVA", "ona": "ONA", "special": "Special", "music": "Music", "web": "ONA"}
HEAD = (
    '<?xml version="1.0" encoding="UTF-8" ?>\n<myanimelist>\n<myinfo><user_export_type>1</user_export_type></myinfo>\n'
)
FOOT = "</myanimelist>\n"
# What XML 1.0 cannot hold, not even escaped.
UNSPEAKABLE = {code: None for code in (*range(0x20), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)) if code not in (9, 10, 13)}


def element(listed: Listed) -> str:
    """The element of one title that MyAnimeList knows."""
    title = escape(listed.title.translate(UNSPEAKABLE))
    return (
        "<anime>"
        f"<series_animedb_id>{listed.external_id}</series_animedb_id>"
        f"<series_title>{title}</series_title>"
        f"<series_type>{TYPES.get(listed.type, 'Unknown')}</series_type>"
        f"<series_episodes>{listed.episodes_total}</series_episodes>"
        f"<my_watched_episodes>{listed.watched}</my_watched_episodes>"
        f"<my_score>{listed.score}</my_score>"
        f"<my_status>{STATUSES[listed.collection]}</my_status>"
        "<update_on_import>1</update_on_import>"
        "</anime>\n"
    )
