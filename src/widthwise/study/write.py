"""A `Study` to the text of a study file."""

import os
from os import PathLike
from pathlib import Path

from widthwise.study.study import Study
from widthwise.study.values import from_home, toml_value


def dump_study(study: Study, folder: str | PathLike[str] | None = None) -> str:
    r"""The text of a study file with every key written out; loads back to an equal study.

    **Arguments:** `folder`, where the text will be saved: a relative `data.path` is rewritten to lead from
    there to the same file. Without it the path is kept as it is.
    **Returns:** TOML text, tables and keys in the order of the settings classes; keys that are None are left
    out, since TOML has no null.

    >>> print(*dump_study(Study(name="demo")).splitlines()[:5], sep="\n")
    [study]
    name = "demo"
    <BLANKLINE>
    [data]
    kind = "digits"
    """
    tables = study.tables()
    if folder is not None and study.data.path is not None:
        tables["data"]["path"] = _path_from(study, Path(folder))
    blocks = []
    for table, content in tables.items():
        lines = (f"{key} = {toml_value(item)}" for key, item in content.items() if item is not None)
        blocks.append("\n".join([f"[{table}]", *lines]))
    return "\n\n".join(blocks) + "\n"


def _path_from(study: Study, folder: Path) -> str:
    """`data.path` as seen from `folder`; absolute paths stay."""
    path = from_home(study.data.path or "")
    if path.is_absolute():
        return str(study.data.path)
    return os.path.relpath((Path(study.folder) / path).resolve(), folder.resolve())
