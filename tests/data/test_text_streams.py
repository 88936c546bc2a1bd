"""Words and characters: what is frequent is kept, windows follow the text, other encodings are named."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_data import sentence, stream_study, write_words

from widthwise.data import open_stream
from widthwise.data.text_streams import character_text, numbered_characters, word_text
from widthwise.data.vocabulary import most_frequent, number_words
from widthwise.errors import InputError


def study_of(folder, **data):
    both = {"kind": "tokens", "path": "w", "train": 9, "test": 4, "sequence_length": 5}
    return stream_study(folder, True, **{**both, **data})


@given(st.lists(st.sampled_from("aabcdefgh"), min_size=1), st.integers(2, 9))
def test_the_most_frequent_words_are_kept_ties_by_first_occurrence(words, size):
    known = {}
    numbers = number_words([" ".join(words)], known)
    vocabulary = most_frequent(np.bincount(numbers), list(known), size)
    counted = collections.Counter(words)  # which keeps first occurrences in order, also among ties
    kept = [word for word, _ in counted.most_common(size)]
    assert vocabulary.names == kept + ["<unk>"] * (len(counted) > size)
    expected = [word if word in kept else "<unk>" for word in words]
    assert [vocabulary.names[n] for n in vocabulary.numbers[numbers]] == expected


def test_an_unknown_word_that_the_text_has_itself_is_the_one_for_all():
    known = {}
    numbers = number_words(["<unk> <unk> a a a b"], known)
    vocabulary = most_frequent(np.bincount(numbers), list(known), 2)
    assert vocabulary.names == ["a", "<unk>"]
    assert vocabulary.numbers[numbers].tolist() == [1, 1, 0, 0, 0, 1]


def test_windows_are_the_text_in_pieces_that_do_not_overlap(tmp_path):
    write_words(tmp_path / "w" / "train.tokens", 12)
    write_words(tmp_path / "w" / "test.tokens", 9)
    stream = open_stream(study_of(tmp_path, train=22, vocabulary=1000, order="offline"))
    text = word_text(study_of(tmp_path))
    words = [text.names[n] for n in text.tokens]
    assert words[:12] == [*sentence(10, 0).split(), "<eos>", sentence(1, 1)] and len(words) == 21 * 11
    names = sorted(set(words[: 12 * 11]), key=lambda w: (-words[: 12 * 11].count(w), words.index(w)))
    pieces = {tuple(words[k : k + 6]) for k in range(0, 12 * 11, 6)}
    held = {tuple(words[12 * 11 + k : 12 * 11 + k + 6]) for k in range(0, 96, 6)}
    names += ["<unk>"] * (len(set(words)) > len(names))
    assert stream.outputs == len(names)

    def seen(batch):
        whole = np.concatenate([batch.inputs, batch.answers[:, -1:]], axis=1)
        return {tuple(names[n] for n in row) for row in whole}

    found = set().union(*(seen(batch) for batch in stream.batches(0)))
    assert found == pieces and len(pieces) == 22
    known = {tuple(w if w in names else "<unk>" for w in window) for window in held}
    assert seen(stream.probes) - found <= known


def test_train_files_train_and_test_files_are_held_out(tmp_path):
    folder = tmp_path / "w"
    for name in ("wiki.train.tokens", "wiki.test.tokens", "wiki.valid.tokens", "notes.txt"):
        write_words(folder / name, 12)
    assert word_text(study_of(tmp_path)).train == 132
    (folder / "wiki.train.tokens").unlink()
    assert word_text(study_of(tmp_path)).train == 132, "valid is trained on where train is absent"
    (folder / "wiki.test.tokens").unlink()
    assert word_text(study_of(tmp_path)).train is None
    (folder / "wiki.valid.tokens").unlink()
    with pytest.raises(InputError, match=r"w: holds no \*\.tokens"):
        open_stream(study_of(tmp_path))


def test_held_out_words_do_not_enter_the_vocabulary(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "train.tokens").write_text("a b c " * 30)
    (tmp_path / "w" / "test.tokens").write_text("a new b " * 30)
    stream = open_stream(study_of(tmp_path))
    assert stream.outputs == 4 and (stream.probes.inputs[3:] == 3).any()
    assert not any((batch.inputs == 3).any() for batch in stream.batches(0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("zwölf\n".encode("latin-1"), r"is not UTF-8 .* at byte 16, line 3"),
        ("abc".encode("utf-16"), r"is not UTF-8 .* at byte 14, line 3"),
        ("abc".encode("utf-16-le"), r"zero byte .* at byte 15, line 3"),
        (b"\xc3", r"is not UTF-8 .* at byte 14, line 3"),
        (b"\xed\xa0\x80", r"is not UTF-8 .* at byte 14, line 3"),
    ],
)
@pytest.mark.parametrize("kind", ["tokens", "text"])
@pytest.mark.parametrize("block", [1, 2**22])
def test_another_encoding_is_named_with_its_place(tmp_path, monkeypatch, content, message, kind, block):
    monkeypatch.setattr("widthwise.data.text_streams.BLOCK", block)
    (tmp_path / "w.tokens").write_bytes("höher\nweiter\n".encode() + content)
    with pytest.raises(InputError, match=message) as caught:
        open_stream(study_of(tmp_path, kind=kind, path="w.tokens"))
    assert str(tmp_path / "w.tokens") in str(caught.value)


@pytest.mark.parametrize("content", ["", "a b\n"])
@pytest.mark.parametrize("kind", ["tokens", "text"])
def test_a_text_that_is_too_short_is_refused_with_the_number_of_windows(tmp_path, content, kind):
    (tmp_path / "w.tokens").write_text(content)
    with pytest.raises(InputError, match=r"`data\.test` = 4: .*w\.tokens has 0 windows of 6 tokens"):
        open_stream(study_of(tmp_path, kind=kind, path="w.tokens"))


@pytest.mark.parametrize(("kind", "content"), [("tokens", "\n" * 90), ("text", "a" * 90)])
def test_a_text_of_one_word_leaves_nothing_to_predict(tmp_path, content, kind):
    (tmp_path / "w.tokens").write_text(content)
    with pytest.raises(InputError, match=r"w\.tokens: all of the text to train on is '(<eos>|a)'"):
        open_stream(study_of(tmp_path, kind=kind, path="w.tokens"))


@pytest.mark.parametrize(("kind", "path"), [("tokens", "none"), ("text", "none"), ("text", ".")])
def test_a_missing_text_is_named(tmp_path, kind, path):
    with pytest.raises(InputError, match=r"no such file|cannot be read") as caught:
        open_stream(study_of(tmp_path, kind=kind, path=path))
    assert str(tmp_path) in str(caught.value)


def test_a_mark_at_the_beginning_and_windows_line_ends_are_no_words(tmp_path):
    (tmp_path / "w.tokens").write_bytes("\ufeffa b\r\nc\r\n".encode())
    text = word_text(study_of(tmp_path, path="w.tokens"))
    assert [text.names[n] for n in text.tokens] == ["a", "b", "<eos>", "c", "<eos>"]


def test_the_default_text_is_that_of_the_help_topics(tmp_path):
    from pydoc_data.topics import topics

    study = study_of(tmp_path, kind="text", path=None, train=50)
    text = character_text(study)
    letters = "".join(text.names[n] for n in text.tokens)
    assert letters == "\n".join(topics[name] for name in sorted(topics)) and len(letters) > 100_000
    stream = open_stream(study)
    assert stream.outputs == len(set(letters[: -4 * 6])) and stream.probes.inputs.shape == (7, 5)
    few = open_stream(study_of(tmp_path, kind="text", path=None, train=50, vocabulary=10))
    assert few.outputs == 11


@given(st.text(min_size=1))
def test_characters_are_numbered_by_first_occurrence_whatever_they_are(text):
    numbers, names = numbered_characters(text)
    assert "".join(names[n] for n in numbers) == text
    assert names == list(dict.fromkeys(text))


def test_a_changed_text_changes_the_digest(tmp_path):
    write_words(tmp_path / "w.tokens", 40)
    before = open_stream(study_of(tmp_path, path="w.tokens")).digest()
    content = (tmp_path / "w.tokens").read_text()
    (tmp_path / "w.tokens").write_text(content[:-4] + "z \n")
    assert open_stream(study_of(tmp_path, path="w.tokens")).digest() != before
