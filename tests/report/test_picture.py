"""The one picture for a README."""

import runpy
from pathlib import Path

import pytest

from widthwise.errors import InputError

write_picture = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "picture.py"))["write_picture"]


def test_the_picture_is_a_png_that_is_not_blank(run_directory, tmp_path):
    import matplotlib.image

    path = write_picture(run_directory, tmp_path / "picture.png")
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[1] > 1200
    assert pixels.std() > 0.05


def test_theory_alone_has_no_picture(make_run, tmp_path):
    with pytest.raises(InputError, match="No networks were trained yet"):
        write_picture(make_run(records=False), tmp_path / "picture.png")


def test_a_folder_that_does_not_exist_is_named(run_directory, tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        write_picture(run_directory, tmp_path / "nowhere" / "picture.png")
