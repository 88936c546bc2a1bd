"""Every example of a study, shortened, trains smoothly, and its audit tests how scales go with the width."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from small_data import write_images, write_words

from widthwise.audit import audit
from widthwise.study import load_study
from widthwise.training import train_ensemble

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay")
STEPS = 40
# The largest loss of a batch in the first steps over that at initialization; random images and words are no
# easier than real ones.
LARGEST_RISE = 1.5


def shortened(path: Path, folder: Path):
    """The study as it is but for its length: two narrow widths, and data in place of what is not there."""
    tables = tomllib.loads(path.read_text())
    base = tables["network"].get("base_width", 32)
    steps = min(STEPS, tables["training"]["steps"])
    overrides = [
        f"ensemble.widths=[{base}, {2 * base}]",
        "ensemble.seeds=3",
        "ensemble.seeds_per_cell=3",
        f"training.steps={steps}",
        f"record.steps={[0, 1, 2, steps // 2, steps - 1]}",
        "record.train_points=8",
    ]
    if tables["data"]["kind"] == "image_folder":
        write_images(folder / "data", CLASSES, 20)
        overrides += ["data.path=data", "data.train=160", "data.test=16", "training.batch=32", "data.size=16"]
    if tables["data"]["kind"] == "tokens":
        write_words(folder / "data", 1500)
        overrides += ["data.path=data", "data.test=8"]
    if "warmup" in tables["training"]:
        overrides.append(f"training.warmup={min(tables['training']['warmup'], steps - 1)}")
    study = load_study(path, overrides)
    object.__setattr__(study, "folder", str(folder))
    return study


@pytest.mark.long
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_trains_smoothly_and_its_audit_tests_the_scales(path, tmp_path):
    study = shortened(path, tmp_path)
    records = train_ensemble(study)
    assert (records["diverged_at"] == -1).all()
    loss = records["loss"].isel(split=0)
    assert np.isfinite(loss).all() and float((loss.max("step") / loss.isel(step=0)).max()) < LARGEST_RISE
    found = audit(records)
    rows = [row for row in found.rows if row.claim == "scales"]
    quantities = {dict(row.where)["quantity"] for row in rows}
    assert {"weight_rms", "update_rms", "forward_rms"} <= quantities
    assert not any(row.verdict == "inconsistent" for row in rows), [row.advice for row in rows]
