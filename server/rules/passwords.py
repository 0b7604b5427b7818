"""Which passwords are too weak to be taken (OWASP ASVS 2.1). Kinds of characters do not matter, length does."""

from __future__ import annotations

import unicodedata

SHORTEST, LARGEST = 8, 1024

# Of the commonest that ever leaked, those long enough to pass otherwise, in lower case.
COMMON = frozenset(
    """
    password password1 password12 password123 password1234 password12345 passw0rd p@ssw0rd p@ssword pa$$word pa55word
    passwort passwords mypassword newpassword changeme changeme1 changeme123 letmein1 letmein123 welcome1 welcome12
    welcome123 welcome2024 welcome2025 welcome2026 adminadmin admin123 admin1234 admin12345 administrator rootroot
    root1234 toortoor testtest test1234 test12345 testing1 testing123 temp1234 temppass guest123 default1 default123
    qwertyui qwertyuiop qwerty12 qwerty123 qwerty1234 qwerty12345 qwerty123456 qwertyqwerty qwerty00 qwaszx12 qazwsxedc
    qazwsx123 qaz12345 qazxswedc 1qaz2wsx 1qaz2wsx3edc 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y q1w2e3r4 q1w2e3r4t5 q1w2e3r4t5y6
    zaq12wsx zaq1zaq1 zaq1xsw2 1qazxsw2 asdfghjk asdfghjkl asdfasdf asdf1234 asdfqwer zxcvbnm1 zxcvbnm123 zxcvzxcv
    zxcvbnmz 12345678 123456789 1234567890 12345678910 0123456789 01234567 123456780 87654321 987654321 9876543210
    123123123 123321123 12341234 12344321 11223344 1122334455 112233445566 123454321 123456654321 123456123 147258369
    147852369 741852963 159357456 159753456 789456123 963852741 12131415 13131313 11112222 22223333 10203040 12121212
    21212121 23232323 69696969 20202020 19841984 19851985 19861986 19871987 19881988 19891989 19901990 19911991
    iloveyou iloveyou1 iloveyou2 iloveyou123 iloveme1 loveyou1 lovelove loveme12 forever1 sunshine sunshine1 princess
    princess1 princess123 football football1 football123 baseball baseball1 basketball softball volleyball superman
    superman1 spiderman batman123 starwars starwars1 pokemon1 pokemon123 dragon12 dragon123 dragonball monkey12
    monkey123 shadow12 shadow123 master12 master123 michael1 michelle jennifer jessica1 ashley12 charlie1 jordan23
    danielle samantha victoria veronica nicholas alexander alexandra elizabeth benjamin jonathan anthony1 internet
    computer computer1 samsung1 samsung123 mercedes corvette mustang1 porsche1 chelsea1 liverpool liverpool1 barcelona
    arsenal1 manchester redskins steelers yankees1 lakers24 trustno1 whatever whatever1 blink182 metallica nirvana1
    slipknot greenday killer12 killer123 hunter12 hunter123 secret12 secret123 abcdefgh abcdefghi abcd1234 abc12345
    abc123456 abc123abc abcabc123 a1b2c3d4 a1b2c3d4e5 aa123456 aa12345678 aaa11111 a1234567 a12345678 a123456789
    1234abcd 123abc123 123qweasd 123qweasdzxc 123456qwerty 123456aa 123456ab 1234qwer qwer1234 q1234567 q12345678
    asd12345 google12 google123 facebook facebook1 minecraft minecraft1 fortnite naruto123 narutonaruto sasuke123
    onepiece onepiece1 animeanime anime123 yojohan1 yojohan123
    """.split()  # noqa: SIM905 - a list of strings would be four times as long
)


def weakness(password: str, username: str = "", email: str = "") -> str | None:
    """Why this password is not taken for this account, or None."""
    folded = _folded(password)
    if len(password) < SHORTEST:
        return f"A password has at least {SHORTEST} characters."
    if len(password.encode("utf-8", "surrogatepass")) > LARGEST:
        return f"A password has at most {LARGEST} bytes in UTF-8."
    if len(set(folded)) == 1:
        return "A password is more than one character repeated."
    if folded in COMMON:
        return "This is one of the passwords that are tried first."
    return _resemblance(folded, _folded(username), _folded(email).rpartition("@")[0])


def _resemblance(folded: str, username: str, local_part: str) -> str | None:
    """A name in a password adds nothing to it: what is left has to do."""
    for name, what in ((username, "username"), (local_part, "name in the e-mail address")):
        # Names of one or two letters are in every other password.
        rest = folded.replace(name, "") if len(name) >= 3 else folded
        if rest != folded and (len(rest) < SHORTEST or rest in COMMON):
            return f"A password is more than the {what} and a few characters."
    return None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
