"""Programs that fetch pages for themselves, known by their user agent. Their views are kept apart and do not count."""

from __future__ import annotations

import re
from functools import lru_cache

# Kept by hand. HTTP libraries (curl, okhttp, aiohttp …) are absent on purpose: players and apps are built on them.
# Each row: (what its user agent contains, why it does not count). The general words at the end catch the long tail;
# Cubot is a brand of telephones.
KNOWN: tuple[tuple[str, str], ...] = (
    (r"googlebot|google-inspectiontool|storebot-google|googleother|adsbot|mediapartners-google|apis-google", "search"),
    (r"bingbot|bingpreview|msnbot|adidxbot", "search"),
    (r"yandex(bot|images|video|media|metrika|mobilebot|favicons|webmaster)?/|yandexbot", "search"),
    (
        r"baiduspider|sogou|duckduckbot|duckassistbot|qwantify|seznambot|applebot|petalbot|naverbot|yeti/|mojeekbot",
        "search",
    ),
    (
        r"gptbot|chatgpt-user|oai-searchbot|claudebot|claude-web|anthropic-ai|perplexitybot|ccbot|bytespider|amazonbot",
        "ai",
    ),
    (r"meta-externalagent|google-extended|cohere-ai|diffbot|youbot|timpibot|imagesiftbot", "ai"),
    (
        r"facebookexternalhit|facebot|twitterbot|telegrambot|discordbot|slackbot|whatsapp/|vkshare|linkedinbot|redditbot",
        "preview",
    ),
    (r"skypeuripreview|viber/|embedly|iframely|mastodon/|pleroma|misskey", "preview"),
    (r"ahrefsbot|semrushbot|mj12bot|dotbot|blexbot|dataforseobot|serpstatbot|rogerbot|screaming frog", "seo"),
    (r"uptimerobot|pingdom|statuscake|site24x7|betteruptime|datadog|newrelic|nagios|zabbix|prometheus/", "monitor"),
    (r"headlesschrome|phantomjs|puppeteer|playwright|selenium|cypress|electron/.*headless", "automation"),
    (r"scrapy|colly|crawlee|nutch|mechanize", "scraper"),
    (r"archive\.org_bot|ia_archiver|wayback|heritrix", "archive"),
    (r"(?<![a-z])(bot|crawler|spider|crawling|scraper)(?![a-z])|(?<!cu)bot[/;)]|crawler/|spider/", "bot"),
)
PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), reason) for pattern, reason in KNOWN)


@lru_cache(maxsize=4096)
def crawler_reason(user_agent: str) -> str | None:
    """Why views of this user agent do not count (search, ai, preview, seo, monitor, …), or None."""
    for pattern, reason in PATTERNS:
        if pattern.search(user_agent):
            return reason
    return None
