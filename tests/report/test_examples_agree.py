"""Five examples, run as users run them: all that is said of a folder is one verdict, with the same counts."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from browsing import CHROMIUM, CLIPPED, open_details
from commands import call
from small_data import write_images, write_words

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]
EXAMPLES = Path(__file__).parents[2] / "examples"
STATUS = {"consistent": 0, "inconsistent": 1, "underpowered": 3}
MOODS = {"consistent": "good", "inconsistent": "bad", "underpowered": "open"}
THEORY = ("theory.scramblings=2", "theory.sites=64", "theory.fluctuation_sites=64")
STREAM = ("data.test=4", "training.batch=4", "training.steps=6")
SHORT = {
    "digits": ("data.train=4", "data.test=2", "training.steps=6", *THEORY),
    "two_layers": ("data.train=2", "data.test=1", "training.steps=3", "record.steps=[0,2]", *THEORY),
    # In this parametrization widths do not behave as one model.
    "easy_online": (*STREAM, "network.parametrization=ntk"),
    "cifar10_cnn": (*STREAM, "data.size=8", "data.train=12", "network.hidden_layers=2", "training.warmup=2"),
    "wikitext2_transformer": (
        *STREAM, "data.vocabulary=50", "data.sequence_length=8", "network.hidden_layers=1",
        "training.warmup=2",
    ),
}  # fmt: skip
ENSEMBLES = {name: ("ensemble.widths=[8,16]", "ensemble.seeds=4") for name in SHORT} | {
    "easy_online": ("ensemble.widths=[16,64,256]", "ensemble.seeds=4"),
    "cifar10_cnn": ("network.base_width=4", "ensemble.widths=[4,8]", "ensemble.seeds=3"),
    "wikitext2_transformer": ("network.base_width=8", "ensemble.widths=[8,16]", "ensemble.seeds=3"),
}
EXPECTED = {name: "underpowered" for name in SHORT} | {"easy_online": "inconsistent"}
# What a table says; those at a glance show the worst of several rows.
CHIPS = "[...document.querySelectorAll('table.{} tbody .chip')].map(chip => chip.classList[1])"


def data_of(name: str, folder: Path) -> list[str]:
    """The setting of the data's path, after writing them, for examples that read data from a disk."""
    if name.startswith("cifar10"):
        return [f"data.path={write_images(folder / 'images', ('ant', 'bee', 'cat'), 8)}"]
    if name.startswith("wikitext2"):
        return [f"data.path={write_words(folder / 'words.tokens', 60)}"]
    return []


def counted_on_terminal(text: str) -> Counter:
    """The verdicts that the lines `by claim` count."""
    (paragraph,) = (each for each in text.split("\n\n") if each.startswith("by claim: "))
    counts = Counter()
    for count, kind in re.findall(
        r"(\d+)\s+(inconsistent|underpowered|open|consistent|described)", paragraph
    ):
        counts[kind] += int(count)
    return counts


def kind_of(row: dict) -> str:
    return row["verdict"] if row["judges"] else "described"


def worst(kinds: Iterable[str]) -> int:
    """The place of the worst."""
    order = ("inconsistent", "underpowered", "open", "consistent", "described")
    return min(map(order.index, kinds), default=len(order))


def counts_in_words(lead: str) -> tuple[int, int, int]:
    """How many tests fail, or pass where none fails, out of how many, and how many are then named."""
    some, every = map(int, re.search(r"(\d+) of (\d+) tests (?:fail|pass)", lead).groups())
    named = re.search(
        r"\(chance of[^)]*\)(?:: |\. Undecided: |\. Open, and nothing speaks against it: )(.*)", lead
    )[1]
    return some, every, sum(map(int, re.findall(r"\((\d+)\)", named)))


@pytest.mark.parametrize("name", SHORT)
def test_file_status_terminal_and_page_say_the_same(name, open_page, tmp_path):
    out = tmp_path / "out"
    settings = [*SHORT[name], *ENSEMBLES[name], *data_of(name, tmp_path)]
    overrides = [part for setting in settings for part in ("--set", setting)]
    ran = call("run", EXAMPLES / f"{name}.toml", "--out", out, *overrides)
    assert ran.exit_code == 0, ran.output
    written = json.loads((out / "verdict.json").read_text())
    verdict, rows = written["verdict"], written["claims"]
    assert verdict == EXPECTED[name], "a sample of verdicts, not the same one five times"
    kinds = Counter(map(kind_of, rows))
    compared = [row for row in rows if row["claim"].startswith("theory: ") and row["where"]["part"] != "run"]
    scaled = [row for row in rows if row["claim"] == "scales" and {"tensor", "layer"} & row["where"].keys()]
    assert kinds["underpowered"], "or what is undecided would not be looked at"

    assert counted_on_terminal(ran.stdout) == kinds
    assert not re.search(r"`|\d%", ran.output)
    for width in (1300, 390):
        page, errors, _ = open_page(out, viewport={"width": width, "height": 900})
        open_details(page)
        assert Counter(page.evaluate(CHIPS.format("results"))) == kinds
        assert page.inner_text("#audit .answer .chip") == verdict
        assert page.get_attribute("h1", "class") == MOODS[verdict]
        answer, lead = page.inner_text("h1"), page.inner_text(".lead")
        assert f"{verdict.upper()}: {answer} {lead}" in " ".join(ran.stdout.split())
        some, every, listed = counts_in_words(lead)
        assert every == sum(kinds.values()) - kinds["described"]
        undecided = kinds["underpowered"] + kinds["open"]
        assert listed == (kinds["inconsistent"] if verdict == "inconsistent" else undecided)
        assert some == (listed if verdict == "inconsistent" else every - listed)
        for table, shown in (("matrix", compared), ("tensors", scaled)):
            assert worst(page.evaluate(CHIPS.format(table))) == worst(map(kind_of, shown))
        assert errors == []
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        assert page.evaluate(CLIPPED) == []
        assert not re.search(r"`|\d%", page.inner_text("main"))

    before = (out / "report.html").read_text().partition("<footer>")[0]
    again = call("audit", out, "--json")
    assert again.exit_code == STATUS[verdict]
    said = json.loads(again.stdout)
    assert said["verdict"] == verdict and said["claims"] == rows and said["summary"] == written["summary"]
    assert json.loads((out / "verdict.json").read_text()) == said
    assert (out / "report.html").read_text().partition("<footer>")[0] == before
