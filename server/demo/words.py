"""The words of the demo: invented names that can be spelt in every script, plain nouns, genres and tags."""

from __future__ import annotations

from typing import NamedTuple

# Latin, hiragana, Cyrillic, Chinese; chosen so that no name of any real work comes out of them.
SYLLABLES: tuple[tuple[str, str, str, str], ...] = (
    ("ze", "ぜ", "дзэ", "泽"), ("mu", "む", "му", "穆"), ("ro", "ろ", "ро", "罗"), ("pi", "ぴ", "пи", "皮"),
    ("nyo", "にょ", "нё", "纽"), ("ge", "げ", "гэ", "格"), ("wa", "わ", "ва", "瓦"), ("bu", "ぶ", "бу", "布"),
    ("myu", "みゅ", "мю", "缪"), ("do", "ど", "до", "多"), ("fu", "ふ", "фу", "富"), ("re", "れ", "рэ", "雷"),
    ("po", "ぽ", "по", "波"), ("yu", "ゆ", "ю", "尤"), ("gi", "ぎ", "ги", "吉"), ("ne", "ね", "нэ", "内"),
    ("tsu", "つ", "цу", "楚"), ("za", "ざ", "дза", "扎"), ("be", "べ", "бэ", "贝"), ("mo", "も", "мо", "莫"),
    ("ryo", "りょ", "рё", "廖"), ("pa", "ぱ", "па", "帕"), ("ni", "に", "ни", "尼"), ("ho", "ほ", "хо", "霍"),
    ("gu", "ぐ", "гу", "古"), ("so", "そ", "со", "索"), ("pyu", "ぴゅ", "пю", "彪"), ("bo", "ぼ", "бо", "博"),
)  # fmt: skip


class Noun(NamedTuple):
    """A noun in five languages; `of` is the Russian genitive."""

    romaji: str
    ja: str
    zh: str
    en: str
    ru: str
    of: str


NOUNS: tuple[Noun, ...] = tuple(
    Noun(*line.split())
    for line in """
hoshi 星 星辰 Star Звезда звезды
umi 海 大海 Sea Море моря
mori 森 森林 Forest Лес леса
kaze 風 风 Wind Ветер ветра
yuki 雪 雪 Snow Снег снега
tsuki 月 月亮 Moon Луна луны
hana 花 花 Flower Цветок цветка
tobira 扉 门扉 Door Дверь двери
tokei 時計 时钟 Clock Часы часов
toshokan 図書館 图书馆 Library Библиотека библиотеки
ressha 列車 列车 Train Поезд поезда
tani 谷 山谷 Valley Долина долины
hashi 橋 桥 Bridge Мост моста
tegami 手紙 信 Letter Письмо письма
uta 歌 歌 Song Песня песни
yume 夢 梦 Dream Сон сна
kage 影 影子 Shadow Тень тени
kagami 鏡 镜子 Mirror Зеркало зеркала
shima 島 岛屿 Island Остров острова
kawa 川 河流 River Река реки
ishi 石 石头 Stone Камень камня
hikari 光 光 Light Свет света
neko 猫 猫 Cat Кот кота
kitsune 狐 狐狸 Fox Лиса лисы
ryuu 竜 龙 Dragon Дракон дракона
majo 魔女 魔女 Witch Ведьма ведьмы
kishi 騎士 骑士 Knight Рыцарь рыцаря
ie 家 家 House Дом дома
niwa 庭 庭院 Garden Сад сада
machi 町 小镇 Town Город города
aki 秋 秋天 Autumn Осень осени
natsu 夏 夏天 Summer Лето лета
yoru 夜 夜晚 Night Ночь ночи
asa 朝 早晨 Morning Утро утра
ame 雨 雨 Rain Дождь дождя
kumo 雲 云 Cloud Облако облака
tori 鳥 鸟 Bird Птица птицы
fune 船 船 Ship Корабль корабля
toudai 灯台 灯塔 Lighthouse Маяк маяка
gakkou 学校 学校 School Школа школы
kissaten 喫茶店 咖啡店 Café Кафе кафе
hon 本 书 Book Книга книги
""".strip().splitlines()
)

# The most frequent first: the draw is skewed towards the beginning.
GENRES: tuple[str, ...] = (
    "Comedy", "Action", "Fantasy", "Drama", "Adventure", "Romance", "Sci-Fi", "Slice of Life", "Supernatural", "School",
    "Mystery", "Kids", "Magic", "Mecha", "Music", "Sports", "Historical", "Psychological", "Thriller", "Horror",
    "Military", "Detective", "Space", "Parody", "Martial Arts", "Idols", "Super Power", "Iyashikei", "Cooking",
    "Racing", "Mythology", "Workplace", "Time Travel", "Survival", "Games", "Samurai", "Vampires", "Medical",
    "Avant Garde", "Documentary",
)  # fmt: skip

PLACES = (
    "School", "City", "Library", "Railway", "Kitchen", "Theatre", "Harbour", "Workshop", "Festival", "Observatory",
)  # fmt: skip
KINDS = (
    "Rural", "Floating", "Haunted", "Underwater", "Snowbound", "Clockwork", "Forgotten", "Desert", "Secret", "Night",
    "Mountain", "Orbital", "Travelling", "Ruined", "Miniature", "Forest", "Island", "Enchanted", "Abandoned", "Royal",
)  # fmt: skip
# Two hundred; every kind with the commonest place comes first.
TAGS: tuple[str, ...] = tuple(f"{kind} {place}" for place in PLACES for kind in KINDS)

SENTENCES: tuple[str, ...] = (
    "{name} has never left the town of {other}, until the last {a} of the year opens a way to the {b}.",
    "Nobody remembers who built the {b}, and {name} is the only one who asks.",
    "When the {a} falls silent, {name} and {other} have one {c} left to find out why.",
    "A {a}, a {b} and a promise made to {other}: that is all {name} takes along.",
    "Every evening the {c} of {other} tells {name} another half of the same story.",
    "It begins with a broken {a} and ends where the {b} meets the {c}.",
    "{name} живёт там, где кончается карта, и бережёт единственное, что осталось: {ru}.",
    "Однажды утром {name} находит то, чего быть не может, и имя этому — {ru}.",
    "{other} обещает вернуться, но дорога домой теперь другая, и ведёт по ней только {ru}.",
    "Говорят, что {ru} слышит каждого; {name} решает проверить.",
)

USER_WORDS = (
    "quiet", "amber", "lunar", "paper", "velvet", "copper", "misty", "sleepy", "brisk", "hollow", "ivory", "sunny",
    "frosty", "gentle", "rusty",
)  # fmt: skip
USER_NOUNS = (
    "heron", "lantern", "badger", "teapot", "comet", "otter", "pebble", "willow", "sparrow", "kettle", "marten",
    "thimble", "walnut", "beetle", "compass", "magpie", "biscuit", "anchor", "acorn", "puddle",
)  # fmt: skip
