"""Words or characters numbered by how often they occur."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"


class Vocabulary(NamedTuple):
    """`numbers`, the token of each provisional number; `names` of the tokens, the last maybe unknown."""

    numbers: Int[np.ndarray, " provisional"]
    names: list[str]
    unknown: int


def number_words(texts: Iterable[str], known: dict[str, int]) -> Int[np.ndarray, " position"]:
    """Words by the order of first occurrence; new ones are entered into `known`.

    Words are separated by blanks of any kind, and the end of a line is the word "<eos>".

    >>> number_words(["a b a\\n", "c"], {}).tolist()
    [0, 1, 0, 2, 3]
    """
    parts = [
        np.array([known.setdefault(word, len(known)) for word in words_of(text)], np.int32) for text in texts
    ]
    return np.concatenate([np.zeros(0, np.int32), *parts])


def words_of(text: str) -> list[str]:
    """Words, with "<eos>" for each end of a line."""
    return text.replace("\n", f" {END_OF_LINE} ").split()


def most_frequent(counts: Int[np.ndarray, " provisional"], names: list[str], size: int) -> Vocabulary:
    """The `size` most frequent of the names, by frequency, ties by their order; names of count 0 left out.

    If any name is left out it becomes "<unk>", which is one of the kept names or one more at the end.

    >>> most_frequent(np.array([1, 3, 1]), ["a", "b", "c"], 2)
    Vocabulary(numbers=array([1, 0, 2], dtype=int32), names=['b', 'a', '<unk>'], unknown=2)
    """
    ranked = np.argsort(-counts, kind="stable")
    kept = ranked[counts[ranked] > 0][:size]
    chosen = [names[n] for n in kept]
    if len(kept) < len(names) and UNKNOWN not in chosen:
        chosen.append(UNKNOWN)
    unknown = chosen.index(UNKNOWN) if UNKNOWN in chosen else -1
    numbers = np.full(len(names), unknown, np.int32)
    numbers[kept] = np.arange(len(kept))
    return Vocabulary(numbers, chosen, unknown)
