"""The books of people who talk, in the chaos run: what they must notice, and what they must not mistake for a fault."""

from __future__ import annotations

from tests.chaos.sayings import Board, Faults, Saying, Sayings, Stored
from tests.chaos.talk_verdict import TalkVerdict


def judged(one: Saying, *rows: Stored) -> Faults:
    found = Faults()
    Sayings([one]).judge("comments", list(rows), found)
    return found


def test_what_was_acknowledged_has_to_be_there_once_with_its_words() -> None:
    one = Saying("comments", 1, "first", made=7)
    there = Stored(7, one.saying("first"), gone=False)
    assert judged(one, there) == Faults()
    assert judged(one) == Faults(lost=1)
    assert judged(one, Stored(8, there.text, gone=False)) == Faults(lost=1)
    assert judged(one, there, Stored(8, there.text, gone=False)) == Faults(doubled=1)
    assert judged(one, Stored(7, one.saying("second"), gone=False)) == Faults(altered=1)
    assert judged(one, there, Stored(9, "what nobody said, and it is long enough", gone=False)) == Faults(invented=1)


def test_what_was_cut_off_may_be_there_or_not_and_what_was_refused_may_not() -> None:
    one = Saying("comments", 1, "first")
    there = Stored(7, one.saying("first"), gone=False)
    assert judged(one) == judged(one, there) == Faults()
    one.refused = True
    assert judged(one) == Faults()
    assert judged(one, there) == Faults(invented=1)


def test_an_edit_or_a_deletion_that_was_cut_off_leaves_both_possible() -> None:
    one = Saying("comments", 1, "first", made=7)
    assert one.stands
    one.texts |= {one.saying("second")}
    one.gone |= {True}
    assert not one.stands
    for words in ("first", "second"):
        for gone in (False, True):
            assert judged(one, Stored(7, one.saying(words), gone)) == Faults()
    one.gone = frozenset([True])
    assert judged(one, Stored(7, one.saying("first"), gone=False)) == Faults(revived=1)


def test_people_answer_others_and_not_themselves() -> None:
    board = Board([("comments", 1, 2, "me"), ("comments", 3, 2, "you"), ("reviews", 4, 2, "you")])
    assert list(board.of_others("me", "comments")) == [(3, 2)]
    assert list(board.of_others("you", "reviews")) == []


def test_any_single_fault_of_talk_makes_the_verdict_unsound() -> None:
    assert TalkVerdict(comments=1, reviews=1, held=3, told=2).sound
    assert not TalkVerdict(comments=1).sound
    faults = (
        "lost", "doubled", "invented", "altered", "revived", "over_quota", "votes_wrong", "reports_lost", "told_twice",
    )  # fmt: skip
    for name in faults:
        assert not TalkVerdict(comments=1, reviews=1, **{name: 1}).sound
