"""The crew: every actor, in the order in which it starts and may ask. A part of the composition root."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from aiohttp import web

from actors.base import ActorRef
from actors.comment_writer import CommentWriter
from actors.consumers.activity import Activity
from actors.consumers.base import Consumer
from actors.consumers.cdn_purger import CdnPurger
from actors.consumers.eraser import Eraser, LateEraser
from actors.consumers.list_matches import ListMatches
from actors.consumers.mailer import AccountMailer
from actors.consumers.neighbours import Neighbours
from actors.consumers.notifications import Notifications
from actors.consumers.release_counts import ReleaseCounts
from actors.consumers.user_stats import UserStats
from actors.consumers.webhooks import Webhooks as WebhookConsumer
from actors.dispatcher import Dispatcher, Looks
from actors.dispatcher import Look as LookForNews
from actors.gauges import Gauges
from actors.governor import Governor
from actors.housekeeping import Housekeeping
from actors.invalidations import Invalidations
from actors.limit_exchange import LimitExchange
from actors.notification_mailer import NotificationMailer, Sender
from actors.operations import Edits, Look, Operations, Runs
from actors.outbox import OutboxReader, Waker
from actors.outbox_upkeep import OutboxUpkeep
from actors.presence import Presence
from actors.publisher import Publisher
from actors.rate_limiter import RateLimiter
from actors.recommender import Recommender
from actors.revocations import RevocationKeeper
from actors.rollup import Rollup
from actors.rumours import Rumours, Spread
from actors.stream_hub import LookAfter, StreamHub
from actors.system import ActorSystem
from actors.trending import TrendingCalculator
from actors.upkeep import Upkeep
from actors.view_buffer import ViewBuffer
from actors.webhook_sender import Look as LookForDeliveries
from actors.webhook_sender import Sending, WebhookSender
from actors.word_keeper import Reload, WordKeeper
from actors.works.base import Work
from actors.works.edit import BatchWork, EditWork
from actors.works.export import Export
from actors.works.import_catalogue import ImportCatalogue
from actors.works.import_list import ImportList, MatchList
from actors.works.undo_user import UndoUser
from server import __version__, keys, memory, metrics_sharing, metrics_sources, metrics_streams, metrics_webhooks
from server.adapters import mail
from server.adapters.addresses import Addresses
from server.adapters.outgoing import Outgoing
from server.adapters.redis import Redis
from server.bodies import notifications, trending
from server.crew_recommendations import add_recommendations
from server.crew_search import add_search
from server.errors import ActorStopped, MailboxFull
from server.events import (
    ConsumerProgress,
    Endings,
    MailCounters,
    NotificationProgress,
    OperatorGauges,
    OutboxProgress,
    RecommendationCounters,
    Sharing,
    Trends,
    ViewCounters,
    ViewerSalts,
    WebhookProgress,
)
from server.files import Files
from server.routes import API
from server.rules.unsubscribing import UnsubscribeTokens
from server.secret_key import secret_keys
from server.settings import Settings
from server.shared_meter import SharedMeter
from server.streams import Streams
from server.talk import Talk
from server.unread import UnreadCounts
from server.webhooks import Webhooks
from server.word_rules import WordRules
from sql import housekeeping, notification_keeping
from sql.dispatch import Budget
from sql.notifications import RECORDED
from sql.operations import QUEUED
from sql.word_rules import TAG as WORD_RULES

# How long actors may take to handle what waits when the server stops, in seconds.
DRAIN = 4.0
# Readers of the outbox that may hold a connection at once: requests come first.
READERS_AT_ONCE = 2


def prompt(actor: ActorRef[Any], message: object) -> None:
    """Tell an actor to look at once. It looks by itself soon, and while the server stops it does not have to."""
    with suppress(MailboxFull, ActorStopped):
        actor.tell(message)


def add_actors(
    app: web.Application, settings: Settings, dsn: str, on_fatal: Callable[[str, BaseException], None]
) -> None:
    """Make the crew; it starts and stops with the application."""
    database, shown, pressure = app[keys.DATABASE], OperatorGauges(), app[keys.PRESSURE]
    system = ActorSystem(on_fatal, pressed=lambda: pressure.pauses)
    app[keys.STREAMS] = streams = Streams()
    # In the order in which they may ask: each only those above it.
    look = memory.looker(app[keys.METRICS])
    system.add(partial(Governor, pressure, app[keys.CACHE], settings.cache_max_bytes, look, memory.tidy))
    app[keys.WORDS] = words = WordRules()
    app[keys.WORD_KEEPER] = system.add(partial(WordKeeper, database, words))
    _add_views(app, settings, system, _invalidations(app, settings.database_direct_url or dsn))
    system.add(partial(RevocationKeeper, database, app[keys.IDENTITIES].revocations))
    system.add(partial(Gauges, database, shown))
    system.add(partial(Presence, database, app[keys.IDENTITIES].take_seen))
    system.add(partial(RateLimiter, app[keys.METER]))
    _add_exchange(app, settings, system)
    keeping = (*housekeeping.RULES, *notification_keeping.rules(settings.notification_retention_days))
    system.add(partial(Housekeeping, database, keeping))
    _add_talk(app, system)
    _add_streams(app, system, streams)
    _add_operations(app, settings, system)
    _add_outbox(app, settings, system)
    _add_notifications(app, settings, system)
    _add_webhooks(app, settings, system)
    _add_notification_mails(app, settings, system)
    add_search(app, settings, system)
    add_recommendations(app, settings, dsn, system)
    app[keys.METRICS].add(metrics_sources.of_actors(system))
    app[keys.METRICS].add(metrics_sources.of_gauges(shown))
    app[keys.METRICS].add(metrics_sources.of_meter(app[keys.METER]))

    async def run(_: web.Application) -> AsyncIterator[None]:
        await system.start()
        yield
        await system.stop(DRAIN)

    app.cleanup_ctx.append(run)


def _add_exchange(app: web.Application, settings: Settings, system: ActorSystem) -> None:
    """What instances share of the rate limits, where there is a Redis to share it by."""
    if not settings.redis_url:
        return
    app[keys.REDIS] = redis = Redis(settings.redis_url)
    meter, sharing = app[keys.METER], Sharing()
    exchange = system.add(partial(LimitExchange, redis, meter, sharing))
    app[keys.SHARED_METER] = app[keys.EDGE].toll.shared = SharedMeter(meter, exchange, redis, sharing)
    app[keys.METRICS].add(metrics_sharing.of_sharing(sharing, redis))


def _add_views(
    app: web.Application, settings: Settings, system: ActorSystem, invalidations: Callable[[], Invalidations]
) -> None:
    database, cache = app[keys.DATABASE], app[keys.CACHE]
    counters, salts, trends = ViewCounters(), ViewerSalts(), Trends()
    app[keys.SALTS], app[keys.TRENDS] = salts, trends
    base = f"{settings.public_url}{API}/recommendations/trending"
    warm = partial(trending.warm, cache, app[keys.POLICIES]["trending"], database, trends, base)
    system.add(partial(Upkeep, database, salts, settings.view_retention_days))
    system.add(invalidations)
    app[keys.VIEW_BUFFER] = system.add(partial(ViewBuffer, database, counters))
    system.add(partial(Rollup, database, counters))
    system.add(partial(TrendingCalculator, database, trends, settings.trending_interval, system.jobs, warm))
    app[keys.METRICS].add(metrics_sources.of_views(counters))
    app[keys.METRICS].add(metrics_sources.of_trends(trends))


def _invalidations(app: web.Application, dsn: str) -> Callable[[], Invalidations]:
    cache, streams = app[keys.CACHE], app[keys.STREAMS]
    app[keys.UNREAD] = counts = UnreadCounts(partial(notifications.unread, app[keys.DATABASE]))

    reload_words = partial(prompt, app[keys.WORD_KEEPER], Reload())

    def drop(tags: Sequence[str]) -> int:
        if WORD_RULES in tags:
            reload_words()
        return cache.drop(tags)

    def moved(first_user: int, last_user: int) -> None:
        counts.drop(first_user, last_user)
        streams.heard(first_user, last_user)

    def drop_all() -> None:
        cache.drop_all()
        counts.drop_all()
        streams.look_after_all()
        reload_words()

    return partial(Invalidations, dsn, drop, moved, drop_all, counts.inform)


def _works(app: web.Application) -> list[Work]:
    """Every kind of long work."""
    database = app[keys.DATABASE]
    catalogue = ImportCatalogue(database, app[keys.CACHE].drop)
    return [Export(database), ImportList(database), MatchList(database), catalogue]


def _edits(app: web.Application) -> list[Work]:
    """The kinds of short work, in a lane of their own."""
    database, drop = app[keys.DATABASE], app[keys.CACHE].drop
    return [EditWork(database, drop), BatchWork(database, drop), UndoUser(database, app[keys.TALK].changed)]


def _add_operations(app: web.Application, settings: Settings, system: ActorSystem) -> None:
    app[keys.FILES] = Files(settings.data_dir)
    app[keys.ENDINGS] = Endings()
    _add_lane(app, system, Operations, _works(app))
    _add_lane(app, system, Edits, _edits(app))
    system.add(partial(Publisher, app[keys.DATABASE], app[keys.CACHE].drop))


def _add_lane(app: web.Application, system: ActorSystem, lane: type[Operations], works: list[Work]) -> None:
    database, runs, pressure = app[keys.DATABASE], Runs(endings=app[keys.ENDINGS]), app[keys.PRESSURE]
    # Edits are short and somebody waits for them; exports and imports can wait.
    pressed = (lambda: pressure.pauses) if lane is Operations else (lambda: False)
    ref = system.add(partial(lane, database, app[keys.FILES], system.jobs, runs, works, pressed))
    kinds, wake = frozenset(work.kind for work in works), partial(prompt, ref, Look())

    def heard() -> None:
        # In the task whose transaction has just been committed.
        if QUEUED.get() & kinds:
            QUEUED.set(QUEUED.get() - kinds)
            wake()

    runs.wake = wake
    database.bell.listeners.append(heard)


def consumers(app: web.Application, settings: Settings) -> list[Consumer]:
    """Whoever reads the outbox."""
    database, files = app[keys.DATABASE], app[keys.FILES]
    found: list[Consumer] = [
        WebhookConsumer(), UserStats(), ReleaseCounts(), Activity(), ListMatches(), Notifications(), Neighbours(),
        Eraser(database, files), LateEraser(database, files)
    ]  # fmt: skip
    if keys.MAILER in app:
        found.append(AccountMailer(database, app[keys.MAILER], settings.public_url))
    if keys.CDN in app:
        found.append(CdnPurger(app[keys.CDN]))
    return found


def _add_outbox(app: web.Application, settings: Settings, system: ActorSystem) -> None:
    database, readers = app[keys.DATABASE], consumers(app, settings)
    progress = OutboxProgress({consumer.name: ConsumerProgress() for consumer in readers})
    system.add(partial(OutboxUpkeep, database, {one.name: one.topics for one in readers}, progress))
    turns = asyncio.Semaphore(READERS_AT_ONCE)
    for consumer in readers:
        waker = Waker()
        waker.ref = system.add(
            partial(OutboxReader, database, consumer, progress.by_consumer[consumer.name], waker, turns)
        )
        app[keys.BELL].listeners.append(waker)
    app[keys.METRICS].add(metrics_sources.of_outbox(progress))


def _add_notifications(app: web.Application, settings: Settings, system: ActorSystem) -> None:
    database, progress, looks = app[keys.DATABASE], NotificationProgress(), Looks()
    budget, grown = Budget(*settings.notification_rate_limit), app[keys.UNREAD].drop
    dispatcher = system.add(partial(Dispatcher, database, budget, progress, looks, grown, mail=keys.MAILER in app))
    app[keys.METRICS].add(metrics_sources.of_notifications(progress))

    looks.wake = wake = partial(prompt, dispatcher, LookForNews())

    def heard() -> None:
        # In the task whose transaction has just been committed.
        if RECORDED.get():
            RECORDED.set(False)
            wake()

    database.bell.listeners.append(heard)


def _add_talk(app: web.Application, system: ActorSystem) -> None:
    limit = app[keys.METER].limits["comments"]
    app[keys.COMMENT_WRITER] = system.add(
        partial(CommentWriter, app[keys.DATABASE], (limit.quota, timedelta(seconds=limit.window)))
    )
    app[keys.TALK] = talk = Talk(app[keys.CACHE].drop)
    rumours = system.add(partial(Rumours, app[keys.DATABASE], talk.take, talk.keep))
    talk.wake = partial(prompt, rumours, Spread())


def _add_streams(app: web.Application, system: ActorSystem, streams: Streams) -> None:
    hub = system.add(partial(StreamHub, app[keys.DATABASE], streams, app[keys.IDENTITIES].revocations))
    app[keys.METRICS].add(metrics_streams.of_streams(streams))

    async def stop(_: web.Application) -> None:
        streams.stop()

    streams.wake = partial(prompt, hub, LookAfter())
    app.on_shutdown.append(stop)


def _add_notification_mails(app: web.Application, settings: Settings, system: ActorSystem) -> None:
    database, sent, recommended = app[keys.DATABASE], MailCounters(), RecommendationCounters()
    app[keys.UNSUBSCRIBE_TOKENS] = tokens = UnsubscribeTokens(secret_keys(settings))
    system.add(partial(Recommender, database, recommended))
    app[keys.METRICS].add(metrics_sources.of_recommendations(recommended))
    if keys.MAILER in app:
        stop = f"{settings.public_url}{API}/notifications/unsubscribe"
        sender = Sender(settings.public_url, stop, mail.domain_of(settings.mail_from), tokens)
        system.add(partial(NotificationMailer, database, app[keys.MAILER], sender, sent))
        app[keys.METRICS].add(metrics_sources.of_notification_mails(sent))


def _add_webhooks(app: web.Application, settings: Settings, system: ActorSystem) -> None:
    signing, addresses = secret_keys(settings), Addresses(settings.webhook_allow)
    app[keys.WEBHOOKS] = Webhooks(signing, addresses)
    outgoing, progress, sending = Outgoing(addresses, f"Yojohan/{__version__}"), WebhookProgress(), Sending()
    sender = system.add(partial(WebhookSender, app[keys.DATABASE], outgoing, signing, progress, sending))
    app[keys.METRICS].add(metrics_webhooks.of_webhooks(progress))

    sending.wake = partial(prompt, sender, LookForDeliveries())
