"""What theory treats: every key in the way is named, and no other."""

import pytest

import widthwise as ww
from widthwise.errors import InputError
from widthwise.infinite_width import has_theory, reasons_without_theory, require_theory

OUTSIDE = {
    "data.kind": {"data": ww.DataSettings(kind="mnist1d")},
    "network.parametrization": {"network": ww.NetworkSettings(parametrization="ntk")},
    "network.readout": {"network": ww.NetworkSettings(readout="zero")},
    "training.optimizer": {"training": ww.TrainingSettings(optimizer="adam")},
    "training.schedule": {"training": ww.TrainingSettings(schedule="cosine")},
    "training.warmup": {"training": ww.TrainingSettings(warmup=3)},
    "training.clip": {"training": ww.TrainingSettings(clip=1.0)},
    "training.weight_decay": {"training": ww.TrainingSettings(weight_decay=0.1)},
}


@pytest.mark.parametrize("key", OUTSIDE)
def test_a_study_outside_names_its_key_and_no_other(key):
    study = ww.Study(name="outside", **OUTSIDE[key])
    assert [reason.split("`")[1] for reason in reasons_without_theory(study)] == [key]
    assert not has_theory(study)


def test_several_keys_are_all_named_in_one_refusal():
    training = ww.TrainingSettings(optimizer="adam", schedule="cosine", weight_decay=0.1)
    data = ww.DataSettings(kind="synthetic", order="online", test=1)
    study = ww.Study(name="outside", training=training, data=data, network=ww.NetworkSettings(readout="zero"))
    with pytest.raises(InputError) as caught:
        require_theory(study)
    for key in ("data.order", "readout", "optimizer", "schedule", "weight_decay"):
        assert key in str(caught.value)
    assert "data.kind" not in str(caught.value) and "widthwise train" in str(caught.value)


def test_the_default_study_is_inside():
    assert has_theory(ww.Study(name="inside")) and require_theory(ww.Study(name="inside")) is None
