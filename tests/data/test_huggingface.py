"""The package `datasets` on small local files: fields, vocabulary, and errors that name the data set."""

import json
import sys

import numpy as np
import pytest
from small_data import picture, sentence, stream_study, write_documents, write_images

from widthwise.data import open_stream
from widthwise.errors import InputError

ORDERS = pytest.mark.parametrize("order", ["offline", "online"])


def study_of(folder, text=True, **data):
    both = {"kind": "huggingface", "path": "h", "train": 9, "test": 4, "sequence_length": 5, "size": 8}
    return stream_study(folder, text, **{**both, **data})


@ORDERS
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.txt"])
def test_texts_of_every_local_format_are_words(tmp_path, order, name):
    path = tmp_path / "h" / name
    path.parent.mkdir()
    texts = [sentence(20, k) for k in range(15)]
    match path.suffix:
        case ".jsonl" | ".json":
            path.write_text("\n".join(json.dumps({"id": 1, "text": text}) for text in texts))
        case ".csv":
            path.write_text("text\n" + "\n".join(texts))
        case ".parquet":
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.table({"content": texts}), path)
        case ".txt":
            path.write_text("\n".join(texts))
    stream = open_stream(study_of(tmp_path, order=order))
    # All words that are trained on are in the vocabulary, and "<eos>"; "<unk>" is for others.
    assert stream.outputs <= 50 + 2
    batches = list(stream.batches(0))
    assert all(batch.inputs.shape == (4, 5) and (batch.inputs >= 0).all() for batch in batches)
    assert len(np.unique(np.concatenate([batch.inputs for batch in batches]))) > 30


def test_windows_are_those_of_the_shuffled_documents_laid_end_to_end(tmp_path):
    write_documents(tmp_path / "h" / "train.jsonl", 15)
    write_documents(tmp_path / "h" / "test.jsonl", 15)
    stream = open_stream(study_of(tmp_path, order="online", batch=1, steps=52, vocabulary=1000))
    seen = [np.append(b.inputs[0], b.answers[0, -1]) for b in stream.batches(0)]
    assert len(seen) == 15 * 21 // 6
    laid = np.concatenate(seen).tolist()
    assert len(set(laid[20::21])) == 1, "each document of 20 words ends with the same token"

    def form(words):
        """Words numbered by first occurrence, so that texts and tokens can be compared."""
        order = list(dict.fromkeys(words))
        return tuple(order.index(word) for word in words)

    documents = [form(sentence(20, k).split()) for k in range(15)]
    found = [documents.index(form(laid[k : k + 20])) for k in range(0, 14 * 21, 21)]
    assert len(set(documents)) == 15 and len(set(found)) == 14 and found != sorted(found)


def test_a_validation_split_gives_the_held_out_windows(tmp_path):
    write_documents(tmp_path / "h" / "train.jsonl", 15)
    (tmp_path / "h" / "validation.jsonl").write_text(json.dumps({"text": "w1 w2 w3 w4 w5 " * 20}))
    stream = open_stream(study_of(tmp_path, order="online"))
    assert all(len(set(window)) == 5 for window in stream.probes.inputs.tolist())
    assert len(set(stream.probes.inputs.ravel().tolist())) == 5


@ORDERS
def test_images_and_labels_belong_together(tmp_path, order):
    from PIL import Image

    for channel, name in enumerate(("blue", "green", "red")):
        (tmp_path / "h" / name).mkdir(parents=True)
        for i in range(11):
            image = picture(100 * channel + i, (8, 9, 3)) // 4
            image[..., channel] += 190
            Image.fromarray(image).save(tmp_path / "h" / name / f"{i}.png")
    stream = open_stream(study_of(tmp_path, False, order=order, train=20))
    for batch in [*stream.batches(0), stream.probes]:
        np.testing.assert_array_equal(
            batch.inputs.mean(axis=(1, 2)).argmax(axis=1), batch.answers.argmax(axis=1)
        )
    labels = np.concatenate([batch.answers for batch in stream.batches(0)]).argmax(axis=1)
    assert len(set(labels.tolist())) == 3, "shuffled"


@ORDERS
def test_a_damaged_image_is_named(tmp_path, order):
    write_images(tmp_path / "h", ("ant", "bee"), 16)
    (tmp_path / "h" / "bee" / "3.png").write_bytes((tmp_path / "h" / "bee" / "2.png").read_bytes()[:99])
    with pytest.raises(InputError, match=r"bee/3\.png: no image that can be read"):
        list(open_stream(study_of(tmp_path, False, order=order, train=28)).batches(0))


@ORDERS
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"title": "x"}\n{"title": "y"}', r"has the columns \['title'\]"),
        ("a.jsonl", b'{"text": 3}\n{"text": 4}', "holds int, no text"),
        ("a.jsonl", b'{"text": "a b"}\n{"text": ', "cannot be read"),
        ("a.jsonl", b'{"text": "z\xf6lf"}\n', "cannot be read"),
        ("a.parquet", b"PAR1 but no more", "cannot be read"),
        ("notes.xyz", b"", "cannot be read"),
        ("a.jsonl", b"", r"are its files empty\?"),
        ("a.jsonl", b'{"text": "a b"}\n', r"has only 0 samples for it"),
    ],
)
def test_what_is_no_text_is_refused_naming_the_data_set(tmp_path, capfd, order, name, content, message):
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(open_stream(study_of(tmp_path, order=order)).batches(0))
    assert str(tmp_path / "h") in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr().err == "", "the package speaks beside us"


def test_texts_are_no_images_for_other_networks(tmp_path):
    write_documents(tmp_path / "h" / "a.jsonl", 15)
    with pytest.raises(InputError, match=r"one of \['image', 'img'\] is needed"):
        open_stream(study_of(tmp_path, False))


def test_a_name_that_cannot_be_had_is_refused_without_the_network(tmp_path):
    with pytest.raises(InputError, match="nobody/nothing: the data set cannot be read"):
        open_stream(study_of(tmp_path, path="nobody/nothing"))


def test_code_that_comes_with_a_data_set_is_not_run(tmp_path):
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "h.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(InputError, match="cannot be read"):
        open_stream(study_of(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_a_missing_package_is_said_with_the_way_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r'pip install "widthwise\[huggingface\]"'):
        open_stream(study_of(tmp_path))


def test_a_changed_file_changes_the_digest(tmp_path):
    write_documents(tmp_path / "h" / "a.jsonl", 60)
    before = open_stream(study_of(tmp_path, order="online")).digest()
    write_documents(tmp_path / "h" / "a.jsonl", 61)
    assert open_stream(study_of(tmp_path, order="online")).digest() != before
