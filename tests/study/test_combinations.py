"""Values that are each valid and do not go together are refused in words that say what to change."""

import pytest

from widthwise.errors import InputError
from widthwise.study import (
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TrainingSettings,
)

TEXT = DataSettings(kind="text")
LANGUAGE = TrainingSettings(optimizer="adam", loss="cross_entropy", reduction="mean")
TRANSFORMER = NetworkSettings(kind="transformer", base_width=32)
NESTED = EnsembleSettings(coupling="nested")
MEAN = TrainingSettings(reduction="mean")
REFUSED = {
    "a transformer on digits": (
        {"network": TRANSFORMER, "training": LANGUAGE},
        '`network.kind` = "transformer": a "transformer" reads texts',
    ),
    "a cnn on sound-like numbers": (
        {"data": DataSettings(kind="mnist1d"), "network": NetworkSettings(kind="cnn")},
        'reads images, and data.kind = "mnist1d" has none',
    ),
    "heads that do not divide": (
        {
            "data": TEXT,
            "network": TRANSFORMER,
            "training": LANGUAGE,
            "ensemble": EnsembleSettings(widths=(34,)),
        },
        "`network.heads` = 4: width 34 is no multiple of it: change either",
    ),
    "a warm-up longer than training": (
        {"training": TrainingSettings(optimizer="sgd", steps=5, warmup=5)},
        "`training.warmup` = 5: the rate would rise beyond the last of 5 steps: lower it",
    ),
    "falls without their schedule": (
        {"training": TrainingSettings(optimizer="sgd", decay_steps=(3,))},
        'the rate does not fall at steps with training.schedule = "constant"',
    ),
    "a schedule without its falls": (
        {"training": TrainingSettings(optimizer="sgd", schedule="step")},
        "needs the steps at which the rate falls, such as",
    ),
    "a family of convolutions": (
        {"network": NetworkSettings(kind="cnn"), "ensemble": NESTED, "training": MEAN},
        '`ensemble.coupling` = "nested": of nested networks there are perceptrons only: use "independent"',
    ),
    "a family with frozen feedback": (
        {"training": TrainingSettings(learning_rule="feedback_alignment"), "ensemble": NESTED},
        '`ensemble.coupling` = "nested": frozen feedback is not nested',
    ),
    "widths that do not share out the widest": (
        {"ensemble": EnsembleSettings(widths=(32, 48, 64), coupling="nested")},
        "`ensemble.widths` = [32, 48, 64]: nested networks share out the 64 neurons of the widest: give",
    ),
    "more nested networks than can be told apart": (
        {"ensemble": EnsembleSettings(widths=(1, 256), seeds=1000, coupling="nested")},
        "`ensemble.seeds` = 1000: that is 256,000 nested networks of width 1, and 256,000 neurons: at most",
    ),
    "every step of very many": (
        {"training": TrainingSettings(optimizer="sgd", steps=10**8), "record": RecordSettings(steps="all")},
        'that would be 100,000,000 of them: give "log"',
    ),
    "every step of very many by default": (
        {"training": TrainingSettings(steps=10**6 + 1)},
        "that would be 1,000,001 of them",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_is_refused_with_advice(case):
    tables, said = REFUSED[case]
    with pytest.raises(InputError) as caught:
        Study(name="a", **tables)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_as_many_recorded_steps_as_can_be_are_allowed():
    training = TrainingSettings(optimizer="sgd", steps=10**6)
    assert Study(name="a", training=training, record=RecordSettings(steps="all")).training.steps == 10**6
    assert len(Study(name="a", training=TrainingSettings(optimizer="sgd", steps=10**8)).recorded_steps()) < 80
