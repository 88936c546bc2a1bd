"""Every wrong call is told in one sentence, before anything is trained."""

import re

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
FEW = dict(widths=(8, 16, 32), seeds=2, steps=2)


def refused(right, tmp_path, **changes):
    given = {
        "make": right.make,
        "batches": right.batches,
        "loss": right.loss,
        **FEW,
        "out": tmp_path,
    } | changes
    with pytest.raises(ww.InputError) as error:
        ww.torch.check(given.pop("make"), given.pop("batches"), given.pop("loss"), **given)
    assert not list(tmp_path.glob("width=*/seed=*.zarr"))
    return str(error.value)


def fails_from(width):
    def make(asked):
        if asked >= width:
            raise ValueError(f"{asked} heads\nare too many")
        return torch.nn.Linear(6, asked)

    return make


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"make": lambda width: torch.nn.Linear(6, 1)}, "tensors of the same shapes: build the layers from"),
        ({"make": fails_from(16)}, r"`make\(16\)` failed: ValueError: 16 heads \(.*test_bad_input.py, line"),
        ({"make": lambda width: None}, "`make` returned a NoneType: return the model"),
        ({"make": lambda width: torch.nn.Sequential(*[torch.nn.Linear(6, 6)] * width)}, "same shapes"),
        (
            {"make": lambda w: torch.nn.Sequential(*[torch.nn.Linear(6, 6) for _ in range(w)])},
            "give other tensors",
        ),
        ({"widths": (8, 16)}, "at least 3 different ones"),
        ({"widths": (8, 16, 16)}, "at least 3 different ones"),
        ({"seeds": 1}, "`seeds` = 1: give a whole number from 2 on"),
        ({"batches": iter([])}, "`batches` ran out after 0 of 2 steps: .*a function of the step$"),
        ({"make": lambda n: torch.nn.LazyLinear(n)}, "`weight` has no shape yet .a lazy module.: build it"),
        ({"device": "tpu9"}, "`device` = 'tpu9' failed: .*give a name such as"),
        ({"loss": lambda a, b: 1.0}, "^(?!.*give.*give).*returned float and not a tensor of one number"),
        ({"batches": "text"}, "`batches` is a str"),
        ({"batches": lambda step: 1 / 0}, "`batches` failed: ZeroDivisionError"),
        ({"loss": lambda model, batch: model(batch[0])}, "not a tensor of one number"),
        ({"loss": lambda model, batch: model(batch)}, "`loss` failed: TypeError"),
        ({"loss": lambda a, b: a.nonsense}, "`loss` fails as a function of .model, batch.*and of"),
        ({"optimizer": "adamx"}, "`optimizer` = 'adamx': choose from adadelta"),
        ({"nonsense": 3}, "`nonsense` is no argument of a check, nor of `Recorder`"),
    ],
)
def test_wrong_calls_are_refused(right, tmp_path, changes, told):
    assert re.search(told, refused(right, tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"optimizer": lambda model: torch.optim.SGD([], lr=0.1)},
            "failed: ValueError: optimizer got an empty",
        ),
        (
            {"optimizer": lambda model: torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1)},
            "holds none of the tensors",
        ),
        ({"optimizer": lambda model: 3}, "returned a int"),
        ({"make": fails_from(32)}, r"`make\(32\)` failed"),
        (
            {"loss": lambda model, batch: model(batch[0]).sum() * float("nan")},
            r"the loss of `make\(8\)` is nan before any update",
        ),
        ({"loss": lambda model, batch: model(batch[0]).mean().detach()}, "without a gradient"),
        ({"scheduler": lambda optimizer: 1 / 0}, "`scheduler` failed: ZeroDivisionError"),
    ],
)
def test_what_shows_when_copies_are_trained_is_told_too(right, tmp_path, changes, told):
    given = {
        "make": right.make,
        "batches": right.batches,
        "loss": right.loss,
        **FEW,
        "out": tmp_path,
    } | changes
    with pytest.raises(ww.InputError) as error:
        ww.torch.check(given.pop("make"), given.pop("batches"), given.pop("loss"), **given)
    assert re.search(told, str(error.value))


def test_a_loss_that_overflows_later_is_audited_until_then(right, tmp_path):
    found = ww.torch.check(
        right.make, right.batches, right.loss, optimizer="sgd", lr=1e25, out=tmp_path, **{**FEW, "steps": 4}
    )
    assert any("diverged" in sentence for sentence in found.summary)
