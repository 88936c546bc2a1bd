"""What all tests share: seeds from names, and properties tried on the same examples every time."""

import os
import zlib

import pytest
from hypothesis import settings

# One process a core (xdist) leaves no cores for more threads in each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# No accelerator is looked for, and float64 stays off unless code asks for it, as in a user's session.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

settings.register_profile("widthwise", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("widthwise")


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="a test that would be skipped fails")


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
