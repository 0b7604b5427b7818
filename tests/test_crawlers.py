"""Crawlers are known by their user agent; people, players and telephones are not taken for them."""

from __future__ import annotations

import pytest

from server.rules.crawlers import crawler_reason

CRAWLERS = {
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "search",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)": "search",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)": "search",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)": "search",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)": "ai",
    "CCBot/2.0 (https://commoncrawl.org/faq/)": "ai",
    "TelegramBot (like TwitterBot)": "preview",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)": "preview",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)": "seo",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)": "monitor",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0.0.0 Safari/537.36": "automation",
    "Scrapy/2.11.0 (+https://scrapy.org)": "scraper",
    "Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)": "archive",
    "SomethingNewBot/0.1": "bot",
    "my crawler": "bot",
}
PEOPLE = [
    "",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/136.0 YaBrowser/25.6 Yowser/2.5 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile Safari/604.1",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 4.4.2; CUBOT; S208) AppleWebKit/537.36 Chrome/30.0 Mobile Safari/537.36",
    "okhttp/4.12.0",
    "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8)",
    "VLC/3.0.20 LibVLC/3.0.20",
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 TV Safari/537.36",
    "Abbott/1.0 (Robotics enthusiast)",
]


@pytest.mark.parametrize(("agent", "reason"), CRAWLERS.items())
def test_a_crawler_is_known_with_its_reason(agent: str, reason: str) -> None:
    assert crawler_reason(agent) == reason


@pytest.mark.parametrize("agent", PEOPLE)
def test_people_and_their_programs_count(agent: str) -> None:
    assert crawler_reason(agent) is None
