"""Words that people add to a title though it has none of them: "наруто смотреть онлайн", "bleach episode 1"."""

from __future__ import annotations

from collections.abc import Sequence

# With their number, if they have one beside them.
EPISODES = frozenset(("серия", "серии", "серий", "эпизод", "эпизоды", "episode", "episodes", "ep"))
NOISE = EPISODES | frozenset(
    "аниме смотреть посмотреть скачать онлайн бесплатно все подряд полностью озвучка озвучке озвучкой дубляж "  # noqa: SIM905
    "субтитры субтитрами русская русской русском фильм мультфильм сериал тв anime watch stream streaming download "
    "online free all full movie series tv eng english rus sub subs subbed dub dubbed hd".split()
)


def without_noise(words: Sequence[str]) -> tuple[str, ...]:
    """The words that may be a title's; nothing where that are all of them, or none."""
    kept = tuple(word for place, word in enumerate(words) if not _is_noise(words, place))
    return kept if len(kept) < len(words) else ()


def _is_noise(words: Sequence[str], place: int) -> bool:
    if words[place].isdecimal():
        return not EPISODES.isdisjoint((*words[max(0, place - 1) : place], *words[place + 1 : place + 2]))
    return words[place] in NOISE
