"""The fixture `width_check`, in a pytest of its own."""

import pytest

pytest.importorskip("torch")
pytest_plugins = ["pytester"]

TEST = """
{text}
def test_width(width_check):
    width_check(make, batches, loss, optimizer=optimizer, widths=widths, seeds=3, steps=6)
"""


def test_a_wrong_model_fails_with_the_audits_words(pytester, wrong_text):
    pytester.makepyfile(TEST.format(text=wrong_text))
    result = pytester.runpytest_subprocess("-p", "pytest_widthwise", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*INCONSISTENT: The networks do not scale consistently with width.*"])
    result.stdout.fnmatch_lines(["*divide*Adam learning rate by width / base width*"])
    assert "pytest_widthwise.py" not in result.stdout.str(), "no line of ours"


def test_pytest_loads_nothing_of_the_package_until_the_fixture_is_used(pytester):
    pytester.makepyfile("import sys\ndef test_a():\n    assert 'widthwise' not in sys.modules")
    result = pytester.runpytest_subprocess("-p", "pytest_widthwise", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
