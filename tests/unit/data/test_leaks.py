"""An item is found however it is written, and told where it stands."""

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.data.leak_kit import NORMAL, plant, ways
from yulan.data.benchmarks import Item
from yulan.data.leaks import Index, Match
from yulan.data.words import in_raw, normal, places, plain_words, simplified
from yulan.recipe.corpus import Decontaminate

RULES = Decontaminate(ngram=8, shortest=4)
BEGIN = "which statement best explains why photosynthesis"


def item(identity: str, question: str, *choices: str, answer: int = 0, passage: str = "") -> Item:
    begin = f"{passage}\nQuestion: " if passage else "Question: "
    return Item(id=identity, question=f"{begin}{question}\nAnswer:", choices=choices, answer=answer)


LONG = item(
    "long",
    "Which statement best explains why photosynthesis is the foundation of most food webs?",
    "Sunlight is the source of energy for nearly all ecosystems.",
    "Most ecosystems are found on land.",
)
SHORT = item("short", "Which planet is red?", "Venus", "Mars", answer=1)
TINY = item("tiny", "Why?", "So")
CHINESE = item("zh", "中华人民共和国的首都是哪一座城市？", "上海", "北京", answer=1)
CHINESE_SHORT = item("zh-short", "水的沸点是？", "一百度", "五十度")
READ = item(
    "read", "is mars the fourth planet", "yes", "no", passage="Mars -- Mars, the fourth planet from the Sun, is cold and dry."
)
ITEMS = [LONG, SHORT, TINY, CHINESE, CHINESE_SHORT, READ]


@pytest.fixture(scope="module")
def index() -> Index:
    return Index({"quiz": ITEMS}, RULES)


@pytest.mark.parametrize(
    ("text", "identity", "kind", "field", "span"),
    [
        (
            "He asked: WHICH statement best—explains why photosynthesis is the key?",
            "long",
            "ngram",
            "question",
            f"{BEGIN} is the",
        ),
        (
            "x sunlight is the source of energy for nearly all y",
            "long",
            "ngram",
            "answer",
            "sunlight is the source of energy for nearly all",
        ),
        (
            "most food webs?\n\nSunlight is the source of nothing",
            "long",
            "ngram",
            "question+answer",
            "most food webs sunlight is the source of",
        ),
        ("Quiz: which planet is red? -- Mars!", "short", "whole", "question+answer", "which planet is red mars"),
        (
            "which planet is red? The right answer: Mars.",
            "short",
            "whole",
            "question+answer",
            "which planet is red the right answer mars",
        ),
        (
            "Which planet is red? (a) Mars (b) Venus",
            "short",
            "whole",
            "question+answer",
            "which planet is red a mars",
        ),
        (
            "Which planet is red? Choose one, and think well: Venus or Mars",
            "short",
            "whole",
            "question+choices",
            "which planet is red choose one and think well venus or mars",
        ),
        ("whichplanet is r ed Mars", "short", "whole", "question+answer", "whichplanet is r ed mars"),
        ("请问：中华 人民共和国的首都，是哪里", "zh", "ngram", "question", "中 华 人 民 共 和 国 的 首 都 是 哪"),
        ("中華人民共和國的首都，是哪一座城市", "zh", "whole", "question", "中 华 人 民 共 和 国 的 首 都 是 哪 一 座 城 市"),
        ("水的沸点是？答案：一百度。", "zh-short", "whole", "question+answer", "水 的 沸 点 是 答 案 一 百 度"),
        (
            "mars the fourth planet from the sun is cold",
            "read",
            "ngram",
            "passage",
            "mars the fourth planet from the sun is cold",
        ),
    ],
)
def test_a_stretch_or_the_whole_of_an_item_is_found(index: Index, text: str, identity: str, kind: str, field: str, span: str):
    [[match]] = index.search([text])
    assert (match.item, match.kind, match.field, match.span) == (identity, kind, field, span)
    assert plain_words(text[match.start : match.end]) == span.split(" ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "which statement best explains why photosynthesis is",
        "Which planet is red? Venus",
        "Which planet is red? Venus. And far below, in another chapter of quite another book: Mars.",
        "somewhich planet is red Mars",
        "Which planet is red? Marsupials",
        "Which planet is reddish? Mars",
        "Why? So.",
        "which statement best explains some why photosynthesis is the",
        "Sunlight is the source of energy for almost all ecosystems",
        "wrong answers are no leak: most ecosystems are found on land",
        "水的沸点是沸水的点",
    ],
)
def test_less_than_that_is_not(index: Index, text: str):
    assert index.search([text]) == [[]]


def test_a_match_does_not_run_from_one_text_into_the_next(index: Index):
    texts = ["which statement best explains", "why photosynthesis is the foundation", "which planet is red", "mars", "venus mars"]
    assert index.search(texts) == [[]] * 5


def test_the_longest_stretch_is_told(index: Index):
    [[match]] = index.search([f"{BEGIN} is the. Again: {BEGIN} is the foundation of most"])
    assert match.span == f"{BEGIN} is the foundation of most"


def test_a_whole_part_says_more_than_a_stretch(index: Index):
    [[match]] = index.search([f"{LONG.parts['question']} Nobody knows."])
    assert (match.kind, match.field, match.start) == ("whole", "question", 0)


def test_an_index_travels_without_its_tables(index: Index):
    make, made_of = index.__reduce__()
    assert make(*made_of).grams == index.grams


def test_no_items_match_nothing():
    assert Index({}, RULES).search(["any text at all"]) == [[]]


def test_items_too_short_to_be_looked_for_are_counted_apart(index: Index):
    assert (len(ITEMS), index.searched) == (6, {"quiz": 5})


@pytest.mark.parametrize("level", NORMAL)
def test_every_leak_of_another_form_is_found(index: Index, level: str):
    sought = [each for each in ITEMS if each is not TINY]
    texts = plant(sought, ways(["word"], ["字"]), seed=1)[level]
    found = [[match.item for match in matches] for matches in index.search(texts)]
    assert all(each.id in ids for each, ids in zip(sought, found, strict=True))


def made_up(seed: int, count: int) -> list[Item]:
    """Questions of three to forty words with two to five choices, every third one Chinese, every fourth about a passage."""
    draw = random.Random(seed)
    letters, signs = "abcdefghijklmnoprstuvwy", "天地人山水火风雨日月星云花鸟鱼虫大小多少上下左右东西南北春夏秋冬"

    def text(words: int, unspaced: bool) -> str:
        if unspaced:
            return "".join(draw.choices(signs, k=words + 3))
        return " ".join("".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(words))

    found = []
    for n in range(count):
        unspaced = n % 3 == 0
        choices = [text(draw.randint(2, 12), unspaced) for _ in range(draw.randint(2, 5))]
        passage = "" if n % 4 else text(draw.randint(14, 60), unspaced)
        asked = text(draw.randint(3, 40), unspaced) + ("？" if unspaced else "?")
        found.append(item(f"m{n}", asked, *choices, answer=draw.randrange(len(choices)), passage=passage))
    return found


@pytest.mark.parametrize("level", NORMAL)
@pytest.mark.parametrize("rules", [RULES, Decontaminate(ngram=10, shortest=6), Decontaminate(ngram=13, shortest=6)])
def test_form_hides_no_item_of_any_length(rules: Decontaminate, level: str):
    known = made_up(1, 240)
    index = Index({"quiz": known}, rules)
    sought = [each for each in known if Index({"quiz": [each]}, rules).searched["quiz"]]
    assert len(sought) > 200
    found = index.search(plant(sought, ways(["word"], ["字"]), seed=2)[level])
    assert [each.id for each, row in zip(sought, found, strict=True) if each.id not in {match.item for match in row}] == []


def test_an_item_stands_where_it_is_said_to(index: Index):
    text = "“ﬁrst” é — ＷＨＩＣＨ pla\u00adnet\u200b is\u3000ＲＥＤ？\nMars…"
    [[match]] = index.search([text])
    assert match == Match(
        benchmark="quiz",
        item="short",
        kind="whole",
        field="question+answer",
        start=11,
        end=len(text) - 1,
        span="which planet is red mars",
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_words_lie_where_they_are_said_to_lie(text: str):
    for word, (start, end) in zip(plain_words(text), places(text), strict=True):
        assert normal(text)[start:end] == word
        begin, behind = in_raw(text, start, end)
        assert 0 <= begin < behind <= len(text)
        # A ligature may give letters to two words, so the text there may hold more; never less.
        assert word in normal(text[begin:behind]) or not unicodedata.is_normalized("NFKC", text)


def test_no_simplified_character_is_a_traditional_one():
    table = simplified()
    assert len(table) == 3446
    assert not set(table) & set(table.values())
