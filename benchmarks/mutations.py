"""Small faults made in source code: where one can be made, and of which kind.

A site is an expression whose change alters what is computed. Left out, since a change there is no fault, or
none that a test of what is computed could see: texts, docstrings and annotations; messages (`raise`,
f-strings, progress); statements and files about speed or size alone, known by a word in `EFFORT`; arguments
whose order does not matter, by `SYMMETRIC`.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

KINDS = (
    "prefactor",
    "sign",
    "comparison",
    "off by one",
    "dropped term",
    "swapped arguments",
    "alpha not halved",
)
EFFORT = re.compile(
    r"byte|memory|chunk|block|room|sharding|progress|second|cache|resamples|capacity|version|tiny|eps\b|long_name|wall_time"
)
RATE = re.compile(r"alpha|level")
SYMMETRIC = re.compile(
    r"(maximum|minimum|hypot|isclose|allclose|array_equal|add|multiply|equal|isinstance|max|min|gcd|logaddexp|"
    r"getattr|hasattr|setattr|zip|print|logical_and|logical_or|broadcast_arrays|map|suppress)$"
)
OPPOSITE = {ast.Lt: ">", ast.LtE: ">=", ast.Gt: "<", ast.GtE: "<="}
STATEMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr)
SKIPPED = (ast.Raise, ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom)
Change = tuple[ast.expr, ast.expr, str, str]  # first and last expression, kind, what stands there instead


@dataclass(frozen=True)
class Fault:
    """Text between two offsets of a file, in bytes, and what stands there instead."""

    file: str
    kind: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def applied(self, source: str) -> str:
        data = source.encode()
        return (data[: self.start] + self.after.encode() + data[self.end :]).decode()


def faults_of(path: Path, root: Path) -> list[Fault]:
    """Every fault that can be made in a file, in the order of its lines."""
    if EFFORT.search(path.stem):
        return []
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def span(first: ast.AST, last: ast.AST) -> tuple[int, int]:
        return starts[first.lineno - 1] + first.col_offset, starts[last.end_lineno - 1] + last.end_col_offset

    def text(node: ast.AST) -> str:
        return source[slice(*span(node, node))].decode()

    found = []
    for first, last, kind, after in _changes(ast.parse(source), text):
        start, end = span(first, last)
        before = source[start:end].decode()
        found.append(Fault(str(path.relative_to(root)), kind, first.lineno, start, end, before, after))
    return sorted(found, key=lambda fault: (fault.start, fault.kind))


def _changes(tree: ast.AST, text: Callable[[ast.AST], str]) -> Iterator[Change]:
    def walk(node: ast.AST, counts: bool) -> Iterator[Change]:
        """`counts`: below a subscript or in `range`, where an integer is a position."""
        if isinstance(node, SKIPPED) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            return
        if isinstance(node, STATEMENTS) and EFFORT.search(text(node)):
            return
        children = ast.iter_child_nodes(node)
        if isinstance(node, ast.FunctionDef):  # neither decorators nor annotations
            children = [*node.body, *node.args.defaults]
        elif isinstance(node, ast.AnnAssign):
            children = [node.value] if node.value else []
        yield from _of_node(node, counts, text)
        within = counts and isinstance(node, ast.Slice | ast.Tuple | ast.UnaryOp | ast.BinOp)
        in_range = isinstance(node, ast.Call) and text(node.func) == "range"
        for child in children:
            inside = isinstance(node, ast.Subscript) and child is node.slice
            yield from walk(child, within or inside or in_range)

    yield from walk(tree, False)


def _of_node(node: ast.AST, counts: bool, text: Callable[[ast.AST], str]) -> Iterator[Change]:
    if isinstance(node, ast.BinOp) and not counts:
        yield from _of_arithmetic(node, text)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not counts:
        if not _is_number(node.operand):
            yield node, node, "sign", f"({text(node.operand)})"
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPPOSITE:
        left, right = text(node.left), text(node.comparators[0])
        yield node, node, "comparison", f"({left} {OPPOSITE[type(node.ops[0])]} {right})"
    elif isinstance(node, ast.Constant) and counts and type(node.value) is int and 0 <= node.value <= 3:
        yield node, node, "off by one", str(node.value + 1)
    elif isinstance(node, ast.Call) and len(node.args) >= 2 and not SYMMETRIC.search(text(node.func)):
        first, second = node.args[:2]
        names = all(isinstance(each, ast.Name | ast.Attribute) for each in (first, second))
        if names and text(first) != text(second):
            yield first, second, "swapped arguments", f"{text(second)}, {text(first)}"


def _of_arithmetic(node: ast.BinOp, text: Callable[[ast.AST], str]) -> Iterator[Change]:
    left, right = text(node.left), text(node.right)
    if isinstance(node.op, ast.Mult | ast.Div):
        for side in (node.left, node.right):
            if _is_number(side):
                yield side, side, "prefactor", f"({text(side)} * 1.05)"
        if isinstance(node.op, ast.Div) and right in ("2", "2.0") and RATE.search(left):
            yield node, node, "alpha not halved", left
    elif isinstance(node.op, ast.Add | ast.Sub) and not any(map(_is_text_or_list, (node.left, node.right))):
        yield node, node, "sign", f"({left} {'-' if isinstance(node.op, ast.Add) else '+'} ({right}))"
        if right not in ("0", "0.0"):  # which turns -0 into 0, and no more
            yield node, node, "dropped term", f"({left})"


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _is_text_or_list(node: ast.AST) -> bool:
    lists = ast.List | ast.Tuple | ast.JoinedStr | ast.ListComp
    return isinstance(node, lists) or (isinstance(node, ast.Constant) and not _is_number(node))
