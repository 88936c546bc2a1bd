"""Odd logs: each is a clear message, an honest "too little data" or "broke", or is read for what it says;
never a confident wrong number."""

import json

import numpy as np
import pytest

import widthwise as ww
from widthwise.errors import InputError

WIDTHS = (64, 128, 256, 512, 1024)
STEPS = (1, 3, 10, 30, 100, 300, 1000, 3000)


def rows(widths=WIDTHS, seeds=3, steps=STEPS, gap=lambda n: 0.3 * (n / 64) ** -0.7, noise=1e-3):
    """[width, seed, step, loss] with losses 1 + 1/2 t^-1/2 + gap(N)."""
    rng = np.random.default_rng(0)
    return [
        [n, e, t, 1 + 0.5 * t**-0.5 + gap(n) + noise * rng.standard_normal()]
        for n in widths
        for e in range(seeds)
        for t in steps
    ]


def without(keep):
    return [row for row in rows() if keep(*row)]


def changed(change):
    return [change(*row) for row in rows()]


def spike(n, e, t, loss):
    return [n, e, t, loss + 5.0 * ((n, e, t) == (256, 1, 300))]


# Name: rows, then what is to come of it: a message, or verdicts of which one must be right, and words in why
# or in the notes.
LOGS = {
    "missing steps": (
        without(lambda n, e, t, _: (n, t) not in ((128, 30), (512, 100))),
        {"held"},
        "interpolated",
    ),
    "a tail of NaN": (
        changed(lambda n, e, t, x: [n, e, t, "nan" if n == 64 and e == 0 and t > 300 else x]),
        {"held"},
        "1 of 15 networks diverged",
    ),
    "all of a width NaN": (
        changed(lambda n, e, t, x: [n, e, t, "nan" if n == 1024 and t > 10 else x]),
        {"held", "broke"},
        "no network of width 1024 is whole",
    ),
    "steps that differ by width": (
        changed(lambda n, e, t, x: [n, e, t + (n == 128), x]),
        {"held"},
        "interpolated",
    ),
    "no common steps": (changed(lambda n, e, t, x: [n, e, t + 10_000 * (n == 64), x]), "no step in common"),
    "duplicates": ([*rows(), rows()[0]], "comes a second time"),
    "a spike": (changed(spike), {"held", "too little data"}, ""),
    "one width": (rows(widths=(64,)), {"too little data"}, "1 width"),
    "two widths": (rows(widths=(64, 128)), {"too little data"}, "2 widths"),
    "widths within 10 %": (
        rows(widths=(1000, 1025, 1050, 1075, 1100)),
        {"too little data"},
        "differ by 10 %",
    ),
    "losses that rise with width": (rows(gap=lambda n: 0.05 * np.log(n)), {"broke"}, "rises with width"),
    "losses that rise along training": (
        [[n, e, t, 5 - x] for n, e, t, x in rows(gap=lambda n: -20 / n)],
        {"held"},
        "",
    ),
    "steps as floats": (changed(lambda n, e, t, x: [n, e, f"{t}.0", x]), {"held"}, ""),
    "steps that are no whole numbers": (
        changed(lambda n, e, t, x: [n, e, t + 0.5, x]),
        "which is no whole number",
    ),
    "one seed, few widths": (rows(widths=WIDTHS[:4], seeds=1), {"too little data"}, "needs 5"),
    "losses that do not change": (
        rows(gap=lambda n: 0, noise=0, steps=STEPS[:1]),
        {"too little data"},
        "constant",
    ),
    "infinite losses": (changed(lambda n, e, t, x: [n, e, t, "inf"]), "no network has a finite"),
    "words for losses": (changed(lambda n, e, t, x: [n, e, t, "many"]), "which is no number"),
    "negative widths": (changed(lambda n, e, t, x: [-n, e, t, x]), "`width` is -64"),
    "the widest is trained otherwise": (
        rows(gap=lambda n: 0.3 * (n / 64) ** -0.7 + 0.2 * (n == 1024)),
        {"broke"},
        "left-out widths",
    ),
    "noise alone": (rows(gap=lambda n: 0, noise=0.3), {"held", "too little data"}, ""),
}


def write(path, content):
    lines = [",".join(map(str, row)) for row in content]
    path.write_text("\n".join(["width,seed,step,loss", *lines]) + "\n")
    return path


def test_there_are_twenty():
    assert len(LOGS) >= 20


@pytest.mark.parametrize("name", LOGS)
def test_an_odd_log_is_told_honestly(name, tmp_path):
    content, expected, *words = LOGS[name]
    path = write(tmp_path / "log.csv", content)
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            ww.forecast(ww.open_runs(path), widths=[2048])
        return
    found = ww.forecast(ww.open_runs(path), widths=[2048])
    assert found.attrs["verdict"] in expected, found.attrs["why"]
    assert words[0] in found.attrs["why"] + " ".join(json.loads(found.attrs["notes"]))


@pytest.mark.slow
def test_a_million_rows_are_read_and_foretold(tmp_path):
    steps = np.arange(1, 1_000_000 // 15 + 2)
    rng = np.random.default_rng(0)
    with (tmp_path / "log.csv").open("w") as file:
        file.write("width,seed,step,loss\n")
        for n in WIDTHS:
            for e in range(3):
                losses = (
                    1 + 0.5 * steps**-0.5 + 0.3 * (n / 64) ** -0.7 + 1e-3 * rng.standard_normal(len(steps))
                )
                file.writelines(f"{n},{e},{t},{x:.7g}\n" for t, x in zip(steps, losses, strict=True))
    found = ww.forecast(ww.open_runs(tmp_path / "log.csv"), widths=[2048])
    truth = 1 + 0.5 * found["step"] ** -0.5 + 0.3 * (2048 / 64) ** -0.7
    assert found.attrs["verdict"] == "held" and found.sizes["step"] <= 1000
    assert ((found["loss_low"] <= truth) & (truth <= found["loss_high"])).mean() > 0.9
