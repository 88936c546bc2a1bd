"""A forecast in words: its headline, and what the page says first."""

import numpy as np
import xarray as xr

from widthwise.report.words import Conclusion
from widthwise.study.stored import read_json
from widthwise.wording import percent

MOODS = {"held": "consistent", "broke": "inconsistent", "too little data": "underpowered"}
ANSWERS = {
    "held": "The forecast held on the widths left out.",
    "broke": "The forecast broke: do not trust it.",
    "too little data": "Too little data for a forecast.",
}


def forecast_words(found: xr.Dataset) -> dict[str, object]:
    """What stands above the figures: verdict, advice, why, and what was left out."""
    attrs = found.attrs
    return {
        "mood": MOODS[attrs["verdict"]],
        "verdict": attrs["verdict"],
        "advice": attrs["advice"],
        "why": f"{attrs['why'][:1].upper()}{attrs['why'][1:]}.",
        "last": last_step(found),
        "optimum": read_json(attrs["optimum"]) if attrs.get("optimum") else None,
        "notes": [str(note) for note in read_json(attrs["notes"])],
    }


def forecast_conclusion(found: xr.Dataset) -> Conclusion:
    """The headline of a page that has a forecast alone."""
    attrs = found.attrs
    mood = {"held": "good", "broke": "bad"}.get(attrs["verdict"], "open")
    return Conclusion(ANSWERS[attrs["verdict"]], attrs["advice"] or attrs["why"], mood)


def last_step(found: xr.Dataset) -> str:
    """The loss at the last step of each width that was asked for, in a sentence."""
    if not np.isfinite(found["loss"]).any():
        return ""
    words = []
    for one in found.isel(step=-1).transpose("width", ...)["width"]:
        at = found.isel(step=-1).sel(width=one)
        low, high = float(at["loss_low"]), float(at["loss_high"])
        words.append(f"width {float(one):,.0f}: {float(at['loss']):.5g} ({low:.5g} to {high:.5g})")
    return f"At step {int(found['step'][-1]):,}, {percent(0.95)} intervals: {'; '.join(words)}."
