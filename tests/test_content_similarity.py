"""What is like what by genres, tags, franchise and audience, against the same worked out one pair at a time."""

from __future__ import annotations

from random import Random

import pytest

from server.recommending.blend import LEAST_SHARED, MOST_OF_FRANCHISE, STEP, Blend, Release
from server.recommending.content import Catalogue, Likeness, named
from server.recommending.interactions import Collected, Interactions
from server.rules.recommending import MOST_NEIGHBOURS, alike, rarity

Popular = dict[int, float]


def some(count: int, seed: int = 1) -> list[Release]:
    random = Random(seed)
    return [
        Release(
            10 * place,
            random.choice([None, None, random.randint(1, count // 3)]),
            random.sample(range(1, 8), random.randint(0, 4)),
            random.sample(range(1, 30), random.randint(0, 6)),
        )
        for place in range(1, count + 1)
    ]


def likeness(releases: list[Release], popular: Popular) -> Likeness:
    found = Catalogue()
    for release in releases:
        found.add(*release, popular.get(release.id, 0.0))
    return found.done()


def nobody() -> Interactions:
    return Collected().done()


def expected(one: Release, releases: list[Release], popular: Popular) -> list[tuple[int, float]]:
    carriers: dict[tuple[str, int], int] = {}
    words = {release.id: set(named(release.genre_ids, release.tag_ids)) for release in releases}
    for own in words.values():
        for word in own:
            carriers[word] = carriers.get(word, 0) + 1

    def whole(some: set[tuple[str, int]]) -> float:
        return sum(rarity(carriers[word], len(releases)) for word in some)

    found = []
    for other in releases:
        if other.id != one.id:
            same = one.franchise_id is not None and one.franchise_id == other.franchise_id
            own, others = words[one.id], words[other.id]
            value = alike(whole(own & others), whole(own), whole(others), franchise=same)
            if value > 0:
                found.append((other.id, value))
    return sorted(found, key=lambda pair: (-round(pair[1], 6), -popular.get(pair[0], 0.0), pair[0]))


def test_neighbours_are_those_of_all_pairs() -> None:
    releases = some(150)
    popular = {release.id: Random(release.id).random() for release in releases}
    blend = Blend(likeness(releases, popular), nobody())
    franchise_of = {release.id: release.franchise_id for release in releases}
    for release in releases:
        found = blend.neighbours(release)
        wanted, shown = [], dict[int | None, int]()
        for identity, value in expected(release, releases, popular):
            franchise = franchise_of[identity]
            shown[franchise] = shown.get(franchise, 0) + 1
            if franchise is None or shown[franchise] <= MOST_OF_FRANCHISE:
                wanted.append((identity, value))
        wanted = wanted[:MOST_NEIGHBOURS]
        assert found.scores == pytest.approx([value for _, value in wanted], abs=1e-5)
        assert release.id not in found.neighbours
        assert all(0 < value <= 1 for value in found.scores)


def test_popularity_orders_only_what_is_equally_alike() -> None:
    releases = [Release(1, None, [1], [1]), *(Release(place, None, [1], []) for place in range(2, 40))]
    releases.append(Release(40, None, [1], [1]))
    popular = {place: float(place) for place in range(2, 40)}
    found = Blend(likeness(releases, popular), nobody()).neighbours(releases[0])
    assert found.neighbours == [40, *range(39, 39 - MOST_NEIGHBOURS + 1, -1)]


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    crowd = [Release(place, None, [1], []) for place in range(100, 200)]
    releases = [Release(1, None, [1, 2], []), Release(2, None, [2, 3], []), *crowd]
    # Both have one of two words in common with the first.
    releases.insert(2, Release(3, None, [1, 3], []))
    found = Blend(likeness(releases, {}), nobody()).neighbours(releases[0])
    assert found.neighbours[0] == 2


def test_an_audience_brings_together_what_has_no_words() -> None:
    releases = [Release(place, None, [], []) for place in range(1, 5)]
    people = Collected()
    for _ in range(LEAST_SHARED + STEP - 1):
        people.add({1: 1.0, 2: 1.0})
    people.add({1: 1.0, 3: 1.0})
    # Nobody shows what is in no catalogue.
    people.add({1: 1.0, 999: 1.0})
    found = Blend(likeness(releases, {}), people.done()).neighbours(releases[0])
    assert found.neighbours == [2, 3]
    # One of so few might stand out, and one more.
    assert found.shared == [LEAST_SHARED, 0]
    assert Blend(likeness(releases, {}), people.done()).neighbours(releases[3]).neighbours == []


def test_a_release_that_has_changed_is_compared_as_it_is_now() -> None:
    releases = [Release(1, None, [1], []), Release(2, None, [1], []), Release(3, None, [2], [])]
    blend = Blend(likeness(releases, {}), nobody())
    assert blend.neighbours(releases[0]).neighbours == [2]
    assert blend.neighbours(Release(1, None, [2, 99], [])).neighbours == [3]
    assert blend.neighbours(Release(1, None, [], [])).neighbours == []
    assert blend.neighbours(Release(7, None, [2], [])).neighbours == [3]
