"""Nothing is looked for on the network, and nothing is kept outside a test's own folder."""

import os
import sys

import pytest

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def no_shared_cache(tmp_path, monkeypatch):
    """What the package `datasets` keeps goes into the test's own folder; it does not dawdle."""
    if "datasets" in sys.modules:
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
        # It waits 5 s for threads of its Parquet reader to end, whenever an iteration does.
        monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.1, raising=False)
    else:
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
