"""The study in one sentence, whatever the network."""

import json

import pytest

from widthwise.report import write_report
from widthwise.report.study_words import study_words
from widthwise.study import DataSettings, EnsembleSettings, NetworkSettings, Study, TrainingSettings

IMAGES = DataSettings(kind="image_folder", path="images")
TEXT = DataSettings(kind="text")
ENTROPY = TrainingSettings(optimizer="adamw", loss="cross_entropy", reduction="mean", steps=51)
SGD = TrainingSettings(optimizer="sgd", reduction="mean", steps=2)


def carrying(study):
    return lambda records: records.assign_attrs(study=study)


def study_with(data, network, training):
    return Study(name="a", data=data, network=network, training=training, ensemble=EnsembleSettings())


WORDS = {
    "A tanh network of one hidden layer at richness 1.0, trained on the digits 3, 8 (16 training and 0 test "
    "points); 99 steps of gradient descent at learning rate 0.1": Study(name="a"),
    "An erf network of 3 hidden layers at richness 2.0": study_with(
        DataSettings(), NetworkSettings(hidden_layers=3, activation="erf", richness=2.0), TrainingSettings()
    ),
    "A convolutional network of 4 layers (relu) at richness 1.0, trained on images; 1 step of": study_with(
        IMAGES, NetworkSettings(kind="cnn", hidden_layers=4, activation="relu"), SGD
    ),
    "A residual network of 5 residual blocks (relu) at richness 1.0, trained on images": study_with(
        IMAGES, NetworkSettings(kind="resnet", blocks=(2, 3), activation="relu"), SGD
    ),
    "A transformer of 2 blocks (gelu) at richness 1.0, trained on text; 50 steps of AdamW at": study_with(
        TEXT, NetworkSettings(kind="transformer", hidden_layers=2, activation="gelu"), ENTROPY
    ),
    "A transformer of one block (gelu)": study_with(
        TEXT, NetworkSettings(kind="transformer", hidden_layers=1, activation="gelu"), ENTROPY
    ),
}


@pytest.mark.parametrize(("words", "study"), WORDS.items(), ids=range(len(WORDS)))
def test_every_kind_of_network_is_called_what_it_is(words, study):
    assert study_words(study).startswith(words)


def test_the_page_says_it(make_run):
    study = study_with(IMAGES, NetworkSettings(kind="resnet", blocks=(1,), activation="relu"), SGD)
    page = write_report(make_run(theory=False, change=carrying(json.dumps(study.tables())))).read_text()
    assert "A residual network of one residual block (relu) at richness 1.0, trained on images" in page
    assert "hidden layer" not in page.split("</header>")[0]


@pytest.mark.parametrize("study", ["7", "null", "[" * 100_000, '{"network": {"kind": 3}}'])
def test_what_is_no_study_is_named_and_passed_by(make_run, study):
    page = write_report(make_run(theory=False, change=carrying(study))).read_text()
    assert "Networks of several widths." in page
    assert "its attribute `study` is no study" in page.replace("<code>", "`").replace("</code>", "`")
