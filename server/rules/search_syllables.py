"""The syllables of Japanese: hiragana and Hepburn's Latin letters."""

from __future__ import annotations

_TABLE = """
あ a | い i | う u | え e | お o | か ka | き ki | く ku | け ke | こ ko | が ga | ぎ gi | ぐ gu | げ ge | ご go
さ sa | し shi | す su | せ se | そ so | ざ za | じ ji | ず zu | ぜ ze | ぞ zo | た ta | ち chi | つ tsu | て te
と to | だ da | ぢ ji | づ zu | で de | ど do | な na | に ni | ぬ nu | ね ne | の no | は ha | ひ hi | ふ fu
へ he | ほ ho | ば ba | び bi | ぶ bu | べ be | ぼ bo | ぱ pa | ぴ pi | ぷ pu | ぺ pe | ぽ po | ま ma | み mi
む mu | め me | も mo | や ya | ゆ yu | よ yo | ら ra | り ri | る ru | れ re | ろ ro | わ wa | ゐ wi | ゑ we
を wo | ん n | きゃ kya | きゅ kyu | きょ kyo | ぎゃ gya | ぎゅ gyu | ぎょ gyo | しゃ sha | しゅ shu | しょ sho
じゃ ja | じゅ ju | じょ jo | ちゃ cha | ちゅ chu | ちょ cho | にゃ nya | にゅ nyu | にょ nyo | ひゃ hya
ひゅ hyu | ひょ hyo | びゃ bya | びゅ byu | びょ byo | ぴゃ pya | ぴゅ pyu | ぴょ pyo | みゃ mya | みゅ myu
みょ myo | りゃ rya | りゅ ryu | りょ ryo | ゔ vu | ゔぁ va | ゔぃ vi | ゔぇ ve | ゔぉ vo | ふぁ fa | ふぃ fi
ふぇ fe | ふぉ fo | てぃ ti | でぃ di | とぅ tu | どぅ du | ちぇ che | しぇ she | じぇ je | うぃ wi | うぇ we
うぉ wo | つぁ tsa | つぃ tsi | つぇ tse | つぉ tso | でゅ dyu | ふゅ fyu | いぇ ye | ゔゅ vyu | ぁ a | ぃ i
ぅ u | ぇ e | ぉ o | ゃ ya | ゅ yu | ょ yo | ゎ wa
"""
HEPBURN = dict(pair.split() for line in _TABLE.strip().splitlines() for pair in line.split("|"))
