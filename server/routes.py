"""Every endpoint, in one table."""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec import Struct

from handlers import (
    activity,
    analytics,
    analytics_export,
    api_tokens,
    audit,
    auth,
    caching,
    calendars,
    episodes,
    exports,
    feeds,
    health,
    limits,
    list_imports,
    mailed,
    operations,
    outbox,
    pages,
    profiles,
    progress,
    recommendations,
    releases,
    stats,
    streams,
    subscriptions,
    sync,
    unsubscribe,
    users,
    views,
    vocabularies,
    webhooks,
)
from handlers import cms as written
from handlers import library as kept
from handlers import notifications as told
from server import errors
from server.http.parse import UUID_PATTERN
from server.http.route import Handler, Route
from server.routes_community import community
from server.routes_finding import finding
from server.schemas import accounts as account_types
from server.schemas import analytics_answers, answers, catalogue_answers, cms_answers, library_examples, queries
from server.schemas import library as library_types
from server.schemas import webhooks as webhook_types
from server.schemas.activity import ActivityPage, ActivityQuery
from server.schemas.analytics_export import ExportQuery
from server.schemas.api_tokens import DRAFT_EXAMPLE, ApiToken, ApiTokenDraft, ApiTokenPage, CreatedApiToken
from server.schemas.audit import AuditQuery, RevisionPage
from server.schemas.caching import PURGE, Purge, Purged
from server.schemas.cms import TYPES
from server.schemas.feeds import ADDRESS, STATE, CalendarAddress, CalendarQuery, CalendarState, FeedQuery
from server.schemas.limits import RatePolicyPage
from server.schemas.list_imports import ImportQuery, UnmatchedPage, UnmatchedQuery
from server.schemas.mailed import ForgotRequest, MailAsked, ResetRequest, VerifyRequest
from server.schemas.notifications import DRAFT as PREFERENCES_DRAFT
from server.schemas.notifications import (
    MarkedRead,
    NotificationPage,
    NotificationPreferences,
    NotificationPreferencesDraft,
    NotificationsQuery,
    UnreadCount,
)
from server.schemas.operations import OPERATION, OPERATION_PAGE, Operation, OperationPage, OperationsQuery
from server.schemas.outbox import DeadPage, DeadQuery, Replayed
from server.schemas.profiles import PATCH_EXAMPLE, Profile, ProfilePatch, User, UserPage, UsersQuery
from server.schemas.stats import UserStatistics
from server.schemas.streams import TICKET, StreamQuery, StreamTicket
from server.schemas.subscriptions import (
    NEW,
    SUBSCRIPTION,
    SUBSCRIPTION_PAGE,
    NewSubscription,
    Subscription,
    SubscriptionPage,
    SubscriptionsQuery,
)
from server.schemas.sync import EDITS_EXAMPLE, SyncChanges, SyncEdits, SyncMerged, SyncQuery
from server.schemas.unsubscribe import UnsubscribeQuery
from server.schemas.users import AccountDetail, AccountPage, AccountPatch, AccountsQuery, SessionsEnded
from server.schemas.views import ReleaseViewEvent, ViewEvent, ViewEvents

API = "/api/v1"
MUTED = "{target_type:release|genre|franchise}"
COLLECTION = "{collection:planned|watching|completed|postponed|dropped}"
LIST_TYPES = ("application/xml", "text/csv", "application/gzip", "application/octet-stream", "multipart/form-data")
NDJSON_TYPES = ("application/x-ndjson", "application/gzip", "application/octet-stream", "multipart/form-data")
AN_EDIT = (
    "An operation: `result.id` is what it was about. 404, 409 and 412 come at once where that is known, and end the operation"
    " as `failed` where it turns out later. `If-Match` takes the ETag of the GET; `Prefer: wait=N` waits for the end."
)
JSON_OR_CSV = ("application/json", "text/csv")
# As mails bring them.
MAILED = "q0mGJ1c7hY6n3xT8vR5bK2wZ4dL9sF0aPeUiOyHjNkM"
EVENT = {
    "event_id": "6f1c1f0e-6d5f-4d39-9a54-8a5a1f0a2c11",
    "release_id": 42,
    "episode_id": 511,
    "duration_seconds": 1380,
    "completion_percentage": 97.5,
}


@cache
def table() -> tuple[Route, ...]:
    """All routes. Where two could match, the one further up wins."""
    return (
        *operational(), *catalogue(), *watched(), *accounts(), *people(), *library(), *shared(), *community(), *cms(),
        *notifications(), *outwards(), *finding(),
    )  # fmt: skip


def operational() -> tuple[Route, ...]:
    """For operators and people, outside of the API's prefix."""
    return (
        Route(method="GET", path="/health", handler=health.get_health, tag="Operations", summary="What works and what does not", answer=answers.Health, errors=(errors.Unavailable,)),
        Route(method="GET", path="/health/live", handler=health.get_live, tag="Operations", summary="Whether the process turns", operation="get_health_live", access="open", answer=answers.Alive),
        Route(method="GET", path="/live", handler=health.get_live, tag="Operations", summary="Whether the process turns", access="open", answer=answers.Alive),
        Route(method="GET", path="/health/ready", handler=health.get_ready, tag="Operations", summary="Whether it can serve", operation="get_health_ready", answer=answers.Ready, errors=(errors.Unavailable,)),
        Route(method="GET", path="/ready", handler=health.get_ready, tag="Operations", summary="Whether it can serve", answer=answers.Ready, errors=(errors.Unavailable,)),
        Route(method="GET", path="/metrics", handler=health.get_metrics, tag="Operations", summary="Metrics for Prometheus", access="operator", media_types=("text/plain",)),
        Route(method="GET", path="/openapi.json", handler=health.get_openapi, tag="Operations", summary="This document", cached=True, answer=dict),
        Route(method="GET", path="/docs", handler=pages.docs, tag="Pages", summary="The reader of this document", media_types=("text/html",), cached=True),
        Route(method="GET", path="/console", handler=pages.console, tag="Pages", summary="The operator's live page", media_types=("text/html",), cached=True),
        Route(method="GET", path="/docs/{name}", handler=pages.page_file, tag="Pages", summary="Styles and scripts of the pages", media_types=("text/css", "text/javascript"), cached=True, errors=(errors.NotFound,)),
    )  # fmt: skip


def catalogue() -> tuple[Route, ...]:
    """What there is."""
    lost = (errors.NotFound,)
    return (
        Route(method="GET", path=f"{API}/releases", handler=releases.list_releases, tag="Catalogue", summary="Releases by filter and order", query=queries.ReleasesQuery, answer=catalogue_answers.ReleasePage, cached=True),
        Route(method="GET", path=f"{API}/releases/latest", handler=releases.list_latest_releases, tag="Catalogue", summary="Releases that changed last", query=queries.LatestQuery, answer=catalogue_answers.ReleasePage, cached=True),
        Route(method="GET", path=f"{API}/releases/random", handler=releases.draw_random_releases, tag="Catalogue", summary="Releases drawn at random", query=queries.RandomQuery, answer=catalogue_answers.ReleasePage),
        Route(method="GET", path=f"{API}/releases/{{id}}", handler=releases.get_release, tag="Catalogue", summary="A release by id or slug", description="A slug the release once had answers 301.", answer=catalogue_answers.Release, cached=True, errors=lost),
        Route(method="GET", path=f"{API}/releases/{{id}}/episodes", handler=episodes.list_episodes, tag="Catalogue", summary="The episodes of a release", query=queries.PageQuery, answer=catalogue_answers.EpisodePage, cached=True, errors=lost),
        Route(method="GET", path=f"{API}/releases/{{id}}/related", handler=releases.list_related_releases, tag="Catalogue", summary="Other releases of its franchise", query=queries.PageQuery, answer=catalogue_answers.ReleasePage, cached=True, errors=lost),
        Route(method="GET", path=f"{API}/episodes/{{id}}", handler=episodes.get_episode, tag="Catalogue", summary="An episode", answer=catalogue_answers.Episode, cached=True, errors=lost),
        Route(method="GET", path=f"{API}/genres", handler=vocabularies.list_genres, tag="Catalogue", summary="Genres by name", query=queries.PageQuery, answer=catalogue_answers.WordPage, cached=True),
        Route(method="GET", path=f"{API}/tags", handler=vocabularies.list_tags, tag="Catalogue", summary="Tags by name", query=queries.PageQuery, answer=catalogue_answers.WordPage, cached=True),
        Route(method="GET", path=f"{API}/franchises", handler=vocabularies.list_franchises, tag="Catalogue", summary="Franchises by name", query=queries.PageQuery, answer=catalogue_answers.FranchisePage, cached=True),
        Route(method="GET", path=f"{API}/franchises/{{id}}", handler=vocabularies.get_franchise, tag="Catalogue", summary="A franchise with its releases", answer=catalogue_answers.FranchiseDetail, cached=True, errors=lost),
        Route(method="GET", path=f"{API}/schedule", handler=episodes.get_schedule, tag="Catalogue", summary="What airs in a week", query=queries.ScheduleQuery, answer=catalogue_answers.Schedule, cached=True),
    )  # fmt: skip


def watched() -> tuple[Route, ...]:
    """What is watched."""
    refusals = (errors.NotFound, errors.Unavailable)
    return (
        Route(method="POST", path=f"{API}/views", handler=views.record_views, summary="Record one view or up to 500", description="Answered once the events are committed. The same `event_id` counts once.", body=ViewEvent | ViewEvents, body_example=EVENT, status=202, tag="Views", answer=answers.ViewsAccepted, errors=refusals),
        Route(method="POST", path=f"{API}/releases/{{id}}/views", handler=views.record_release_views, summary="Record one view of a release", body=ReleaseViewEvent, body_example=EVENT, status=202, tag="Views", answer=answers.ViewsAccepted, errors=refusals),
        Route(method="GET", path=f"{API}/analytics/views", handler=analytics.list_views, tag="Analytics", summary="Views by release or episode and interval", description="Counts trail commits by at most five seconds. Rows come by release, episode and time.", query=queries.AnalyticsQuery, answer=analytics_answers.ViewsPage, media_types=JSON_OR_CSV, cached=True),
        Route(method="GET", path=f"{API}/analytics/top", handler=analytics.list_top, tag="Analytics", summary="What was watched most", query=queries.TopQuery, answer=analytics_answers.Top, media_types=JSON_OR_CSV, cached=True),
        Route(method="GET", path=f"{API}/recommendations/trending", handler=recommendations.list_trending, tag="Recommendations", summary="What is watched right now", query=queries.TrendingQuery, answer=analytics_answers.Trending, cached=True, errors=(errors.Unavailable,)),
    )  # fmt: skip


def accounts() -> tuple[Route, ...]:
    """Signing up, in and out; sessions and tokens."""
    unknown = (errors.Unauthenticated,)
    return (
        Route(method="POST", path=f"{API}/auth/register", handler=auth.register, tag="Auth", summary="Make an account", description="It may sign in at once. That somebody else claims the same address is told to nobody: whoever proves it by mail has it.", access="open", limits=("register", "register-account"), body=account_types.Registration, body_example=account_types.REGISTRATION, answer=account_types.Me, status=201, errors=(errors.Conflict,)),
        Route(method="POST", path=f"{API}/auth/login", handler=auth.log_in, tag="Auth", summary="Sign in", description="By e-mail address or username.", access="open", limits=("login", "login-account"), body=account_types.Login, body_example={"email": "mira@example.org", "password": "three quiet lanterns"}, answer=account_types.Tokens, errors=unknown),
        Route(method="POST", path=f"{API}/auth/refresh", handler=auth.refresh, tag="Auth", summary="The next pair of tokens", description="Each refresh token is good for one use. One that comes again later than ten seconds after its first use ends the session.", access="open", body=account_types.Refresh, body_example={"refresh_token": "kR3vZ0s6u3r2yV0bq1o9m8H7gWnq2S4tJx5cLd6eFfQ"}, answer=account_types.Tokens, errors=unknown),
        Route(method="POST", path=f"{API}/auth/logout", handler=auth.log_out, tag="Auth", summary="Sign out", description="Ends the session of the access token. With a refresh token in the body the access token may have expired or be absent.", access="open", body=account_types.Logout, body_example={}, status=204, errors=(errors.Unauthenticated, errors.InsufficientScope)),
        Route(method="GET", path=f"{API}/auth/me", handler=auth.get_me, tag="Auth", summary="Who I am", access="user", answer=account_types.Me),
        Route(method="POST", path=f"{API}/auth/password/change", handler=auth.change_password, tag="Auth", summary="Change the password", description="Ends all other sessions and all API tokens; this session goes on with the tokens of the answer.", access="user", scope="session", limits=("password-change",), body=account_types.PasswordChange, body_example={"current_password": "three quiet lanterns", "new_password": "four louder lanterns"}, answer=account_types.Tokens, errors=(errors.Conflict,)),
        Route(method="GET", path=f"{API}/auth/sessions", handler=auth.list_sessions, tag="Auth", summary="Where I am signed in", access="user", scope="session", query=queries.PageQuery, answer=account_types.SessionPage),
        Route(method="DELETE", path=f"{API}/auth/sessions", handler=auth.end_other_sessions, tag="Auth", summary="Sign out everywhere else", access="user", scope="session", limits=("writes",), status=204),
        Route(method="DELETE", path=f"{API}/auth/sessions/{{id:{UUID_PATTERN}}}", handler=auth.end_session, tag="Auth", summary="Sign out one device", access="user", scope="session", limits=("writes",), status=204),
        Route(method="POST", path=f"{API}/auth/verify", handler=mailed.verify_email, tag="Auth", summary="Confirm an e-mail address", description="Takes the token of the mail, once.", access="open", limits=("password-reset",), body=VerifyRequest, body_example={"token": MAILED}, status=204, errors=(errors.Conflict,)),
        Route(method="POST", path=f"{API}/auth/verify/resend", handler=mailed.resend_verification, tag="Auth", summary="Have the mail that confirms one's address sent again", access="user", scope="session", limits=("password-reset", "password-reset-account"), status=202, answer=MailAsked),
        Route(method="POST", path=f"{API}/auth/password/forgot", handler=mailed.forgot_password, tag="Auth", summary="Ask for a new password", description="The answer is the same whether there is such an account or not, and where the server sends no mail. The mail goes to a confirmed address only; one that is not confirmed yet gets the mail that confirms it.", access="open", limits=("password-reset", "password-reset-account"), body=ForgotRequest, body_example={"email": "mira@example.org"}, status=202, answer=MailAsked),
        Route(method="POST", path=f"{API}/auth/password/reset", handler=mailed.reset_password, tag="Auth", summary="Set a new password by the token of the mail", description="Ends all sessions and deletes all API tokens of the account.", access="open", limits=("password-reset",), body=ResetRequest, body_example={"token": MAILED, "new_password": "three quiet lanterns"}, status=204),
        Route(method="GET", path=f"{API}/auth/tokens", handler=api_tokens.list_api_tokens, tag="Auth", summary="My API tokens, the newest first", access="user", scope="session", query=queries.PageQuery, answer=ApiTokenPage),
        Route(method="POST", path=f"{API}/auth/tokens", handler=api_tokens.create_api_token, tag="Auth", summary="Make an API token", description="The token is shown in this answer and never again. At most 50 per user.", access="user", scope="session", limits=("writes",), body=ApiTokenDraft, body_example=DRAFT_EXAMPLE, status=201, answer=CreatedApiToken, errors=(errors.Forbidden, errors.Conflict)),
        Route(method="GET", path=f"{API}/auth/tokens/{{id:{UUID_PATTERN}}}", handler=api_tokens.get_api_token, tag="Auth", summary="One of my API tokens", access="user", scope="session", answer=ApiToken),
        Route(method="DELETE", path=f"{API}/auth/tokens/{{id:{UUID_PATTERN}}}", handler=api_tokens.delete_api_token, tag="Auth", summary="Delete an API token", description="It is refused from now on.", access="user", scope="session", limits=("writes",), status=204),
    )  # fmt: skip


def people() -> tuple[Route, ...]:
    """Profiles, statistics, what happened."""
    hidden = (errors.Forbidden, errors.NotFound)
    return (
        Route(method="GET", path=f"{API}/profile", handler=profiles.get_profile, tag="Profile", summary="My profile", access="user", answer=Profile),
        Route(method="PATCH", path=f"{API}/profile", handler=profiles.update_profile, tag="Profile", summary="Change my profile", access="user", limits=("writes",), body=ProfilePatch, body_example=PATCH_EXAMPLE, answer=Profile, errors=(errors.Conflict,)),
        Route(method="GET", path=f"{API}/users", handler=profiles.search_users, tag="Profile", summary="People by the beginning of their username", description="Finds public profiles. `count` is exact up to 1000.", limits=("people",), query=UsersQuery, answer=UserPage),
        Route(method="GET", path=f"{API}/users/{{id}}", handler=profiles.get_user, tag="Profile", summary="Somebody's profile", description="Of a private profile only its owner and administrators see more than the name.", answer=User),
        Route(method="GET", path=f"{API}/profile/stats", handler=stats.get_own_stats, tag="Profile", summary="What I have watched and keep", access="user", answer=UserStatistics),
        Route(method="GET", path=f"{API}/users/{{id}}/stats", handler=stats.get_user_stats, tag="Profile", summary="What somebody has watched and keeps", description="Of a private profile only its owner and administrators see them.", answer=UserStatistics, errors=hidden),
        Route(method="GET", path=f"{API}/feed", handler=activity.get_feed, tag="Activity", summary="What I did, and what happened to what I follow", access="user", query=ActivityQuery, answer=ActivityPage),
        Route(method="GET", path=f"{API}/users/{{id}}/activity", handler=activity.list_user_activity, tag="Activity", summary="What somebody did", description="Of a private profile only its owner and administrators see it.", query=ActivityQuery, answer=ActivityPage, errors=hidden),
        Route(method="POST", path=f"{API}/profile/export", handler=exports.export_profile, tag="Profile", summary="Everything that is mine, as a zip", description="An operation; the file is at its `/download`.", access="user", scope="session", limits=("exports",), status=202, answer=Operation, example=OPERATION, idempotent=True),
        Route(method="POST", path=f"{API}/profile/import", handler=list_imports.import_list, tag="Profile", summary="Bring a list along", description="A MyAnimeList export (XML) or CSV with `anime_id, score, status, watched_episodes`, plain or gzip, as the body or as a file of a form. An operation; rows without a release are kept until there is one.", access="user", limits=("imports", "uploads"), query=ImportQuery, upload=LIST_TYPES, status=202, answer=Operation, example=OPERATION, idempotent=True),
        Route(method="GET", path=f"{API}/profile/import/unmatched", handler=list_imports.list_unmatched, tag="Profile", summary="Rows of my lists that wait for their release", access="user", query=UnmatchedQuery, answer=UnmatchedPage),
        Route(method="DELETE", path=f"{API}/profile", handler=exports.erase_profile, tag="Profile", summary="Erase my account and everything that is mine", description="At once and for good. What was watched stays counted, as nobody's.", access="user", scope="session", limits=("writes",), status=204),
    )  # fmt: skip


def library() -> tuple[Route, ...]:
    """What people keep and how far they have watched."""
    lost = (errors.NotFound,)
    return (
        Route(method="GET", path=f"{API}/profile/favorites", handler=kept.list_favorites, tag="Library", summary="My favourites, the newest first", access="user", query=queries.PageQuery, answer=library_types.FavoritePage, example=library_examples.FAVORITES),
        Route(method="PUT", path=f"{API}/profile/favorites", handler=kept.put_favorites, tag="Library", summary="Make up to 500 releases favourites", access="user", limits=("writes",), body=library_types.ReleaseIds, body_example=library_examples.IDS, answer=library_types.LibraryChanged, example=library_examples.CHANGED),
        Route(method="DELETE", path=f"{API}/profile/favorites", handler=kept.delete_favorites, tag="Library", summary="Take up to 500 releases out of the favourites", access="user", limits=("writes",), body=library_types.ReleaseIds, body_example=library_examples.IDS, answer=library_types.LibraryChanged, example=library_examples.CHANGED),
        Route(method="PUT", path=f"{API}/profile/favorites/{{release_id}}", handler=kept.put_favorite, tag="Library", summary="Make a release a favourite", description="`X-Revision` is your revision afterwards, here and wherever one's own things change.", access="user", limits=("writes",), status=204, errors=lost),
        Route(method="DELETE", path=f"{API}/profile/favorites/{{release_id}}", handler=kept.delete_favorite, tag="Library", summary="Take a release out of the favourites", description="May be repeated.", access="user", limits=("writes",), status=204),
        Route(method="GET", path=f"{API}/profile/collections", handler=kept.list_collections, tag="Library", summary="Releases in my collections, the last changed first", access="user", query=library_types.CollectionsQuery, answer=library_types.CollectedPage, example=library_examples.COLLECTIONS),
        Route(method="PUT", path=f"{API}/profile/collections/{COLLECTION}", handler=kept.put_collection, tag="Library", summary="Put up to 500 releases into a collection", access="user", limits=("writes",), body=library_types.ReleaseIds, body_example=library_examples.IDS, answer=library_types.LibraryChanged, example=library_examples.CHANGED),
        Route(method="DELETE", path=f"{API}/profile/collections/{COLLECTION}", handler=kept.delete_collection, tag="Library", summary="Take up to 500 releases out of a collection", description="Those in another collection stay there.", access="user", limits=("writes",), body=library_types.ReleaseIds, body_example=library_examples.IDS, answer=library_types.LibraryChanged, example=library_examples.CHANGED),
        Route(method="PUT", path=f"{API}/profile/collections/{COLLECTION}/{{release_id}}", handler=kept.put_collected, tag="Library", summary="Put a release into a collection", description="It leaves the one it was in.", access="user", limits=("writes",), status=204, errors=lost),
        Route(method="DELETE", path=f"{API}/profile/collections/{COLLECTION}/{{release_id}}", handler=kept.delete_collected, tag="Library", summary="Take a release out of a collection", description="One in another collection stays there. May be repeated.", access="user", limits=("writes",), status=204),
        Route(method="GET", path=f"{API}/profile/ratings", handler=kept.list_ratings, tag="Library", summary="My ratings, the newest first", access="user", query=queries.PageQuery, answer=library_types.RatedPage, example=library_examples.RATED),
        Route(method="PUT", path=f"{API}/profile/ratings", handler=kept.put_ratings, tag="Library", summary="Rate up to 500 releases", access="user", limits=("writes",), body=library_types.ReleaseRatings, body_example=library_examples.RATINGS, answer=library_types.LibraryChanged, example=library_examples.CHANGED),
        Route(method="PUT", path=f"{API}/profile/ratings/{{release_id}}", handler=kept.put_rating, tag="Library", summary="Rate a release", access="user", limits=("writes",), body=library_types.RatingGiven, body_example=library_examples.RATING, status=204, errors=lost),
        Route(method="DELETE", path=f"{API}/profile/ratings/{{release_id}}", handler=kept.delete_rating, tag="Library", summary="Take a rating back", description="May be repeated.", access="user", limits=("writes",), status=204),
        Route(method="GET", path=f"{API}/profile/ignores", handler=kept.list_ignores, tag="Library", summary="Releases I am not interested in, the newest first", access="user", query=queries.PageQuery, answer=library_types.IgnoredPage, example=library_examples.IGNORED),
        Route(method="PUT", path=f"{API}/profile/ignores/{{release_id}}", handler=kept.put_ignore, tag="Library", summary="Not interested in a release", access="user", limits=("writes",), status=204, errors=lost),
        Route(method="DELETE", path=f"{API}/profile/ignores/{{release_id}}", handler=kept.delete_ignore, tag="Library", summary="Interested after all", description="May be repeated.", access="user", limits=("writes",), status=204),
        Route(method="GET", path=f"{API}/profile/progress", handler=progress.list_progress, tag="Watching", summary="How far I have watched, the last changed first", access="user", query=library_types.ProgressQuery, answer=library_types.ProgressPage, example=library_examples.PROGRESS),
        Route(method="PUT", path=f"{API}/profile/progress", handler=progress.put_all_progress, tag="Watching", summary="Say how far up to 500 episodes were watched", access="user", limits=("writes",), body=library_types.EpisodesProgress, body_example=library_examples.ALL_MADE, answer=library_types.LibraryChanged, example=library_examples.CHANGED),
        Route(method="GET", path=f"{API}/profile/progress/{{episode_id}}", handler=progress.get_progress, tag="Watching", summary="How far I have watched an episode", access="user", answer=library_types.EpisodeState, example=library_examples.STATE, errors=lost),
        Route(method="PUT", path=f"{API}/profile/progress/{{episode_id}}", handler=progress.put_progress, tag="Watching", summary="Say how far an episode was watched", description="When the last episode of a release is `completed`, a release that is in no collection, planned or being watched moves to `completed`.", access="user", limits=("writes",), body=library_types.ProgressMade, body_example=library_examples.MADE, status=204, errors=lost),
        Route(method="DELETE", path=f"{API}/profile/progress/{{episode_id}}", handler=progress.delete_progress, tag="Watching", summary="Forget that an episode was watched", description="May be repeated.", access="user", limits=("writes",), status=204),
        Route(method="GET", path=f"{API}/profile/continue", handler=progress.list_continue, tag="Watching", summary="What to go on with", description="One episode a release: the one watched last, or the one after it if that is through. Not of releases that are completed, dropped or ignored.", access="user", query=library_types.ContinueQuery, answer=library_types.ContinuePage, example=library_examples.CONTINUE),
        Route(method="GET", path=f"{API}/profile/history", handler=progress.list_history, tag="Watching", summary="Episodes by when they were watched last, the latest first", access="user", query=library_types.HistoryQuery, answer=library_types.HistoryPage, example=library_examples.HISTORY),
        Route(method="GET", path=f"{API}/profile/sync", handler=sync.list_changes, tag="Synchronising", summary="What changed since a revision", description="304 where nothing did. Follow `next` while there is `more`.", access="user", query=SyncQuery, answer=SyncChanges, cached=True),
        Route(method="POST", path=f"{API}/profile/sync", handler=sync.merge_edits, tag="Synchronising", summary="Merge what was done without a connection", description="Answers with who won each edit, and with what changed since `since`. May be sent again.", access="user", limits=("writes",), body=SyncEdits, body_example=EDITS_EXAMPLE, answer=SyncMerged),
    )  # fmt: skip


def shared() -> tuple[Route, ...]:
    """Long work, subscriptions, limits, and what administrators see of the outbox."""
    return (
        Route(method="GET", path=f"{API}/limits", handler=limits.list_limits, tag="Limits", summary="Every rate policy", cached=True, answer=RatePolicyPage),
        Route(method="GET", path=f"{API}/operations", handler=operations.list_operations, tag="Long work", summary="My operations, the newest first", access="user", query=OperationsQuery, answer=OperationPage, example=OPERATION_PAGE),
        Route(method="GET", path=f"{API}/operations/{{id:{UUID_PATTERN}}}", handler=operations.get_operation, tag="Long work", summary="How far an operation has come, and how it ended", access="user", answer=Operation, example=OPERATION),
        Route(method="GET", path=f"{API}/operations/{{id:{UUID_PATTERN}}}/download", handler=operations.download_operation, tag="Long work", summary="The file an operation made", description="Kept for seven days. Takes `Range`.", access="user", media_types=("application/octet-stream",)),
        Route(method="POST", path=f"{API}/operations/{{id:{UUID_PATTERN}}}/cancel", handler=operations.cancel_operation, tag="Long work", summary="Stop an operation", description="What is queued is cancelled at once; what runs is asked to stop. What has ended stays as it is.", access="user", limits=("writes",), answer=Operation, example=OPERATION),
        Route(method="GET", path=f"{API}/subscriptions", handler=subscriptions.list_subscriptions, tag="Subscriptions", summary="What I follow, the newest first", access="user", query=SubscriptionsQuery, answer=SubscriptionPage, example=SUBSCRIPTION_PAGE),
        Route(method="POST", path=f"{API}/subscriptions", handler=subscriptions.create_subscription, tag="Subscriptions", summary="Follow a release, a genre or a franchise", description="409 if it is followed already, or if there are 5,000 subscriptions. Who followed it before gets the same subscription, revived.", access="user", limits=("writes",), body=NewSubscription, body_example=NEW, status=201, answer=Subscription, example=SUBSCRIPTION, errors=(errors.NotFound,), idempotent=True),
        Route(method="DELETE", path=f"{API}/subscriptions/{{id}}", handler=subscriptions.delete_subscription, tag="Subscriptions", summary="Follow it no longer", description="May be repeated.", access="user", limits=("writes",), status=204),
        Route(method="GET", path=f"{API}/admin/outbox/dead", handler=outbox.list_dead_events, tag="Administration", summary="Events that were given up, the latest first", description="A consumer tries an event twelve times before it gives it up.", access="admin", query=DeadQuery, answer=DeadPage),
        Route(method="POST", path=f"{API}/admin/outbox/dead/{{id}}/replay", handler=outbox.replay_dead_event, tag="Administration", summary="Try an event again that was given up", description="As if for the first time: twelve more attempts. Later events of its entity may have been handled meanwhile.", access="admin", limits=("writes",), status=202, answer=Replayed, errors=(errors.NotFound,)),
    )  # fmt: skip


def editing() -> tuple[Route, ...]:
    """The catalogue as it is written."""
    shown = (cms_answers.AdminReleasesQuery, cms_answers.AdminRelease, cms_answers.AdminReleasePage)
    episode = (cms_answers.AdminEpisodesQuery, cms_answers.AdminEpisode, cms_answers.AdminEpisodePage)
    words = (cms_answers.AdminWordsQuery, cms_answers.AdminWord, cms_answers.AdminWordPage)
    return (
        *edited("release", written.list_written_releases, shown, cms_answers.RELEASE_BODY),
        *edited("episode", written.list_written_episodes, episode, cms_answers.EPISODE_BODY),
        *edited("genre", written.list_written_words, words, cms_answers.WORD_BODY),
        *edited("tag", written.list_written_words, words, cms_answers.WORD_BODY),
        *edited("franchise", written.list_written_words, words, cms_answers.WORD_BODY),
        Route(method="POST", path=f"{API}/admin/batch", handler=written.edit_batch, tag="CMS", summary="Up to 500 edits at once", description="All or nothing, unless `atomic` is false. An operation; `result.results` tells the fate of each, in order.", access="admin", status=202, body=cms_answers.Batch, body_example=cms_answers.BATCH, answer=Operation, example=cms_answers.ACCEPTED, errors=(errors.NotFound, errors.Conflict, errors.PreconditionFailed), idempotent=True),
        Route(method="POST", path=f"{API}/admin/import", handler=written.import_catalogue, tag="CMS", summary="Import a catalogue", description="One release a line, with its episodes, plain or gzip, as the body or as a file of a form. An operation: it begins when the edits accepted before it have ended, and what is edited afterwards wins over it.", access="admin", limits=("uploads",), status=202, upload=NDJSON_TYPES, answer=Operation, example=cms_answers.IMPORTING, idempotent=True),
        Route(method="GET", path=f"{API}/admin/operations", handler=operations.list_shared_operations, tag="CMS", summary="What changes the catalogue, the newest first", description="Whoever asked for it. `count` is exact up to 10,000.", access="admin", query=cms_answers.AdminOperationsQuery, answer=OperationPage, example=cms_answers.page(cms_answers.EDITED)),
        Route(method="GET", path=f"{API}/admin/operations/{{id:{UUID_PATTERN}}}", handler=operations.get_shared_operation, tag="CMS", summary="How far a change has come, and how it ended", access="admin", answer=Operation, example=cms_answers.EDITED),
        Route(method="POST", path=f"{API}/admin/operations/{{id:{UUID_PATTERN}}}/cancel", handler=operations.cancel_shared_operation, tag="CMS", summary="Stop a change", description="What is queued is cancelled at once; what runs stops where it can: an import between two portions, a batch that is not atomic likewise. What is done stays.", access="admin", answer=Operation, example=cms_answers.CANCELLED),
    )  # fmt: skip


def edited(
    noun: str, lists: Handler, types: tuple[type[Struct], Any, Any], example: dict[str, Any]
) -> tuple[Route, ...]:
    """A noun of the CMS: seven rows that differ in its name and its types."""
    path, (query, one, page) = f"{API}/admin/{noun}s", types
    wrong = (errors.NotFound, errors.Conflict, errors.PreconditionFailed)
    edit: dict[str, Any] = {
        "handler": written.edit,
        "tag": "CMS",
        "access": "admin",
        "status": 202,
        "answer": Operation,
        "example": cms_answers.ACCEPTED,
        "description": AN_EDIT,
        "errors": wrong,
    }
    patch = {name: example[name] for name in list(example)[:2] if name != "release_id"}
    return (
        Route(method="GET", path=path, handler=lists, operation=f"list_admin_{noun}s", tag="CMS", summary=f"The {noun}s as they are written", description="Whatever readers do not see is here as well. `count` is exact up to 10,000.", access="admin", query=query, answer=page),
        Route(method="POST", path=path, operation=f"create_{noun}", summary=f"Make a new {noun}", body=TYPES[noun, "create"], body_example=example, idempotent=True, **edit),
        Route(method="GET", path=f"{path}/{{id}}", handler=written.show_written, operation=f"get_admin_{noun}", tag="CMS", summary=f"One {noun} as it is written", description="Deleted or not. Its ETag is what `If-Match` takes.", access="admin", answer=one),
        Route(method="PUT", path=f"{path}/{{id}}", operation=f"replace_{noun}", summary=f"Write one {noun} anew", body=TYPES[noun, "replace"], body_example=example, **edit),
        Route(method="PATCH", path=f"{path}/{{id}}", operation=f"update_{noun}", summary=f"Change some fields of one {noun}", body=TYPES[noun, "update"], body_example=patch, **edit),
        Route(method="DELETE", path=f"{path}/{{id}}", operation=f"delete_{noun}", summary=f"Delete one {noun}", **edit),
        Route(method="POST", path=f"{path}/{{id}}/restore", operation=f"restore_{noun}", summary=f"Take the deletion of one {noun} back", idempotent=True, **edit),
    )  # fmt: skip


def cms() -> tuple[Route, ...]:
    """What administrators change."""
    return (
        *editing(),
        Route(method="GET", path=f"{API}/admin/audit", handler=audit.list_revisions, tag="Administration", summary="Who changed what, the newest first", description="Kept for two years.", access="admin", query=AuditQuery, answer=RevisionPage),
        Route(method="POST", path=f"{API}/admin/audit/{{id}}/undo", handler=audit.undo_revision, tag="Administration", summary="Take a change back", description="409 where a field that would be set back has been changed since, where it was undone already, and where the thing is gone.", access="admin", limits=("writes",), status=202, answer=Operation, example=OPERATION, idempotent=True, errors=(errors.Conflict,)),
        Route(method="GET", path=f"{API}/admin/users", handler=users.list_accounts, tag="Administration", summary="Accounts, the newest first", access="admin", query=AccountsQuery, answer=AccountPage),
        Route(method="GET", path=f"{API}/admin/users/{{id}}", handler=users.get_account, tag="Administration", summary="An account", access="admin", answer=AccountDetail),
        Route(method="PATCH", path=f"{API}/admin/users/{{id}}", handler=users.update_account, tag="Administration", summary="Change an account, its role above all", description="Another role holds from this answer on. 409 for one's own role and for that of the last administrator.", access="admin", limits=("writes",), body=AccountPatch, body_example={"role": "moderator"}, answer=AccountDetail, errors=(errors.Conflict,)),
        Route(method="POST", path=f"{API}/admin/users/{{id}}/sessions/revoke", handler=users.end_account_sessions, tag="Administration", summary="Sign somebody out everywhere", description="API tokens stay.", access="admin", limits=("writes",), answer=SessionsEnded),
        Route(method="GET", path=f"{API}/admin/analytics", handler=analytics_export.export_views, tag="Administration", summary="All view counts as CSV or NDJSON", description="As `/analytics/views`, in its order, without pages. A connection that is cut tells that something went wrong on the way.", access="admin", scope="analytics", query=ExportQuery, media_types=("application/x-ndjson", "text/csv")),
        Route(method="POST", path=f"{API}/admin/cache/purge", handler=caching.purge_cache, tag="Administration", summary="Forget cached answers, here, in other instances and in the CDN", description="Without tags, all of them.", access="admin", limits=("writes",), body=Purge, body_example=PURGE, answer=Purged),
    )  # fmt: skip


def notifications() -> tuple[Route, ...]:
    """What people are told of."""
    return (
        Route(method="GET", path=f"{API}/notifications", handler=told.list_notifications, tag="Notifications", summary="What I was told, the newest first", access="user", query=NotificationsQuery, answer=NotificationPage),
        Route(method="POST", path=f"{API}/notifications/read-all", handler=told.read_all_notifications, tag="Notifications", summary="Mark all of them as read", description="All that are there when it is asked for. May be repeated.", access="user", limits=("writes",), answer=MarkedRead),
        Route(method="POST", path=f"{API}/notifications/{{id}}/read", handler=told.read_notification, tag="Notifications", summary="Mark one as read", description="May be repeated.", access="user", limits=("writes",), answer=MarkedRead, errors=(errors.NotFound,)),
        Route(method="DELETE", path=f"{API}/notifications/{{id}}", handler=told.delete_notification, tag="Notifications", summary="Delete one", access="user", limits=("writes",), status=204, errors=(errors.NotFound,)),
        Route(method="GET", path=f"{API}/notifications/unread/count", handler=told.count_unread, tag="Notifications", summary="How many I have not read", description="Exact, and cheap enough for a badge.", access="user", answer=UnreadCount),
        Route(method="GET", path=f"{API}/notifications/preferences", handler=told.get_notification_preferences, tag="Notifications", summary="What I want to be told, and by which way", access="user", answer=NotificationPreferences),
        Route(method="PUT", path=f"{API}/notifications/preferences", handler=told.put_notification_preferences, tag="Notifications", summary="Choose what I want to be told, and by which way", description="All of it anew: types and quiet hours that are left out go back to what they are by default; the time zone and the mutes stay as they are.", access="user", limits=("writes",), body=NotificationPreferencesDraft, body_example=PREFERENCES_DRAFT, answer=NotificationPreferences),
        Route(method="PUT", path=f"{API}/notifications/mutes/{MUTED}/{{target_id}}", handler=told.mute_target, tag="Notifications", summary="Hear nothing more about a release, a genre or a franchise", description="Whatever is followed. Moderators' decisions come even so. May be repeated; 409 if 1,000 are muted.", access="user", limits=("writes",), status=204, errors=(errors.NotFound, errors.Conflict)),
        Route(method="DELETE", path=f"{API}/notifications/mutes/{MUTED}/{{target_id}}", handler=told.unmute_target, tag="Notifications", summary="Hear about it again", description="May be repeated.", access="user", limits=("writes",), status=204),
        Route(method="GET", path=f"{API}/notifications/unsubscribe", handler=unsubscribe.show_unsubscribe, tag="Notifications", summary="Asks whether mails are to stop", description="Where the links in mails lead. It changes nothing by itself.", access="open", query=UnsubscribeQuery, media_types=("text/html",), errors=(errors.NotFound,)),
        Route(method="POST", path=f"{API}/notifications/unsubscribe", handler=unsubscribe.unsubscribe_by_mail, tag="Notifications", summary="No more mails of a type", description="Called by the button of that page, or by a mail program itself (RFC 8058). The token says whose mails and which; nobody has to sign in.", access="open", query=UnsubscribeQuery, media_types=("text/html",), errors=(errors.NotFound,)),
        Route(method="POST", path=f"{API}/notifications/stream-ticket", handler=streams.create_stream_ticket, tag="Notifications", summary="A ticket for the live stream", description="For pages: an `EventSource` cannot send an access token. Good once, for thirty seconds.", access="user", scope="session", limits=("writes",), status=201, answer=StreamTicket, example=TICKET),
        Route(method="GET", path=f"{API}/notifications/stream", handler=streams.stream_notifications, tag="Notifications", summary="My notifications as they come", description="Server-sent events: `notification` (as in the list; its id is the event's), `unread` (`unread_count`), and `resync`: fetch the list anew. Opened with a ticket or an access token. A comment every fifteen seconds is a sign of life. At most five streams per user.", access="user", by_ticket=True, query=StreamQuery, media_types=("text/event-stream",)),
    )  # fmt: skip


def outwards() -> tuple[Route, ...]:
    """Feeds, calendars, webhooks."""
    return (
        Route(method="GET", path=f"{API}/feeds/releases.atom", handler=feeds.releases_feed, tag="Feeds", summary="The newest releases (Atom)", query=FeedQuery, media_types=("application/atom+xml",), cached=True, errors=(errors.NotFound,)),
        Route(method="GET", path=f"{API}/feeds/genres/{{slug:[a-z0-9-]{{1,150}}}}.atom", handler=feeds.genre_feed, tag="Feeds", summary="The newest releases of a genre (Atom)", media_types=("application/atom+xml",), cached=True, errors=(errors.NotFound,)),
        Route(method="GET", path=f"{API}/feeds/calendar/{{token:[A-Za-z0-9_-]{{1,100}}}}.ics", handler=calendars.calendar_feed, tag="Feeds", summary="Episodes of what somebody follows, for calendar programs (iCalendar)", description="From 30 days ago to 180 days ahead. An episode keeps its UID: one that is moved gets a higher SEQUENCE, one that is cancelled says so for 30 days.", access="open", query=CalendarQuery, media_types=("text/calendar",), cached=True, errors=(errors.NotFound,)),
        Route(method="GET", path=f"{API}/profile/calendar", handler=calendars.get_calendar, tag="Profile", summary="Whether my calendar has an address", access="user", answer=CalendarState, example=STATE),
        Route(method="POST", path=f"{API}/profile/calendar", handler=calendars.create_calendar, tag="Profile", summary="A secret address for my calendar", description="In place of an older one, which leads nowhere from now on. It is shown in this answer and never again.", access="user", limits=("writes",), status=201, answer=CalendarAddress, example=ADDRESS),
        Route(method="DELETE", path=f"{API}/profile/calendar", handler=calendars.delete_calendar, tag="Profile", summary="Have no calendar any more", description="May be repeated.", access="user", limits=("writes",), status=204),
        Route(method="GET", path=f"{API}/admin/webhooks", handler=webhooks.list_webhooks, tag="Webhooks", summary="Who outside is told of changes", access="admin", query=queries.PageQuery, answer=webhook_types.WebhookPage),
        Route(method="POST", path=f"{API}/admin/webhooks", handler=webhooks.create_webhook, tag="Webhooks", summary="Tell an address of changes", description="Signed as Standard Webhooks has it; the secret is in this answer and nowhere else. The address has to be public, or covered by `WEBHOOK_ALLOW`. At most 20.", access="admin", limits=("writes",), body=webhook_types.NewWebhook, body_example=webhook_types.NEW_WEBHOOK, status=201, answer=webhook_types.CreatedWebhook, idempotent=True),
        Route(method="GET", path=f"{API}/admin/webhooks/{{id}}", handler=webhooks.get_webhook, tag="Webhooks", summary="A webhook", access="admin", answer=webhook_types.Webhook),
        Route(method="PATCH", path=f"{API}/admin/webhooks/{{id}}", handler=webhooks.update_webhook, tag="Webhooks", summary="Change a webhook, switch it off or on again", description="While it is off nothing new is written down for it; what waited is sent once it is on again.", access="admin", limits=("writes",), body=webhook_types.WebhookChanges, body_example={"enabled": True}, answer=webhook_types.Webhook),
        Route(method="DELETE", path=f"{API}/admin/webhooks/{{id}}", handler=webhooks.delete_webhook, tag="Webhooks", summary="Delete a webhook", description="What waited for it is not sent any more.", access="admin", limits=("writes",), status=204, errors=(errors.NotFound,)),
        Route(method="POST", path=f"{API}/admin/webhooks/{{id}}/rotate", handler=webhooks.rotate_webhook_secret, tag="Webhooks", summary="Give a webhook a new secret", description="The one before signs along for 24 hours.", access="admin", limits=("writes",), answer=webhook_types.WebhookSecret, errors=(errors.NotFound,)),
        Route(method="POST", path=f"{API}/admin/webhooks/{{id}}/test", handler=webhooks.ping_webhook, tag="Webhooks", summary="Send a webhook a `ping`", access="admin", limits=("writes",), status=202, answer=webhook_types.DeliveryQueued, errors=(errors.NotFound, errors.Conflict)),
        Route(method="GET", path=f"{API}/admin/webhooks/{{id}}/deliveries", handler=webhooks.list_deliveries, tag="Webhooks", summary="What was and is to be sent to a webhook, the latest first", description="Kept for thirty days after its end.", access="admin", query=webhook_types.DeliveriesQuery, answer=webhook_types.WebhookDeliveryPage),
        Route(method="POST", path=f"{API}/admin/webhooks/deliveries/{{id:{UUID_PATTERN}}}/replay", handler=webhooks.replay_delivery, tag="Webhooks", summary="Send a delivery again", description="As if for the first time, also one that succeeded; under the same `webhook-id`. 409 while the webhook is switched off.", access="admin", limits=("writes",), status=202, answer=webhook_types.DeliveryQueued, errors=(errors.NotFound, errors.Conflict)),
    )  # fmt: skip
