"""Colors that everyone can tell apart."""

import itertools
import re

import numpy as np
import pytest

from widthwise.report.page import FOLDER
from widthwise.report.palette import WIDTHS_DARK, WIDTHS_LIGHT, theme, width_colors

# Machado et al. (2009), severity 1, on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(color):
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(matrix) @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("anchors", [WIDTHS_LIGHT, WIDTHS_DARK], ids=["light", "dark"])
def test_four_widths_differ_for_every_eye(anchors, blindness):
    """CIE76 distance of at least 15; 2.3 is just noticeable side by side."""
    seen = [lab(np.array(BLINDNESS[blindness]) @ linear(color)) for color in width_colors(anchors, 4)]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_curves_stand_out_from_their_background(mode):
    """WCAG contrast of graphics: at least 3, for the palest width 2.5."""
    colors = theme(4)[mode]

    def luminance(name):
        return float(np.array([0.2126, 0.7152, 0.0722]) @ linear(colors[name]))

    for name in ("ink", "w0", "w1", "w2", "w3"):
        bright, dark = sorted((luminance(name), luminance("paper")), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) > (2.5 if name == "w0" else 3.0), name


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_lightness_orders_the_widths(mode):
    lightness = [lab(linear(theme(6)[mode][f"w{i}"]))[0] for i in range(6)]
    assert lightness == sorted(lightness, reverse=mode == "light")


PAIRS = [("ink", "page"), ("muted", "page"), ("soft", "card"), ("muted", "card"), ("accent", "page")]
PAIRS += [(mood, f"{mood}-bg") for mood in ("good", "bad", "open")] + [("soft", "rule")]


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_words_of_the_page_have_the_contrast_that_readers_need(mode, text, ground):
    """4.5, as WCAG asks of small text."""
    style = (FOLDER / "style.css").read_text()
    roots = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", roots[mode]))
    lights = [float(linear(colors[name]) @ [0.2126, 0.7152, 0.0722]) for name in (text, ground)]
    assert (max(lights) + 0.05) / (min(lights) + 0.05) >= 4.5
