"""The documentation says what is so: its Python runs, and its studies can be read."""

import doctest
import re
from pathlib import Path

import pytest

from widthwise.study import load_study

FOLDER = Path(__file__).parents[1] / "docs"
EXAMPLES = Path(__file__).parents[1] / "examples"
PAGES = [page for page in sorted(FOLDER.glob("*.md")) if ">>> " in page.read_text(encoding="utf-8")]
TABLES = [
    pytest.param(block, id=f"{page.stem} {number}")
    for page in sorted(FOLDER.glob("*.md"))
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.S))
]
# What networks and training must be for the kind of data that a table names.
TEXTS = ("tokens", "text", "huggingface")
BESIDE = {
    True: '[network]\nkind = "transformer"\n[training]\noptimizer = "adam"\nloss = "cross_entropy"\n'
    'reduction = "mean"',
    False: '[training]\noptimizer = "sgd"\nreduction = "mean"',
}


def test_there_is_something_to_try():
    assert len(PAGES) >= 3 and len(TABLES) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    done = doctest.testfile(str(page), module_relative=False, optionflags=options)
    assert done.attempted > 0 and done.failed == 0


@pytest.mark.parametrize("table", TABLES)
def test_a_study_with_the_table_of_a_page_can_be_read(table, tmp_path):
    reads_texts = any(f'kind = "{kind}"' in table for kind in TEXTS)
    file = tmp_path / "study.toml"
    file.write_text(f'[study]\nname = "page"\n{table}\n{BESIDE[reads_texts]}', encoding="utf-8")
    assert load_study(file).name == "page"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_an_example_can_be_read(example):
    assert load_study(example).name == example.stem


@pytest.mark.parametrize(
    "page", [*sorted(FOLDER.glob("*.md")), FOLDER.parent / "README.md"], ids=lambda p: p.stem
)
def test_files_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)", text)
    named = re.findall(r"`((?:src/widthwise|tests|benchmarks|examples|docs)/[\w/.]+\.(?:py|toml|md))`", text)
    for path in links:
        assert (page.parent / path).exists(), path
    for path in named:
        assert (FOLDER.parent / path).exists(), path
