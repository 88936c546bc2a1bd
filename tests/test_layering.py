"""The picture of the rooms, enforced: who may import whom, and what no file may do."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import widthwise

SOURCE = Path(__file__).parents[1] / "src" / "widthwise"
FILES = sorted(SOURCE.rglob("*.py"))

# Room: the rooms it may import. Theory (infinite_width, fluctuations, observables) and experiment (networks,
# training) never meet, so that their agreement is evidence.
MAY_IMPORT = {
    "study": set(),
    "data": {"study"},
    "exact": {"study", "data"},
    "infinite_width": {"study", "data", "exact"},
    "fluctuations": {"study", "data", "infinite_width"},
    "records": {"study"},
    "adapters": {"study", "records"},
    "observables": {"study", "data", "infinite_width", "fluctuations", "records"},
    "networks": {"study"},
    "training": {"study", "data", "networks", "records"},
    "analysis": {"records", "study"},
    "audit": {"analysis", "records", "study"},
    "forecast": {"study", "records", "adapters", "analysis"},
    "report": {"analysis", "audit", "forecast", "records", "study"},
    "testing": {"adapters", "audit", "report"},
    "torch": {"adapters", "analysis", "audit", "records", "report", "study"},
    "atomic": set(),
    "errors": set(),
    "progress": set(),
    "wording": set(),
}
MAY_IMPORT["cli"] = set(MAY_IMPORT)
MAY_IMPORT["__main__"] = {"cli"}
ANYWHERE = {"atomic", "errors", "progress", "wording"}
SERIALIZERS = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
LONGEST_FILE = 400


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(tree: ast.AST, package: str) -> set[str]:
    """Full names of all modules and names that a file of `package` imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def trespasses(source: str, room: str) -> set[str]:
    """Rooms that the source of a file in `room` imports and may not."""
    names = imported(ast.parse(source), f"widthwise.{room}")
    ours = {name.split(".")[1] if "." in name else "" for name in names if name.split(".")[0] == "widthwise"}
    return ours - MAY_IMPORT[room] - ANYWHERE - {room}


def offenses(source: str) -> list[str]:
    """What no file may do, as "line: what"."""
    found, tree = [], ast.parse(source)
    for name in imported(tree, "widthwise.any"):
        if name.split(".")[0] in SERIALIZERS:
            found.append(f"imports {name}")
        if name == "__future__.annotations":
            found.append("turns shapes into text, which nothing checks")
    for node in ast.walk(tree):
        match node:
            case ast.Name(id="print" | "eval" | "exec" | "__import__" as name):
                found.append(f"{node.lineno}: {name}")
            case ast.keyword(arg="allow_pickle", value=value) if getattr(value, "value", None) is not False:
                found.append(f"{value.lineno}: allow_pickle")
            case ast.Call(args=[ast.Constant(value="jax_enable_x64"), *_]):
                found.append(f"{node.lineno}: changes the precision of the whole process")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_file_keeps_to_the_picture(path):
    source = path.read_text(encoding="utf-8")
    if path != SOURCE / "__init__.py":  # which names every room, and imports them when asked
        assert room_of(path) in MAY_IMPORT, "a new room: draw it into the picture first"
        assert trespasses(source, room_of(path)) == set()
        assert "importlib.import_module" not in imported(ast.parse(source), "widthwise.any")
    assert offenses(source) == []
    assert len(source.splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("infinite_width", "import widthwise.training", {"training"}),
        ("infinite_width", "from widthwise.networks.mlp import Mlp", {"networks"}),
        ("training", "def f():\n    from widthwise import observables", {"observables"}),
        ("training", "from ..fluctuations import solve", {"fluctuations"}),
        ("study", "from .. import data", {"data"}),
        ("study", "from .settings import Loss", set()),
        ("records", "import widthwise", {""}),
        ("analysis", "import widthwise.errors, widthwise.records.read", set()),
        ("data", "import numpy.training", set()),
    ],
)
def test_forbidden_imports_are_seen_in_every_form(room, source, found):
    assert trespasses(source, room) == found


@pytest.mark.parametrize(
    "source",
    [
        "print('x')",
        "f = print",
        "eval('1')",
        "def f():\n    exec('1')",
        "import pickle",
        "from joblib import dump",
        "np.load(path, allow_pickle=True)",
        "jax.config.update('jax_enable_x64', True)",
        "from __future__ import annotations",
    ],
)
def test_forbidden_doings_are_seen(source):
    assert offenses(source)
    assert not offenses("np.load(path, allow_pickle=False)\nmodel.eval()\nd.update(print_width=3)")


def loaded_by(program: str) -> set[str]:
    """Top-level modules in memory after a program ran in a process of its own."""
    ending = "\nimport sys\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program + ending], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stderr.split()}


def test_importing_the_package_loads_nothing_heavy():
    assert (
        loaded_by("import widthwise as ww; dir(ww)") & {"jax", "numpy", "xarray", "pydantic", "typer"}
        == set()
    )


def test_reading_a_study_and_asking_for_help_load_no_jax():
    heavy = {"jax", "xarray", "zarr", "sklearn"}
    assert loaded_by("import widthwise as ww; ww.load_study; ww.load_points") & heavy == set()
    help_text = "from widthwise.cli import main; import sys; sys.argv = ['widthwise', 'run', '--help']"
    help_text += "\ntry: main()\nexcept SystemExit as done: assert not done.code"
    assert loaded_by(help_text) & (heavy | {"numpy"}) == set()


def test_every_public_name_can_be_had():
    for name in widthwise.__all__:
        assert getattr(widthwise, name) is not None
    with pytest.raises(AttributeError, match="it has RecordWriter"):
        widthwise.nonsense  # noqa: B018


def test_shapes_and_types_are_checked_while_tests_run():
    with pytest.raises(TypeError, match="inputs"):
        widthwise.Points(np.zeros((2, 3)), np.zeros((5, 1)), 2)
    with pytest.raises(TypeError, match="overrides"):
        widthwise.load_study("a.toml", 3)
