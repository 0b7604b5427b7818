"""What the demo's users say: remarks and answers in many languages, with emoji, and sentences of reviews by tone."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from server.demo.chance import Weighted, pick


class Language(NamedTuple):
    """What is said in a language; `joint` stands between two sentences."""

    joint: str
    remarks: tuple[str, ...]
    answers: tuple[str, ...]


# {m} is a minute, {n} a number of episodes or evenings.
LANGUAGES: dict[str, Language] = {
    "ru": Language(" ", (
        "Лучшая серия за весь сезон.", "Пересматриваю уже в {n}-й раз и всё ещё нахожу новое.",
        "На {m}-й минуте у меня мурашки по коже.", "Кто-нибудь знает, что за песня звучит на {m}-й минуте?",
        "Сюжет провис, но художники просто молодцы.", "Ёлки-палки, вот это поворот!", "Жду продолжение уже {n} лет…",
        "Не понимаю, за что такой низкий рейтинг.", "Фон нарисован так, что хочется там жить.",
    ), (
        "Согласен полностью.", "А мне, наоборот, понравилось.", "Подожди ещё {n} серии — всё объяснят.",
        "Спасибо, теперь понятно!", "Это же отсылка к первой части.", "Нет, там было совсем иначе.",
    )),
    "en": Language(" ", (
        "Watched {n} episodes in one evening, no regrets.", "The score at {m}:07 is worth the whole series.",
        "I don't usually cry, but here we are.", "Is it me, or did the budget go into one single scene?",
        "The manga <3 was slower, this is better paced.", "Why does nobody talk about the background art?",
        "Dropped it at first, came back {n} weeks later & glad I did.", "That ending… I need a walk.",
        '"Just one more", I said, {n} episodes ago.',
    ), (
        "Same here.", "Hard disagree, but I see where you come from.", "Give it {n} more episodes.",
        "Thanks, I had missed that!", "Source? I can't find it anywhere.", "You are not alone.",
    )),
    "ja": Language("", (
        "{n}話まで一気に見てしまいました。", "{m}分あたりの作画が本当にすごい。", "音楽だけでも見る価値があります。",
        "続きが待ちきれない！", "背景がきれいで、何度も止めて見ました。", "正直、前半は少し退屈でした。",
    ), (
        "わかります。", "私は逆に好きでした。", "あと{n}話だけ見てください。",
        "ありがとうございます、やっと理解できました。",
    )),
    "zh": Language("", (
        "一口气看了{n}集，根本停不下来。", "第{m}分钟的配乐太好听了。", "画面很美，可惜剧情有点拖。",
        "结局让我想了很久。", "有没有人和我一样喜欢那只猫？", "已经重看第{n}遍了。",
    ), ("同感。", "我倒觉得还不错。", "再看{n}集你就明白了。", "谢谢解释！")),
    "ko": Language(" ", (
        "하루 만에 {n}화까지 다 봤어요.", "{m}분쯤 나오는 노래 제목 아시는 분?", "작화가 정말 아름답습니다.",
        "결말이 너무 아쉬워요.",
    ), ("저도요!", "저는 반대로 좋았어요.", "{n}화만 더 보세요.")),
    "es": Language(" ", (
        "¡Qué final! Llevo {n} días pensando en él.", "La música del minuto {m} es preciosa.",
        "El guion flojea, pero los personajes lo salvan.", "¿Soy el único que ya lo ha visto {n} veces?",
    ), ("Totalmente de acuerdo.", "A mí me pasó lo contrario.", "Dale {n} episodios más.")),
    "de": Language(" ", (
        "Schön gezeichnet, aber die Auflösung überzeugt mich nicht.", "Ab Minute {m} wird es großartig.",
        "{n} Folgen am Stück – morgen bin ich müde.",
    ), ("Sehe ich genauso.", "Für mich war das der Höhepunkt.", "Danke für den Hinweis!")),
    "ar": Language(" ", (
        "أجمل حلقة حتى الآن.", "شاهدته {n} مرات ولم أمل منه.", "الموسيقى رائعة جدا.",
    ), (
        "أوافقك الرأي.", "شكرا لك!",
    )),
    "hi": Language(" ", ("यह कड़ी सबसे अच्छी थी।", "{n} बार देख चुका हूँ।"), ("बिल्कुल सही।", "धन्यवाद!")),
    "th": Language(" ", ("ดูรวดเดียว {n} ตอนเลย", "ภาพสวยมาก เพลงก็เพราะ"), ("เห็นด้วยเลย", "ขอบคุณนะ")),
    "vi": Language(" ", (
        "Nhạc ở phút {m} hay tuyệt vời.", "Xem lại lần thứ {n} rồi mà vẫn khóc.",
    ), (
        "Mình cũng nghĩ vậy.", "Cảm ơn bạn!",
    )),
}  # fmt: skip
SPOKEN = Weighted(
    {"ru": 30, "en": 27, "ja": 12, "zh": 9, "ko": 6, "es": 6, "de": 4, "ar": 2, "hi": 1, "th": 1, "vi": 2}
)
# Some are one character to a reader and several code points to a machine.
EMOJI = (
    "😂", "😭", "🔥", "❤️", "👏", "✨", "🥲", "🎉", "👀", "🙏", "😱", "🍿", "🐈‍⬛", "👍🏽", "🇯🇵", "👩‍🚀", "🏳️‍🌈",
    "👨‍👩‍👧", "5️⃣",
)  # fmt: skip
HELD = (
    "All episodes without ads: http://episodes.example/free", "Смотри тут www.serii.example/vse — бесплатно",
    "全集下载 https://xiazai.example/all",
)  # fmt: skip
HIDDEN = ("Whoever likes this has no brain.", "Куплю аккаунт с историей, пишите в личку.", "first!!!!!!!!!!!!!!!!")

# Sentences of reviews: good, mixed, bad.
REVIEWS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "ru": (" ", (
        "Редкий случай, когда после финала хочется сразу начать сначала.",
        "Герои ошибаются, взрослеют и говорят как живые люди.", "Музыка не заполняет тишину, а бережёт её.",
        "Каждый кадр продуман: свет, погода, даже чашки на столе.",
        "Режиссёр доверяет зрителю и ничего не разжёвывает.",
    ), (
        "Первая половина тянется, зато вторая искупает почти всё.",
        "Рисовка неровная: рядом с шедеврами стоят очень простые сцены.",
        "Побочных линий слишком много, и не все они к чему-то приводят.", "Смотреть стоит, но без больших ожиданий.",
    ), (
        "Завязка обещала гораздо больше, чем в итоге показали.", "Диалоги будто переведены с другого языка дважды.",
        "Мотивы героев меняются от серии к серии без причины.", "До конца я дошёл только из упрямства.",
    )),
    "en": (" ", (
        "It takes its time, and every minute of it is earned.",
        "The cast feels like people you could meet on a train.", "Few series know so well when to be quiet.",
        "The colours alone tell half of the story.",
        "I finished it at three in the morning and sat there until the birds began.",
    ), (
        "The idea carries it further than the writing does.",
        "Half of the episodes are wonderful; the other half are filler.",
        "It looks better in motion than in stills, and better in stills than on paper.",
        "Worth a weekend, not a shelf.",
    ), (
        "Whatever it wanted to say got lost on the way.", "Characters do things because the plot needs them done.",
        "The animation saves money in exactly the wrong places.",
        "I kept hoping for the next episode to be the turning point.",
    )),
    "ja": ("", (
        "最後まで見終わった後、もう一度最初から見たくなる作品でした。",
        "登場人物の一人一人に、それぞれの生活が感じられます。", "静かな場面の音の使い方がとても上手です。",
        "色と光だけで気持ちが伝わってきました。",
    ), (
        "前半は少し長く感じましたが、後半の展開には引き込まれました。",
        "作画には波がありますが、良い場面は本当に良いです。", "期待しすぎなければ、十分に楽しめると思います。",
        "脇役の話がもう少し整理されていればよかったです。",
    ), (
        "始まりは面白そうでしたが、話がまとまらないまま終わりました。",
        "人物の行動に理由が見えず、最後まで入り込めませんでした。", "音楽は悪くないだけに、とても残念です。",
        "見続けるのに少し努力が必要でした。",
    )),
    "es": (" ", (
        "Pocas veces una serie me ha acompañado tanto después de terminar.",
        "La música sabe cuándo callar, y eso es raro.", "Cada personaje tiene una vida propia fuera de la pantalla.",
        "El último episodio lo cambia todo sin hacer trampa.",
    ), (
        "Empieza muy bien y se pierde un poco por el camino.", "Tiene escenas inolvidables y otras que sobran.",
        "No es para todo el mundo, pero merece una oportunidad.", "El dibujo es irregular, el guion también.",
    ), (
        "Prometía mucho y se queda en casi nada.", "Los diálogos parecen escritos con prisa.",
        "Me costó llegar hasta el final, y no valió la pena.", "Ni siquiera la música consigue salvarla.",
    )),
}  # fmt: skip
REVIEWED: Weighted[str] = Weighted({"ru": 36, "en": 36, "ja": 16, "es": 12})
SHORTEST = 120


def remark(rng: Random, language: str, *, answer: bool) -> str:
    """A comment of one to three sentences, some with emoji, a few on two lines."""
    spoken = LANGUAGES[language]
    said = [pick(rng, spoken.answers)] if answer else []
    if not answer or rng.random() < 0.4:
        said.append(pick(rng, spoken.remarks))
    if rng.random() < 0.2:
        said.append(pick(rng, spoken.remarks))
    joint = "\n" if rng.random() < 0.05 else spoken.joint
    text = joint.join(dict.fromkeys(said)).format(m=1 + int(rng.random() * 22), n=2 + int(rng.random() * 11))
    if rng.random() < 0.35:
        text += " " + pick(rng, EMOJI, 1.5) * (1 + int(rng.random() ** 4 * 4))
    return text


def review(rng: Random, language: str, rating: int) -> str:
    """A review in the tone of its rating, from 120 characters on."""
    joint, good, mixed, bad = REVIEWS[language]
    tone = good if rating >= 8 else mixed if rating >= 5 else bad
    length, said = SHORTEST + int(rng.random() ** 3 * 700), ""
    while len(said) < length:
        sentence = pick(rng, tone if rng.random() < 0.7 else mixed)
        if not said.endswith(sentence):
            said += (joint if said else "") + sentence
    return said
