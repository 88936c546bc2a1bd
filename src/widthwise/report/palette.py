"""Colors of the figures by role, for light and dark pages, told apart by lightness as well as hue."""

import numpy as np

# From the narrowest width to the widest; lightness moves steadily toward that of theory's ink, so that the
# order survives any color blindness and print in gray.
WIDTHS_LIGHT = ("#d98d06", "#cc3b5c", "#7b42ac", "#1f2a76")
WIDTHS_DARK = ("#b8741a", "#dd6577", "#c79bf0", "#aee0f5")
SEQUENTIAL = (
    "#00224e",
    "#123570",
    "#3b496c",
    "#575d6d",
    "#707173",
    "#8a8678",
    "#a59c74",
    "#c3b369",
    "#e1cc55",
    "#fee838",
)
DIVERGING_LIGHT = ("#16507e", "#5b94bd", "#b5d3e4", "#f6f5f1", "#f2c29b", "#cf7a3d", "#8a3d0d")
DIVERGING_DARK = ("#7cc4f5", "#3f86b8", "#244a66", "#181c22", "#6b3f1d", "#c06f2e", "#ffb06b")


def theme(widths: int, layers: int = 1) -> dict[str, dict[str, object]]:
    """For "light" and "dark" the value of every role: "ink", "muted", "grid", "paper", "w0", "w1", ...

    "w0" is the narrowest of `widths`, "l0" the first of `layers`.
    """
    light = {"ink": "#14171c", "muted": "#6b7280", "grid": "#e6e8ec", "paper": "#ffffff", "hover": "#ffffff"}
    light |= {"good": "#1d6b45", "bad": "#9c2b23", "open": "#7a5a10"}
    dark = {"ink": "#f2f4f7", "muted": "#98a1ae", "grid": "#2b313a", "paper": "#161a20", "hover": "#22272f"}
    dark |= {"good": "#7fd6a4", "bad": "#ff9d93", "open": "#ebc86c"}
    return {
        "light": {**light, **_widths(WIDTHS_LIGHT, widths, layers), **_scales(DIVERGING_LIGHT)},
        "dark": {**dark, **_widths(WIDTHS_DARK, widths, layers), **_scales(DIVERGING_DARK)},
    }


def width_colors(anchors: tuple[str, ...], count: int) -> list[str]:
    """`count` colors along the anchors, the first and last of them included."""
    channels = np.array([[int(a[i : i + 2], 16) for i in (1, 3, 5)] for a in anchors], dtype=float)
    at = np.linspace(0, len(anchors) - 1, max(count, 1)) if count > 1 else np.array([len(anchors) - 1.0])
    mixed = np.stack([np.interp(at, np.arange(len(anchors)), c) for c in channels.T], axis=1)
    return ["#" + "".join(f"{round(v):02x}" for v in color) for color in mixed]


def _widths(anchors: tuple[str, ...], count: int, layers: int) -> dict[str, str]:
    # "first" and "last" serve figures with two kinds of points instead of widths.
    named = {"first": anchors[1], "last": anchors[-1]}
    by_width = {f"w{i}": color for i, color in enumerate(width_colors(anchors, count))}
    return by_width | {f"l{i}": color for i, color in enumerate(width_colors(anchors, layers))} | named


def _scales(diverging: tuple[str, ...]) -> dict[str, list[list[object]]]:
    return {
        name: [[i / (len(colors) - 1), color] for i, color in enumerate(colors)]
        for name, colors in (("sequential", SEQUENTIAL), ("diverging", diverging))
    }
