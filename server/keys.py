"""Every `web.AppKey`: what handlers find in `request.app`."""

from __future__ import annotations

from aiohttp import web

from actors.base import ActorRef
from actors.comment_writer import WriteComment
from actors.view_buffer import RecordViews
from actors.word_keeper import Reload
from server.accounts import Accounts
from server.adapters.cdn import Cdn
from server.adapters.mail import Smtp
from server.adapters.redis import Redis
from server.cache import Entry, Policy, ResponseCache
from server.database import Database
from server.events import Bell, Endings, Recommending, Trends, ViewerSalts
from server.files import Files
from server.gate import Gate
from server.health import Health, Probe
from server.http.client import ClientAddress
from server.http.connections import Connections
from server.http.edge import Edge
from server.identity import Identities
from server.loader import Loader
from server.meter import Meter
from server.metrics import Metrics
from server.passwords import Hasher
from server.pressure import Pressure
from server.rules.unsubscribing import UnsubscribeTokens
from server.search.misses import Misses
from server.search.searching import Search
from server.settings import Settings
from server.shared_meter import SharedMeter
from server.streams import Streams
from server.talk import Talk
from server.unread import UnreadCounts
from server.webhooks import Webhooks
from server.word_rules import WordRules

SETTINGS = web.AppKey("settings", Settings)
DATABASE = web.AppKey("database", Database)
CACHE = web.AppKey("cache", ResponseCache)
POLICIES = web.AppKey("policies", dict[str, Policy])
METRICS = web.AppKey("metrics", Metrics)
HEALTH = web.AppKey("health", Health)
# What else is to be looked at: each part adds its own.
PROBES = web.AppKey("probes", list[Probe])
CLIENTS = web.AppKey("clients", ClientAddress)
TRENDS = web.AppKey("trends", Trends)
SALTS = web.AppKey("salts", ViewerSalts)
COMMENT_WRITER = web.AppKey("comment_writer", ActorRef[WriteComment])
VIEW_BUFFER = web.AppKey("view_buffer", ActorRef[RecordViews])
OPENAPI = web.AppKey("openapi", Entry)
EDGE = web.AppKey("edge", Edge)
PRESSURE = web.AppKey("pressure", Pressure)
CONNECTIONS = web.AppKey("connections", Connections)
RELEASES = web.AppKey("releases", Loader[int, bytes])
IDENTITIES = web.AppKey("identities", Identities)
HASHER = web.AppKey("hasher", Hasher)
ACCOUNTS = web.AppKey("accounts", Accounts)
# Only where e-mail is on.
MAILER = web.AppKey("mailer", Smtp)
UNSUBSCRIBE_TOKENS = web.AppKey("unsubscribe_tokens", UnsubscribeTokens)
SEARCH = web.AppKey("search", Search)
SEARCH_MISSES = web.AppKey("search_misses", Misses)
# Only where there is one to purge.
CDN = web.AppKey("cdn", Cdn)
METER = web.AppKey("meter", Meter)
# Only where there is a Redis.
SHARED_METER = web.AppKey("shared_meter", SharedMeter)
REDIS = web.AppKey("redis", Redis)
LIMITS = web.AppKey("limits", Entry)
WEBHOOKS = web.AppKey("webhooks", Webhooks)
BELL = web.AppKey("bell", Bell)
ENDINGS = web.AppKey("endings", Endings)
FILES = web.AppKey("files", Files)
STREAMS = web.AppKey("streams", Streams)
UNREAD = web.AppKey("unread", UnreadCounts)
GATE = web.AppKey("gate", Gate)
WORDS = web.AppKey("words", WordRules)
WORD_KEEPER = web.AppKey("word_keeper", ActorRef[Reload])
TALK = web.AppKey("talk", Talk)
RECOMMENDING = web.AppKey("recommending", Recommending)
