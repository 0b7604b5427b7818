"""Who counts as one viewer, and that nothing leads back to them."""

from __future__ import annotations

from server.http.client import prefix
from server.rules.viewers import anonymous_viewer, signed_in_viewer

SALT, OTHER = b"s" * 32, b"t" * 32


def test_a_viewer_is_a_network_and_a_browser_under_the_salt_of_the_day() -> None:
    viewer = anonymous_viewer(SALT, "203.0.113.0/24", "Firefox")
    assert viewer == anonymous_viewer(SALT, "203.0.113.0/24", "Firefox")
    others = {
        anonymous_viewer(OTHER, "203.0.113.0/24", "Firefox"),
        anonymous_viewer(SALT, "203.0.114.0/24", "Firefox"),
        anonymous_viewer(SALT, "203.0.113.0/24", "Chrome"),
        anonymous_viewer(SALT, "", "203.0.113.0/24\nFirefox"),
    }
    assert len(others | {viewer}) == 5


def test_numbers_fit_a_bigint_and_keep_clear_of_signed_in_users() -> None:
    numbers = [anonymous_viewer(SALT, f"10.0.{n}.0/24", "x") for n in range(500)]
    assert all(0 <= number < 2**63 for number in numbers)
    assert max(numbers) > 2**61
    assert signed_in_viewer(7) == -7


def test_only_the_first_512_characters_of_a_browser_count_and_broken_ones_break_nothing() -> None:
    assert anonymous_viewer(SALT, "n", "x" * 512 + "a") == anonymous_viewer(SALT, "n", "x" * 512 + "b")
    assert anonymous_viewer(SALT, "n", "\udc80broken") >= 0


def test_networks_are_slash_24_and_slash_48_and_ipv4_inside_ipv6_is_ipv4() -> None:
    assert prefix("203.0.113.77") == prefix("::ffff:203.0.113.1") == "203.0.113.0/24"
    assert prefix("2001:db8:5:1::77") == prefix("2001:db8:5:ffff::1") == "2001:db8:5::/48"
    assert prefix("fe80::1%eth0") == "fe80::/48"
    assert prefix("") == prefix("nonsense") == "unknown"
