"""Compiled programs are kept between runs, so that the second one starts at once."""

import os
from pathlib import Path

VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def keep_compiled() -> None:
    """Have JAX keep what it compiles in the user's cache folder, unless the environment says where, or not.

    JAX reads these variables when it is imported, which no command has done yet. What is kept depends on
    program, version and processor, so nothing stale is ever used.
    """
    if VARIABLE in os.environ or "JAX_ENABLE_COMPILATION_CACHE" in os.environ:
        return
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    except RuntimeError:  # a user without a home, as in some containers
        return
    os.environ[VARIABLE] = str(Path(home) / "widthwise" / "compiled")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**30))
