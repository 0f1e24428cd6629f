"""Words as Gopher, C4 and FineWeb were measured with: punctuation and contractions are words of their own.

FineWeb's figures were taken with spaCy's English rules. These are the same rules for what is frequent, cut once for each
distinct piece between spaces and remembered, so a text costs one look-up a piece.
"""

import re
import threading
import unicodedata
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Gopher, appendix A.1.1."""
REMEMBERED = 1 << 20
"""Distinct pieces that are kept in memory at most."""

_WHOLE = re.compile(
    r"(?:https?://|www\.)\S+[\w/]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:[A-Za-z]\.){1,}[A-Za-z]?\.?|[:;=8][-o']?[()\[\]DPp/\\]"
)
_ABBREVIATED = frozenset(
    """Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. Kans.
    Ky. La. Mar. Mass. Mich. Minn. Miss. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. Sep. Sept. Tenn. Va. Wash. Wis. Adm.
    Bros. co. Co. Corp. Dr. Gen. Gov. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. Ph.D. Prof. Rep. Rev. Sen. St.
    vs. v.s. and/or w/o o'clock ma'am""".split()  # noqa: SIM905 - a wall of quotes
)
_MARKS = r"…,:;!?¿¡()\[\]{}<>_#*&。？！，、；：～·'\"”“`‘´’‚„»«「」『』（）【】《》〈〉—–"
_ICONS = "\u2195-\u21f3\u2300-\u266e\u2670-\u27bf\u2800-\u28ff\u2b00-\u2bff\ufffd©®°"
_OPEN = re.compile(rf"\.\.+|''|[§%=$£€¥{_MARKS}{_ICONS}]|\+(?![0-9])")
_CLOSE = re.compile(
    rf"(?:\.\.+|''|['’][sS]|[{_MARKS}{_ICONS}]"
    r"|(?<=[0-9])(?:\+|[$£€¥]|km²?|cm|mm|kg|mg|[gmkstb]|mb|gb|tb|kb|lb|oz|mph|hz|hpa|%)"
    r"|(?<=[0-9a-zß-öø-ÿ%²+)\]}'\"”’»`_!?,:;-])\.|(?<=[A-ZÀ-ÖØ-Þ][A-ZÀ-ÖØ-Þ])\.)\Z"
)
_INSIDE = re.compile(
    r"(\.\.+|…|(?<=[0-9])[+\-*^](?=[0-9-])|(?<=[a-zß-ÿ'\"])\.(?=[A-ZÀ-Þ'\"])|(?<=[^\W\d_]),(?=[^\W\d_])"
    rf"|(?<=[^\W_])(?:--+|[-–—~])(?=[^\W\d_])|(?<=[^\W_])[:<>=/](?=[^\W\d_])|[{_ICONS}])"
)
_CONTRACTED = re.compile(
    r"(i|you|he|she|it|we|they|who|what|when|where|why|how|there|that|this|these|those)(['’](?:ll|ve|re|d|m|s))"
    r"|(ca|could|do|does|did|had|may|might|must|need|ought|sha|should|wo|would|ai|are|is|was|were|have|has|dare)(n['’]t)"
    r"|(can)(not)|(let)(['’]s)|(gon)(na)|(got)(ta)",
    re.IGNORECASE,
)
_JOINED = frozenset(("cannot", "gonna", "gotta"))
_ENDS = frozenset("!.?؟۔।。！．？｡‼‽⁇⁈⁉")


def cut(piece: str) -> list[str]:
    """The words of a piece between spaces.

    >>> cut("(don't,")
    ['(', 'do', "n't", ',']
    """
    before: list[str] = []
    after: list[str] = []
    while piece:
        if piece.isalpha() and piece.isascii() and piece.lower() not in _JOINED:
            return [*before, piece, *reversed(after)]
        if piece in _ABBREVIATED or _WHOLE.fullmatch(piece):
            return [*before, piece, *reversed(after)]
        if match := _CONTRACTED.fullmatch(piece):
            return [*before, *(part for part in match.groups() if part), *reversed(after)]
        if match := _OPEN.match(piece):
            before.append(match[0])
            piece = piece[match.end() :]
        elif match := _CLOSE.search(piece):
            after.append(match[0])
            piece = piece[: match.start()]
        else:
            break
    return [*before, *(part for part in _INSIDE.split(piece) if part), *reversed(after)]


@cache
def _is_mark(letter: str) -> bool:
    return letter in "$+<=>^`|~" or unicodedata.category(letter)[0] in "PC"


def _is_punctuation(word: str) -> bool:
    return all(unicodedata.category(letter)[0] == "P" for letter in word)


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Words of several texts, one after the other."""

    ids: Ints
    """(words,) Equal words have equal ids."""
    bounds: Ints
    """(texts + 1,) First word of each text, and the end."""

    def total(self, values: npt.NDArray[np.generic]) -> Ints:
        """Sum over each text of one value a word; int64 (texts,)."""
        sums = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
        made: Ints = sums[self.bounds[1:]] - sums[self.bounds[:-1]]
        return made

    def only(self, texts: Ints) -> "Words":
        """The words of some of the texts."""
        sizes = self.bounds[texts + 1] - self.bounds[texts]
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        return Words(ids=self.ids[np.repeat(self.bounds[texts] - bounds[:-1], sizes) + np.arange(bounds[-1])], bounds=bounds)

    def owner(self) -> Ints:
        """Number of the text that each word is of; int64 (words,)."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))


class _Pieces(dict[str, int]):
    """Number of each piece seen; a new one is cut."""

    def __init__(self, lexicon: "Lexicon") -> None:
        super().__init__()
        self.lexicon = lexicon

    def __missing__(self, piece: str) -> int:
        number = self[piece] = self.lexicon.add(piece)
        return number


class Lexicon:
    """Every distinct word met, with what rules ask of it."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._numbers: dict[str, int] = {}
        self._pieces = _Pieces(self)
        self._parts, self._starts = array("q"), array("q", [0])
        self._lengths, self._flags = array("q"), array("b")
        self._kinds: list[str] = []
        self._read: dict[str, Ints] = {}

    def add(self, piece: str) -> int:
        kinds = ""
        for word in cut(piece):
            number = self._numbers.setdefault(word, len(self.words))
            if number == len(self.words):
                self.words.append(word)
                self._lengths.append(len(word))
                self._flags.append(3 if word.isalpha() else any(map(str.isalpha, word)) + 2 * (not all(map(_is_mark, word))))
            kinds += "N" if word.isalnum() else "E" if word in _ENDS else "" if _is_punctuation(word) else "N"
            self._parts.append(number)
        self._kinds.append(kinds)
        self._starts.append(len(self._parts))
        return len(self._starts) - 2

    def read(self, texts: Sequence[str]) -> Words:
        """The words of texts; those of the batch before are remembered, so that a chain of rules cuts once."""
        found = []
        for text in texts:
            pieces = self._read.get(text)
            if pieces is None:
                pieces = self._read[text] = np.fromiter(map(self._pieces.__getitem__, text.split()), np.int64)
            found.append(pieces)
        pieces = np.concatenate([np.empty(0, np.int64), *found])
        starts, parts = np.frombuffer(self._starts, np.int64), np.frombuffer(self._parts, np.int64)
        sizes = starts[pieces + 1] - starts[pieces]
        ends = np.concatenate([[0], np.cumsum(sizes)])
        ids = parts[np.repeat(starts[pieces] - ends[:-1], sizes) + np.arange(ends[-1])] if len(parts) else np.empty(0, np.int64)
        bounds = ends[np.concatenate([[0], np.cumsum([len(each) for each in found], dtype=np.int64)])]
        return Words(ids=ids, bounds=bounds)

    def forget(self) -> None:
        """A batch ends: its texts go, and once there are too many pieces they too."""
        self._read.clear()
        if len(self._pieces) > REMEMBERED:
            _local.__dict__.clear()

    def lengths(self, words: Words) -> Ints:
        made: Ints = np.array(self._lengths, np.int64)[words.ids]
        return made

    def flags(self, words: Words) -> npt.NDArray[np.int8]:
        """Of each word; 1: it has a letter, 2: it is more than marks."""
        made: npt.NDArray[np.int8] = np.array(self._flags, np.int8)[words.ids]
        return made

    def stops(self, words: Words) -> Ints:
        """How many different stop words each text has; int64 (texts,)."""
        numbers = [self._numbers[word] for word in STOP_WORDS if word in self._numbers]
        owner, seen = words.owner(), np.zeros((len(words.bounds) - 1, len(numbers)), bool)
        for column, number in enumerate(numbers):
            seen[owner[words.ids == number], column] = True
        made: Ints = seen.sum(axis=1, dtype=np.int64)
        return made

    def sentences(self, line: str) -> int:
        """Sentences of a line: one more for each word that follows an end."""
        return 1 + "".join([self._kinds[self._pieces[piece]] for piece in line.split()]).count("EN")


_local = threading.local()


def lexicon() -> Lexicon:
    """This thread's own: Daft may judge two batches at a time."""
    if not hasattr(_local, "lexicon"):
        _local.lexicon = Lexicon()
    found: Lexicon = _local.lexicon
    return found
