"""Where compiled programs are kept between runs, and where not."""

import os

from widthwise.cli.compiled import VARIABLE, keep_compiled


def kept_at(monkeypatch, **environment) -> str | None:
    """Where, in an environment with nothing said but this."""
    monkeypatch.setattr(os, "environ", dict(environment))
    keep_compiled()
    return os.environ.get(VARIABLE)


def test_programs_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    kept = tmp_path / "widthwise" / "compiled"
    assert kept_at(monkeypatch, XDG_CACHE_HOME=str(tmp_path)) == str(kept)
    assert 0 < int(os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"]) <= 2**30


def test_what_the_environment_says_stays(monkeypatch, tmp_path):
    assert kept_at(monkeypatch, **{VARIABLE: "there", "XDG_CACHE_HOME": str(tmp_path)}) == "there"
    off = {"JAX_ENABLE_COMPILATION_CACHE": "false", "XDG_CACHE_HOME": str(tmp_path)}
    assert kept_at(monkeypatch, **off) is None


def test_without_a_home_nothing_is_kept(monkeypatch):
    def no_home(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.expanduser", no_home)
    assert kept_at(monkeypatch) is None
