"""Folders of images: any mode and size arrives as RGB in the middle square; what is damaged is named."""

import sys

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image
from small_data import picture, stream_study, write_images

from widthwise.data import open_stream
from widthwise.data.image_folder import list_images, read_image
from widthwise.data.images import standardization
from widthwise.errors import InputError

CLASSES = ("ant", "bee", "cat")


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / "i", CLASSES, 6)


def opened(folder, **data):
    return open_stream(stream_study(folder.parent, **{"kind": "image_folder", "path": folder.name, **data}))


def test_an_image_of_the_right_size_arrives_unchanged_and_others_by_their_middle_square(tmp_path):
    Image.fromarray(picture(1, (8, 8, 3))).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 8), picture(1, (8, 8, 3)))
    # A white square in the middle of a wide black image fills the result.
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 255
    Image.fromarray(wide).save(tmp_path / "b.png")
    assert (read_image(tmp_path / "b.png", 16) == 255).all()
    tall = np.moveaxis(wide, 0, 1)
    Image.fromarray(np.ascontiguousarray(tall)).save(tmp_path / "c.png")
    small = read_image(tmp_path / "c.png", 4)
    whole = Image.fromarray(np.ascontiguousarray(tall)).resize((4, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(small, np.asarray(whole)[4:8])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I", "YCbCr"])
@pytest.mark.parametrize("size", [(1, 1), (7, 30), (500, 3)])
def test_images_of_every_mode_and_size_become_rgb(tmp_path, mode, size):
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr", "PA", "I") else "a.png")
    level = 255 if mode == "1" else 200  # gray would be dithered
    gray = Image.new("L", size, level)
    if mode.startswith("I"):
        values = np.full(size[::-1], 200 * 256 + 7, np.uint16 if mode == "I;16" else np.int32)
        Image.fromarray(values).save(path)
    elif mode == "PA":
        gray.convert("P").save(tmp_path / "a.gif", transparency=0)
        path = tmp_path / "a.gif"
    else:
        gray.convert("RGB" if mode in ("CMYK", "YCbCr") else mode).convert(mode).save(path)
    image = read_image(path, 5)
    assert image.shape == (5, 5, 3) and image.dtype == np.uint8
    np.testing.assert_allclose(image.astype(int), level, atol=2)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
@pytest.mark.parametrize("order", ["offline", "online"])
def test_an_image_that_is_cut_short_is_named(folder, suffix, order):
    path = folder / "bee" / f"cut.{suffix}"
    Image.fromarray(picture(3, (60, 60, 3))).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=f"bee/cut.{suffix}: no image that can be read"):
        # All of the 19 images are read: 3 held out, 16 trained on.
        list(opened(folder, order=order, test=3, train=16, size=8, steps=4).batches(0))


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_named(folder, content):
    (folder / "cat" / "bad.png").write_bytes(content)
    with pytest.raises(InputError, match=r"cat/bad\.png"):
        opened(folder, train=19)


@pytest.mark.parametrize("kind", ["EPS", "TIFF"])
def test_another_kind_under_a_usual_name_is_refused_and_no_other_program_is_run(tmp_path, monkeypatch, kind):
    """For EPS Pillow would run Ghostscript on what the file says."""
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("a program was run"))
    for name in ("a.png", "a.jpg"):
        Image.fromarray(picture(1, (8, 8, 3))).save(tmp_path / name, format=kind)
        for source in (tmp_path / name, *([(tmp_path / name).read_bytes()] if kind == "EPS" else [])):
            with pytest.raises(InputError, match="no image that can be read"):
                read_image(source, 8, "a")
    if kind == "TIFF":
        Image.fromarray(picture(1, (8, 8, 3))).save(tmp_path / "a.tif")
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 8), picture(1, (8, 8, 3)))


def test_an_image_under_another_usual_name_is_read(tmp_path):
    Image.fromarray(picture(1, (8, 8, 3))).save(tmp_path / "a.jpg", format="PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg", 8), picture(1, (8, 8, 3)))


def test_floating_point_images_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif.*real numbers"):
        read_image(tmp_path / "a.tif", 4)


def test_an_empty_class_folder_is_named(folder):
    (folder / "dog").mkdir()
    (folder / "dog" / ".hidden.png").write_bytes(b"x")
    (folder / "dog" / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=r"i/dog: holds no images"):
        opened(folder)


@pytest.mark.parametrize(
    ("path", "message"), [("none", "no such file"), ("i/ant", "0 folders"), ("f", "folder")]
)
def test_paths_that_are_no_image_folders_are_named(folder, path, message):
    (folder.parent / "f").write_text("")
    with pytest.raises(InputError, match=message) as caught:
        opened(folder, path=path)
    assert str(folder.parent / path) in str(caught.value)


def test_hidden_files_other_files_nested_folders_and_links_in_circles_change_nothing(folder):
    listing = list_images(folder)
    (folder / ".cache").mkdir()
    (folder / "ant" / ".DS_Store").write_text("")
    (folder / "ant" / "list.txt").write_text("")
    (folder / "ant" / "up").symlink_to(folder)
    (folder / "ant" / "self.png").symlink_to(folder / "ant" / "self.png")
    (folder / "ant" / "lost.png").symlink_to(folder / "nowhere.png")
    assert list_images(folder) == listing
    assert listing[0].classes == list(CLASSES) and len(listing[0].files) == 18 and listing[1] is None


def test_a_class_that_is_only_held_out_is_refused(tmp_path):
    write_images(tmp_path / "i" / "train", ("ant", "bee"), 3)
    write_images(tmp_path / "i" / "test", ("ant", "cow"), 3)
    with pytest.raises(InputError, match="test/cow: no class"):
        opened(tmp_path / "i", train=4, test=2)


def test_a_test_folder_gives_the_held_out_images(tmp_path):
    write_images(tmp_path / "i" / "train", CLASSES, 4)
    write_images(tmp_path / "i" / "test", CLASSES, 2, first=500)
    train, held = list_images(tmp_path / "i")
    assert {p.parts[-3] for p in train.files} == {"train"} and {p.parts[-3] for p in held.files} == {"test"}
    with pytest.raises(InputError, match=r"`data\.test` = 7: .*i has 6 images"):
        opened(tmp_path / "i", train=4, test=7, size=8)


def test_classes_are_balanced_and_targets_are_those_of_the_folders(folder):
    stream = opened(folder, train=9, test=6, size=8)
    batches = list(stream.batches(0))
    answers = {row.tobytes(): tuple(answer) for b in batches for row, answer in zip(*b, strict=True)}
    counts = np.unique(np.argmax(list(answers.values()), axis=1), return_counts=True)[1]
    np.testing.assert_array_equal(counts, [3, 3, 3])
    np.testing.assert_array_equal(
        np.unique(np.argmax(stream.probes.answers[3:], 1), return_counts=True)[1], 2
    )
    np.testing.assert_allclose(
        np.sort(stream.probes.targets, axis=1), [[-1 / 3, -1 / 3, 2 / 3]] * 9, atol=1e-7
    )


def test_labels_belong_to_their_images(tmp_path):
    # Class by color: every standardized image must be brightest in the channel of its own class.
    for channel, name in enumerate(("blue", "green", "red")):
        (tmp_path / "i" / name).mkdir(parents=True)
        for i in range(8):
            image = picture(100 * channel + i, (8, 8, 3)) // 4
            image[..., channel] += 190
            Image.fromarray(image).save(tmp_path / "i" / name / f"{i}.png")
    for order in ("offline", "online"):
        stream = opened(tmp_path / "i", order=order, train=15, test=3, size=8, steps=5)
        for batch in [*list(stream.batches(0))[:5], stream.probes]:
            np.testing.assert_array_equal(
                batch.inputs.mean(axis=(1, 2)).argmax(axis=1), batch.answers.argmax(axis=1)
            )


def test_training_images_have_mean_zero_and_squared_length_equal_to_their_dimension(folder):
    stream = opened(folder, train=12, test=3, size=8)
    full = np.concatenate([b.inputs for b in stream.batches(0)])[:12]
    np.testing.assert_allclose(full.mean(axis=(0, 1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose((full**2).mean(axis=(0, 1, 2)), 1.0, atol=1e-4)


def test_standardization_is_the_mean_and_deviation_of_the_bytes():
    images = picture(0, (5, 6, 7, 3))
    scale = standardization(images)
    np.testing.assert_allclose(scale.mean, images.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(scale.deviation, images.std(axis=(0, 1, 2)), rtol=1e-12)
    with pytest.raises(InputError, match="one color"):
        standardization(np.full((2, 4, 4, 3), 7, np.uint8))


def test_held_out_images_do_not_depend_on_how_many_are_trained_on(folder):
    few, many = (opened(folder, train=n, test=3, size=8) for n in (4, 12))
    np.testing.assert_array_equal(few.probes.answers[-3:], many.probes.answers[-3:])
    # Standardized differently, they are the same images up to scale and shift of each channel.
    for a, b in zip(few.probes.inputs[-3:], many.probes.inputs[-3:], strict=True):
        assert np.corrcoef(a[..., 0].ravel(), b[..., 0].ravel())[0, 1] > 0.9999


def test_a_changed_file_changes_the_digest(folder):
    before = opened(folder, train=4, test=3).digest()
    assert opened(folder, train=4, test=3).digest() == before
    Image.fromarray(picture(77)).save(folder / "ant" / "3.png")
    assert opened(folder, train=4, test=3).digest() != before


def test_more_than_the_memory_holds_is_refused(folder, monkeypatch):
    monkeypatch.setattr("widthwise.data.files.SHARE", 1e-12)
    with pytest.raises(InputError, match="GB of memory"):
        opened(folder, train=12, test=3)


def test_a_missing_package_is_said_with_the_way_to_install_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(InputError, match=r'pip install "widthwise\[images\]"'):
        opened(folder)
