"""A question that asks for several things, taken apart, so that each is looked for by itself.

By punctuation and by question words after "and", in the languages that have a list here; what a person asks
in another language, or in a way that no list knows, is searched whole as before.
"""

from __future__ import annotations

import re

# More are searched as one question, and so is a pasted page.
MOST_PARTS = 3
MOST_WORDS = 100
# Fewer words ask for nothing that could be found by itself ("and why?").
FEWEST_WORDS = 3

_AND = "and or und oder sowie et ou y e o u ed en of και ή ve veya"
_ASKING = """
    what which who whom whose when where why how
    was welche welcher welches welchem welchen wer wem wen wessen wann wo woher wohin warum weshalb wieso wie
    wieviel wodurch womit wofür worin worauf
    qui quoi quel quelle quels quelles quand où pourquoi comment combien lequel laquelle
    qué quién quiénes cuál cuáles cuándo dónde cómo cuánto cuánta cuántos cuántas
    che chi cosa quale quali quando dove perché come quanto quanta quanti quante
    qual quais quem onde porquê quantos quantas
    wat welk welke wie wanneer waar waarom hoe hoeveel
    τι ποιος ποια ποιο ποιοι ποιες ποιον ποιων ποιου ποιας πότε πού γιατί πώς πόσο πόση πόσα πόσοι πόσες πόσων
    ne kim hangi nerede nereye neden niçin nasıl kaç
"""
# What may stand between: "and in which year", "et à quelle heure".
_BEFORE = """
    in on at to for from by with of under about since until into
    im am an auf aus bei bis durch für gegen mit nach seit um unter von vor zu zur zum über
    à a au de du des dans depuis en par pour sur avec d
    con desde hasta para por según sobre al del da di su per
    σε από για με ως προς κατά
"""


def _one_of(words: str) -> str:
    return "|".join(map(re.escape, sorted(words.split(), key=len, reverse=True)))


_QUESTION = rf"(?:{_one_of(_ASKING)})\b"
_ASKS = re.compile(rf"\b{_QUESTION}", re.IGNORECASE)
_END = re.compile(r"(?<=[?？؟;\u037e])\s*(?=\S)")
_JOINT = re.compile(
    rf",?\s+(?:{_one_of(_AND)})\s+(?=(?:(?:{_one_of(_BEFORE)})\s+)?¿?{_QUESTION})", re.IGNORECASE
)


def parts_of(question: str) -> list[str]:
    """What is asked, in order; the question alone where it asks for one thing, or for too many."""
    if len(question.split()) > MOST_WORDS:
        return [question]
    found = [part for sentence in _END.split(question) for part in _asked(sentence)]
    found = [part for part in found if _ASKS.search(part)]
    return found if 1 < len(found) <= MOST_PARTS else [question]


def _asked(sentence: str) -> list[str]:
    """A sentence, cut before "and how" where both sides ask and can stand alone."""
    at, parts = 0, []
    for joint in _JOINT.finditer(sentence):
        if _stands_alone(sentence[at : joint.start()]) and _stands_alone(sentence[joint.end() :]):
            parts.append(sentence[at : joint.start()])
            at = joint.end()
    return [part.strip() for part in (*parts, sentence[at:]) if _stands_alone(part)]


def _stands_alone(part: str) -> bool:
    return len(part.split()) >= FEWEST_WORDS and bool(_ASKS.search(part))
