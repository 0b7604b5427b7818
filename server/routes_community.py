"""The endpoints of the community: comments, reviews, and what moderators do. A part of the table in `server.routes`."""

from __future__ import annotations

from handlers import comments as said
from handlers import moderation as moderating
from handlers import reports as reporting
from handlers import reviews as judged
from handlers import word_rules as wording
from server import errors
from server.http.route import Route
from server.schemas import comments as comment_types
from server.schemas import moderation as moderation_types
from server.schemas.operations import OPERATION, Operation
from server.schemas.queries import PageQuery
from server.schemas.reports import NEW as REPORT_DRAFT
from server.schemas.reports import NewReport, Report
from server.schemas.reviews import NEW as REVIEW_DRAFT
from server.schemas.reviews import OWN as OWN_REVIEW
from server.schemas.reviews import PATCH as REVIEW_PATCH
from server.schemas.reviews import NewReview, Review, ReviewPage, ReviewPatch, ReviewsQuery
from server.schemas.word_rules import NEW as RULE_DRAFT
from server.schemas.word_rules import TRY as RULE_TRIAL
from server.schemas.word_rules import DryRun, DryRunResult, NewWordRule, WordRule, WordRulePage, WordRulePatch

API = "/api/v1"


def community() -> tuple[Route, ...]:
    """What people say."""
    return (*comments(), *reviews(), *moderation())


def comments() -> tuple[Route, ...]:
    """Comments and their threads."""
    under, one = f"{API}/releases/{{id}}/comments", f"{API}/comments/{{id}}"
    return (
        Route(method="GET", path=under, handler=said.list_comments, tag="Comments", summary="What is said about a release", description="Comments without a parent; what answers them is at `/comments/{id}/replies`. Whoever signs in gets the texts of comments on episodes as far as they have come; visitors ask with `spoilers=show`.", query=comment_types.CommentsQuery, answer=comment_types.CommentPage, cached=True, errors=(errors.NotFound,)),
        Route(method="POST", path=under, handler=said.create_comment, tag="Comments", summary="Say something about a release, or answer somebody", description="A comment that is held for a moderator answers 201 with `state: pending` and is shown to its author only. Each counts towards the quota `comments`, deleted ones too.", access="user", limits=("writes", "comments"), status=201, body=comment_types.NewComment, body_example=comment_types.NEW, answer=comment_types.Comment, idempotent=True, errors=(errors.NotFound,)),
        Route(method="GET", path=one, handler=said.get_comment, tag="Comments", summary="A comment", query=comment_types.CommentQuery, answer=comment_types.Comment, cached=True, errors=(errors.NotFound,)),
        Route(method="PATCH", path=one, handler=said.update_comment, tag="Comments", summary="Change one's own comment", description="Its words for fifteen minutes (409 afterwards), its flag at any time. New words may be held for a moderator.", access="user", limits=("writes",), body=comment_types.CommentPatch, body_example={"spoiler": True}, answer=comment_types.Comment, errors=(errors.NotFound, errors.Conflict)),
        Route(method="DELETE", path=one, handler=said.delete_comment, tag="Comments", summary="Take one's own comment back", description="A place without text stays where replies hang on it. May be repeated. Of a moderator it hides the comment of somebody else, which is a decision like any other.", access="user", limits=("writes",), status=204, errors=(errors.NotFound,)),
        Route(method="GET", path=f"{one}/replies", handler=said.list_replies, tag="Comments", summary="What answers a comment, the oldest first", query=comment_types.RepliesQuery, answer=comment_types.CommentPage, cached=True, errors=(errors.NotFound,)),
    )  # fmt: skip


def reviews() -> tuple[Route, ...]:
    """Reviews and helpful votes."""
    lost, foreign = (errors.NotFound,), (errors.NotFound, errors.Forbidden)
    refused = (errors.NotFound, errors.Conflict)
    review, reviews = f"{API}/reviews/{{id}}", f"{API}/releases/{{id}}/reviews"
    return (
        Route(method="GET", path=reviews, handler=judged.list_reviews, tag="Reviews", summary="Reviews of a release", description="With their average rating. Whoever signs in is told which they found helpful.", query=ReviewsQuery, answer=ReviewPage, cached=True, errors=lost),
        Route(method="POST", path=reviews, handler=judged.create_review, tag="Reviews", summary="Review a release", description="409 if I have a review of it already. `state` is `pending` where it waits for a moderator.", access="user", limits=("writes", "reviews"), body=NewReview, body_example=REVIEW_DRAFT, status=201, answer=Review, example=OWN_REVIEW, errors=refused, idempotent=True),
        Route(method="GET", path=review, handler=judged.get_review, tag="Reviews", summary="A review", answer=Review, cached=True, errors=lost),
        Route(method="PATCH", path=review, handler=judged.update_review, tag="Reviews", summary="Change my review", description="Whenever I like. 409 where moderators have hidden it.", access="user", limits=("writes",), body=ReviewPatch, body_example=REVIEW_PATCH, answer=Review, example=OWN_REVIEW, errors=(*foreign, errors.Conflict)),
        Route(method="DELETE", path=review, handler=judged.delete_review, tag="Reviews", summary="Take my review back", description="May be repeated. Then I may write another one; the quota counts both. Of a moderator it hides the review of somebody else, which is a decision like any other.", access="user", limits=("writes",), status=204, errors=foreign),
        Route(method="PUT", path=f"{review}/helpful", handler=judged.put_helpful, tag="Reviews", summary="Say that a review helps", description="Not of one's own. May be repeated.", access="user", limits=("helpful",), status=204, errors=foreign),
        Route(method="DELETE", path=f"{review}/helpful", handler=judged.delete_helpful, tag="Reviews", summary="Take that back", description="May be repeated.", access="user", limits=("helpful",), status=204, errors=foreign),
    )  # fmt: skip


def moderation() -> tuple[Route, ...]:
    """Reports, the queue, decisions, word rules."""
    lost, foreign = (errors.NotFound,), (errors.NotFound, errors.Forbidden)
    admin, queue, rules = f"{API}/admin", f"{API}/admin/moderation", f"{API}/admin/moderation/rules"
    reported = "Three reports by accounts a day old, or one by a moderator, make it wait for a moderator's decision. 403 for one's own; 409 for a second one, unless it was changed since the first was decided."
    decided = "Whatever its state was. The author is told what was approved or rejected, and why. What is not left `pending` closes the reports. Of one's own only administrators decide (403)."
    return (
        Route(method="POST", path=f"{API}/comments/{{id}}/reports", handler=reporting.report_comment, tag="Comments", summary="Report a comment", description=reported, access="user", limits=("reports",), status=201, body=NewReport, body_example=REPORT_DRAFT, answer=Report, idempotent=True, errors=(*foreign, errors.Conflict)),
        Route(method="POST", path=f"{API}/reviews/{{id}}/reports", handler=reporting.report_review, tag="Reviews", summary="Report a review", description=reported, access="user", limits=("reports",), status=201, body=NewReport, body_example=REPORT_DRAFT, answer=Report, idempotent=True, errors=(*foreign, errors.Conflict)),
        Route(method="GET", path=queue, handler=moderating.list_waiting, tag="Moderation", summary="What waits for a decision, the longest first", access="moderator", query=moderation_types.QueueQuery, answer=moderation_types.ModerationPage),
        Route(method="POST", path=f"{admin}/comments/{{id}}/moderate", handler=moderating.moderate_comment, tag="Moderation", summary="Decide about a comment", description=decided, access="moderator", limits=("moderation",), body=moderation_types.Moderate, body_example=moderation_types.MODERATE, answer=moderation_types.Moderated, errors=lost),
        Route(method="POST", path=f"{admin}/reviews/{{id}}/moderate", handler=moderating.moderate_review, tag="Moderation", summary="Decide about a review", description=decided, access="moderator", limits=("moderation",), body=moderation_types.Moderate, body_example=moderation_types.MODERATE, answer=moderation_types.Moderated, errors=lost),
        Route(method="POST", path=f"{queue}/bulk", handler=moderating.moderate_many, tag="Moderation", summary="Decide about up to 100 at once", description="Each for itself: one that cannot be carried out is told and holds up no other.", access="moderator", limits=("moderation",), body=moderation_types.BulkModerate, body_example=moderation_types.BULK, answer=moderation_types.BulkModerated),
        Route(method="GET", path=f"{queue}/decisions", handler=moderating.list_decisions, tag="Moderation", summary="What was decided, the newest first", description="By moderators, by rules and by reports. Kept for two years.", access="moderator", query=moderation_types.DecisionsQuery, answer=moderation_types.DecisionPage),
        Route(method="POST", path=f"{queue}/users/{{id}}/undo", handler=moderating.undo_user, tag="Moderation", summary="Take back everything that somebody has said and done", description="An operation: their comments and reviews are hidden, their helpful votes and open reports withdrawn; `result` counts `{comments, reviews, votes, reports}`. Of moderators' only administrators may ask for it, of administrators' nobody (403).", access="moderator", limits=("moderation",), status=202, body=moderation_types.Undo, body_example=moderation_types.UNDO, answer=Operation, example=OPERATION | {"kind": "undo_user", "result": {"comments": 41, "reviews": 2, "votes": 17, "reports": 3}, "download": None}, idempotent=True, errors=lost),
        Route(method="GET", path=rules, handler=wording.list_word_rules, tag="Moderation", summary="Words that hold a text or refuse it, the newest rule first", access="moderator", query=PageQuery, answer=WordRulePage),
        Route(method="POST", path=rules, handler=wording.create_word_rule, tag="Moderation", summary="Make a word rule", description="In force from this answer on, in other instances within seconds. 409 if there is one with this pattern and kind, or if there are 500.", access="moderator", limits=("moderation",), status=201, body=NewWordRule, body_example=RULE_DRAFT, answer=WordRule, idempotent=True, errors=(errors.Conflict,)),
        Route(method="POST", path=f"{rules}/dry-run", handler=wording.try_word_rule, tag="Moderation", summary="See what a word rule would meet", description="Among the last 1,000 comments. Nothing happens to them.", access="moderator", limits=("moderation",), body=DryRun, body_example=RULE_TRIAL, answer=DryRunResult),
        Route(method="PATCH", path=f"{rules}/{{id}}", handler=wording.update_word_rule, tag="Moderation", summary="Change a word rule, switch it off or on again", access="moderator", limits=("moderation",), body=WordRulePatch, body_example={"enabled": False}, answer=WordRule, errors=(errors.NotFound, errors.Conflict)),
        Route(method="DELETE", path=f"{rules}/{{id}}", handler=wording.delete_word_rule, tag="Moderation", summary="Delete a word rule", access="moderator", limits=("moderation",), status=204, errors=lost),
    )  # fmt: skip
