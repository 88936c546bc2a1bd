"""What all tests share: seeds from names, and properties tried on the same examples every time."""

import atexit
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import zlib

import pytest
from hypothesis import settings

# One process a core (xdist) leaves no cores for more threads in each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# No accelerator is looked for, and float64 stays off unless code asks for it, as in a user's session.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# Most time goes into compiling programs that run for a moment, so they are optimized less, which halves it:
# not at all by default, and with the fixture `optimized` as far as these flags let them be.
QUICK = "--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false"


def compile_quickly_and_once() -> None:
    """For this process and those that it starts: other workers, and the commands of tests.

    What is set already stays: `XLA_FLAGS= pytest` optimizes as users do. A flag that this XLA does not know
    would end the process, so another tries first. What was compiled is kept until the session ends.
    """
    if "XLA_FLAGS" not in os.environ:
        trial = [sys.executable, "-c", "import jax; jax.devices()"]
        known = (
            subprocess.run(trial, env=os.environ | {"XLA_FLAGS": QUICK}, capture_output=True).returncode == 0
        )
        os.environ["XLA_FLAGS"] = QUICK if known else ""
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="widthwise-compiled-")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


compile_quickly_and_once()

settings.register_profile("widthwise", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("widthwise")


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="a test that would be skipped fails")


def pytest_collection_finish():
    """What was imported is searched for garbage no more, and the rest less often: 6 % of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def failed_if_skipped(report, config):
    if config.getoption("--no-skips") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"not to be skipped: {report.longrepr[-1]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return failed_if_skipped((yield), item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return failed_if_skipped((yield), collector.config)


@pytest.fixture
def seed(request) -> int:
    """A seed that depends on the test's name alone, so that no test can be tuned by its seed."""
    return zlib.crc32(request.node.name.encode())


@pytest.fixture
def key(seed):
    """The JAX key of that seed."""
    import jax

    return jax.random.key(seed)


@pytest.fixture
def optimized():
    """For tests that compute for longer than they compile: half a minute of theory takes a third less."""
    import jax

    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", "JAX_DISABLE_MOST_OPTIMIZATIONS" in os.environ)
