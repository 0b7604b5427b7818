"""What others name as an address is asked only where it cannot reach inside, whatever it looks like or turns into."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import pytest
from aiohttp import web

from server.adapters import outgoing
from server.adapters.addresses import Addresses, Refused, Unresolved, is_public, parse
from server.adapters.outgoing import MOST_KEPT, MOST_READ, Outgoing, Reply

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
PUBLIC = "93.184.215.14"
INSIDE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1",
    "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:100.64.0.1", "::ffff:0:0",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1", "2001:10::1", "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::1", "3fff::1", "5f00::1",
    "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "2606:4700:4700::1111%eth0", "fec0::1", "ff02::1",
]  # fmt: skip
OUTSIDE = [
    PUBLIC, "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "198.17.255.255", "198.20.0.1", "223.255.255.1",
    "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1",
]  # fmt: skip
NO_ADDRESSES = [
    "", "example.org", "//example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "https://",
    "https:///hook", "https://user@example.org/", "https://user:word@example.org/", "https://:word@example.org/",
    "https://@example.org/", "https://example.org/#fragment", "https://example.org:0/", "https://example.org:99999/",
    "https://example.org:22/", "https://example.org:25/", "https://example.org:5432/", "https://example.org:6379/",
    "https://exa mple.org/", "https://example.org/\n", "https://example.org\\@127.0.0.1/", "https://example.org/\x00",
    "https://example.org/\ud800", "https://[::1", "https://[v1.x]/", "https://a..b/", "https://-/", "https://exam%00ple/",
    "https://127.1/", "https://0x7f.1/", "https://0x7f000001/", "https://0177.0.0.1/", "https://2130706433/",
    "https://127.0.1/", "https://127.0.0.1./", "https://1.2.3.4.5/", "https://0x7f.0.0.1/", "https://example.0x10/",
    "https://0/", "https://256.256.256.256/", "https://127.0.0.01/", "https://" + "a" * 300 + ".org/",
    "https://example.org/" + "a" * 2000,
]  # fmt: skip


def names(**known: Sequence[str] | list[Sequence[str]]) -> Callable[[str], Awaitable[Sequence[str]]]:
    """A resolver that knows these; a list of lists is answered one after the other."""

    async def resolve(host: str) -> Sequence[str]:
        found = known.get(host.replace(".", "_").replace("-", "_"))
        if found is None:
            raise OSError("no such name")
        if found and not isinstance(found[0], str):
            return found.pop(0)  # type: ignore[union-attr,return-value]
        return found  # type: ignore[return-value]

    return resolve


@asynccontextmanager
async def receiver(handler: Any) -> AsyncIterator[int]:
    """A web server on the loopback that answers everything with this handler; its port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def post(url: str, resolve: Any = None, allowed: Any = LOOPBACK, body: bytes = b"{}") -> Reply:
    """One request with these rules."""
    sender = Outgoing(Addresses(allowed, resolve or names()), "Yojohan/test")
    try:
        return await sender.post(url, body, {"Content-Type": "application/json"})
    finally:
        await sender.close()


@pytest.mark.parametrize("address", INSIDE)
async def test_an_address_inside_is_refused_in_an_url_and_behind_a_name(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(Refused):
        await Addresses().check(f"https://{host}/hook")
    with pytest.raises(Refused):
        await Addresses(resolve=names(a_test=[PUBLIC, address])).check("https://a.test/hook")


@pytest.mark.parametrize("address", OUTSIDE)
async def test_an_address_outside_is_good(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    _, found = await Addresses().check(f"https://{host}:8443/hook?a=b")
    assert found == [ipaddress.ip_address(address)]


@pytest.mark.parametrize("url", NO_ADDRESSES)
async def test_what_is_no_address_or_spelled_oddly_is_refused_before_any_name_is_looked_up(url: str) -> None:
    async def never(host: str) -> Sequence[str]:
        raise AssertionError(host)

    with pytest.raises(Refused):
        await Addresses((ipaddress.ip_network("0.0.0.0/0"),), never).check(url)


async def test_a_name_in_other_letters_is_looked_up_as_the_dns_has_it() -> None:
    asked: list[str] = []

    async def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return [PUBLIC]

    await Addresses(resolve=resolve).check("https://тест.example/крюк")
    assert asked == ["xn--e1aybc.example"]
    with pytest.raises((Refused, Unresolved)):
        await Addresses(resolve=names()).check("https://１２７.０.０.１/")


async def test_clear_text_and_private_networks_only_where_they_were_allowed_by_name() -> None:
    resolve = names(a_test=["10.1.2.3"], b_test=["10.1.2.3", PUBLIC], c_test=[PUBLIC])
    home = Addresses((ipaddress.ip_network("10.0.0.0/8"),), resolve)
    await home.check("http://a.test/")
    await home.check("https://b.test/")
    await home.check("http://[::ffff:10.1.2.3]/")
    for url in ("http://b.test/", "http://c.test/", "http://192.168.1.1/", f"http://{PUBLIC}/"):
        with pytest.raises(Refused):
            await home.check(url)


async def test_a_name_without_addresses_or_that_takes_too_long_is_told_from_a_refused_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(host: str) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr("server.adapters.addresses.LOOK_UP_TIMEOUT", 0.05)
    for resolve in (names(), names(a_test=[]), names(a_test=["nonsense"]), hang):
        with pytest.raises(Unresolved):
            await Addresses(resolve=resolve).check("https://a.test/")


async def test_the_system_resolver_knows_localhost_and_that_is_inside() -> None:
    with pytest.raises(Refused):
        await Addresses().check("https://localhost/")


async def test_a_request_goes_to_the_address_that_was_checked_under_its_own_name() -> None:
    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        return web.json_response({"host": request.host, "body": body.decode(), **request.headers}, status=201)

    async with receiver(answer) as port:
        reply = await post(f"http://hooks.test:{port}/a?b=c", names(hooks_test=["127.0.0.1"]), body=b'{"a":1}')
    assert (reply.status, reply.good, reply.error) == (201, True, "")
    said = reply.text
    assert f'"host": "hooks.test:{port}"' in said
    assert '"User-Agent": "Yojohan/test"' in said
    assert '"Accept-Encoding": "identity"' in said


async def test_a_name_that_leads_elsewhere_the_second_time_it_is_asked_for_is_followed_nowhere() -> None:
    reached: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        reached.append(request.host)
        return web.Response()

    async with receiver(answer) as port:
        # Good when it is looked at, inside when it is connected to: there is only one look, and it goes there.
        rebinding = names(a_test=[["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]])
        only_two = (ipaddress.ip_network("127.0.0.2/32"),)
        first = await post(f"http://a.test:{port}/", rebinding, only_two)
        second = await post(f"http://a.test:{port}/", rebinding, only_two)
    assert first.error == "ConnectionRefusedError", "connected to what was checked, where nobody listens"
    assert second.error == "Refused: Leads into a private network."
    assert reached == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_failures_and_nobody_follows_them(status: int) -> None:
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, headers={"Location": f"http://127.0.0.1:{request.url.port}/inside"})

    async with receiver(answer) as port:
        reply = await post(f"http://127.0.0.1:{port}/hook")
    assert (reply.status, reply.good, reply.error, paths) == (status, False, f"Answered {status}.", ["/hook"])


async def test_proxies_and_passwords_of_the_environment_are_not_for_these_requests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with receiver(answer) as port:
        assert (await post(f"http://127.0.0.1:{port}/")).good
    assert seen == [None]


async def test_of_a_long_text_only_the_beginning_is_read_and_less_is_kept() -> None:
    sent: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(10_000):
                await response.write(b"a\x00" + b"\xff" * 8190)
                sent.append(8192)
        except ConnectionError:
            pass
        return response

    async with receiver(answer) as port:
        reply = await post(f"http://127.0.0.1:{port}/")
    assert reply.good
    assert reply.text.startswith("a�")
    assert "\x00" not in reply.text
    assert len(reply.text) <= MOST_KEPT < MOST_READ
    assert sum(sent) < 20_000_000


async def test_a_text_that_does_not_end_does_not_change_what_the_status_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "BODY_TIMEOUT", 0.1)
    forever = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        await response.write(b"begun")
        await forever.wait()
        return response

    async with receiver(answer) as port:
        reply = await post(f"http://127.0.0.1:{port}/")
        forever.set()
    assert (reply.good, reply.text) == (True, "begun")


async def test_whoever_does_not_answer_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "TOTAL_TIMEOUT", 0.2)
    forever = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        await forever.wait()
        return web.Response()

    started = monotonic()
    async with receiver(answer) as port:
        reply = await post(f"http://127.0.0.1:{port}/")
        forever.set()
    assert (reply.status, reply.error) == (None, "No answer in time.")
    assert monotonic() - started < 5


async def test_what_is_no_http_and_what_breaks_off_is_told_in_the_reply() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.test ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reply = await post(f"http://127.0.0.1:{port}/")
    server.close()
    await server.wait_closed()
    assert (reply.status, reply.good) == (None, False)
    assert reply.error in ("ClientResponseError", "ServerDisconnectedError", "ClientOSError", "BadStatusLine")
    # Nobody listens there any more.
    assert (await post(f"http://127.0.0.1:{port}/")).error == "ConnectionRefusedError"


def test_the_client_is_made_with_the_first_request() -> None:
    assert Outgoing(Addresses(), "Yojohan/test")._session is None


def test_the_words_of_an_address_are_kept_as_they_are() -> None:
    assert str(parse("https://example.org:8443/a%2Fb?c=d%26e")) == "https://example.org:8443/a%2Fb?c=d%26e"
