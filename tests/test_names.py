"""Public names: the same things whatever was imported before, and no others."""

import inspect
import json
import subprocess
import sys

import pytest

import widthwise

ORDERS = [
    "ww.audit",
    "ww.AuditSettings; ww.audit",
    "import widthwise.audit",
    "from widthwise.audit import audit",
    "import widthwise.audit.run, widthwise.testing",
    "ww.testing; ww.audit",
    "from widthwise import audit, testing",
]


PROGRAM = """if True:
    import sys
    import widthwise as ww
    {order}
    assert ww.audit is sys.modules["widthwise.audit"] and callable(ww.audit)
    assert ww.testing is sys.modules["widthwise.testing"]
    try:
        ww.audit(3)
    except ValueError as error:
        assert "records" in str(error)
"""


# Each program from the package's start, in one process: what the package needs is imported once.
EACH = """if True:
    import json, sys, traceback
    errors = []
    for program in json.load(sys.stdin):
        for name in [name for name in sys.modules if name.partition(".")[0] == "widthwise"]:
            del sys.modules[name]
        try:
            exec(program, {})
            errors.append("")
        except BaseException:
            errors.append(traceback.format_exc())
    print(json.dumps(errors))
"""


@pytest.fixture(scope="module")
def errors():
    """By order."""
    programs = json.dumps([PROGRAM.format(order=order) for order in ORDERS])
    done = subprocess.run(
        [sys.executable, "-c", EACH], input=programs, capture_output=True, text=True, check=True
    )
    return dict(zip(ORDERS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("order", ORDERS)
def test_a_name_is_the_same_whatever_was_imported_before(order, errors):
    assert not errors[order]


def test_what_is_called_has_the_signature_of_its_function():
    assert inspect.signature(widthwise.audit) == inspect.signature(widthwise.audit.run.audit)


def test_dir_lists_the_public_names_and_nothing_else():
    program = "import widthwise as ww; ww.load_study; print(*dir(ww), sep=chr(10))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(widthwise.__all__)
    assert not [
        name
        for name in widthwise.__all__
        if name.isupper() or (name.startswith("_") and name != "__version__")
    ]
