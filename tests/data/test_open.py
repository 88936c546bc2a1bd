"""What every stream keeps to, whatever its kind: the same batches wherever one starts, probes apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_data import studies

from widthwise.data import open_stream
from widthwise.errors import InputError
from widthwise.study import EnsembleSettings, RecordSettings, dump_study

KINDS = sorted(studies(Path()))
ONLINE = [kind for kind in KINDS if kind.endswith("online")]
OFFLINE = [kind for kind in KINDS if kind not in ONLINE]
ENDLESS = ("synthetic online", "mnist1d online")


@pytest.fixture
def study(request, tmp_path):
    return studies(tmp_path)[request.param]()


def for_each(kinds):
    return pytest.mark.parametrize("study", kinds, indirect=True)


def rows(inputs) -> list[bytes]:
    """Each sample as bytes, to be compared."""
    return [np.ascontiguousarray(row).tobytes() for row in inputs]


def flat(batches) -> list[bytes]:
    return [row for batch in batches for row in rows(batch.inputs)]


@for_each(KINDS)
def test_batches_are_the_same_wherever_one_starts(study):
    stream = open_stream(study)
    every = list(stream.batches(0))
    assert len(every) == study.training.steps
    for start in (1, 3, 6, 7, 20):
        later = list(stream.batches(start))
        assert len(later) == max(0, study.training.steps - start)
        for ours, theirs in zip(every[start:], later, strict=True):
            np.testing.assert_array_equal(ours.inputs, theirs.inputs)
            np.testing.assert_array_equal(ours.answers, theirs.answers)


@for_each(KINDS)
def test_widths_and_seeds_of_networks_change_nothing_and_neither_does_opening_again(study):
    other = replace(study, ensemble=EnsembleSettings(widths=(128,), seed=9, seeds=1))
    ours, theirs = open_stream(study), open_stream(other)
    assert ours.digest() == theirs.digest() and ours.probes.digest() == theirs.probes.digest()
    assert flat(ours.batches(0)) == flat(theirs.batches(0))


@for_each(KINDS)
def test_samples_have_the_form_of_the_probes(study):
    stream = open_stream(study)
    probes, batch = stream.probes, next(stream.batches(2))
    assert batch.inputs.shape == (4, *stream.shape) and batch.inputs.dtype == probes.inputs.dtype
    assert (
        batch.answers.shape == (4, *probes.answers.shape[1:]) and batch.answers.dtype == probes.answers.dtype
    )
    if study.network.kind == "transformer":
        assert batch.inputs.dtype == batch.answers.dtype == np.int32
        np.testing.assert_array_equal(batch.inputs[:, 1:], batch.answers[:, :-1])
        assert stream.outputs > max(batch.inputs.max(), probes.inputs.max())
    else:
        assert batch.answers.shape == (4, stream.outputs)
    if stream.shape[1:]:
        assert batch.inputs.dtype == batch.answers.dtype == np.float32


@for_each(OFFLINE)
def test_each_epoch_sees_each_training_point_once_and_no_held_out_one(study):
    stream = open_stream(study)
    seen = flat(stream.batches(0))
    count = len(set(seen))
    assert count == (11 if study.data.kind == "arrays" else study.data.train)
    epochs = [seen[k : k + count] for k in range(0, len(seen) - count + 1, count)]
    assert len(epochs) >= 2 and all(len(set(epoch)) == count for epoch in epochs)
    assert epochs[0] != epochs[1], "each epoch has an order of its own"
    probes = rows(stream.probes.inputs)
    assert stream.probes.train == 3 and set(probes[:3]) <= set(seen)
    held = 1 if study.data.kind == "arrays" else study.data.test
    assert set(probes[3:]).isdisjoint(seen) and len(set(probes)) == len(probes) == 3 + held


@for_each(ONLINE)
def test_an_online_stream_sees_each_sample_once_and_no_held_out_one(study):
    stream = open_stream(study)
    seen = flat(stream.batches(0))
    assert len(set(seen)) == len(seen) == 28
    assert stream.probes.train == 0 and len(stream.probes.inputs) == study.data.test
    assert set(rows(stream.probes.inputs)).isdisjoint(seen)


@for_each([kind for kind in KINDS if "cifar5m" not in kind and kind != "arrays"])
def test_another_seed_gives_another_order(study):
    other = replace(study, data=replace(study.data, seed=5))
    assert flat(open_stream(study).batches(0)) != flat(open_stream(other).batches(0))


@for_each([kind for kind in ONLINE if kind not in ENDLESS])
def test_more_steps_than_there_are_samples_are_refused_with_the_number_possible(study):
    many = replace(study, training=replace(study.training, steps=1000))
    with pytest.raises(InputError, match=r"at most (\d+) steps") as caught:
        list(open_stream(many).batches(0))
    possible = int(str(caught.value).split("at most ")[1].split()[0])
    exact = replace(study, training=replace(study.training, steps=possible))
    seen = flat(open_stream(exact).batches(0))
    assert len(set(seen)) == len(seen) == 4 * possible
    with pytest.raises(InputError, match=f"at most {possible} steps"):
        more = replace(study, training=replace(study.training, steps=possible + 1))
        list(open_stream(more).batches(0))


@for_each(OFFLINE)
def test_a_batch_larger_than_the_training_set_is_refused_and_full_batches_take_all(study):
    large = replace(study, training=replace(study.training, batch=12))
    with pytest.raises(InputError, match=r"training\.batch"):
        open_stream(large)
    full = open_stream(replace(study, training=replace(large.training, optimizer="gd")))
    batches = list(full.batches(2))
    assert len(batches) == 5
    assert set(rows(batches[0].inputs)) == set(flat(open_stream(study).batches(0)))
    assert rows(batches[0].inputs) == rows(batches[4].inputs)


@for_each([kind for kind in OFFLINE if kind not in ("arrays", "mnist1d")])
def test_too_many_training_points_are_refused_with_the_number_there_are(study):
    with pytest.raises(InputError, match=r"only \d+|has \d+ (images|windows)"):
        open_stream(replace(study, data=replace(study.data, train=999)))


@for_each(["folder", "cifar5m", "tokens", "characters", "arrays", "huggingface texts"])
def test_the_home_of_nobody_is_no_place(study):
    lost = replace(study, data=replace(study.data, path="~nobody-of-this-name/x"))
    with pytest.raises(
        InputError, match=r"~nobody-of-this-name/x: (No such|there is no|the data set cannot)"
    ):
        open_stream(lost)
    assert "~nobody-of-this-name/x" in dump_study(lost, folder=study.folder)


@for_each(["folder", "mnist1d", "tokens", "huggingface texts"])
def test_something_must_be_watched(study):
    bare = replace(
        study, data=replace(study.data, test=0), record=RecordSettings(train_points=0, quantities=("loss",))
    )
    with pytest.raises(InputError, match=r"data\.test"):
        open_stream(bare)


@for_each(OFFLINE)
def test_all_training_points_may_be_recorded(study):
    stream = open_stream(replace(study, record=replace(study.record, train_points=10**6)))
    assert set(rows(stream.probes.inputs[: stream.probes.train])) == set(flat(stream.batches(0)))
