"""What is said of networks that are not finite tells a rate that is too high from data that are too large."""

import numpy as np

from widthwise.training.cell import report_divergence


class Heard:
    def __init__(self):
        self.messages = []

    def start(self, label, total, parts=()): ...

    def advance(self, amount=1): ...

    def say(self, message):
        self.messages.append(message)


def said(diverged_at):
    heard = Heard()
    report_divergence(8, np.array(diverged_at), heard)
    return heard.messages


def test_healthy_networks_are_not_spoken_of():
    assert said([-1, -1]) == []


def test_the_rate_is_to_blame_for_what_happens_in_training_and_only_for_that():
    (late,) = said([-1, 7, 3])
    assert late.startswith("width 8: 2 of 3 networks diverged, first at step 3") and "learning_rate" in late
    (early,) = said([0, -1])
    assert "1 of 2 networks are not finite before the first step" in early and "learning_rate" not in early
