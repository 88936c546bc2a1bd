"""The fixture `width_check` for pytest: fails a test whose PyTorch model is not scaled rightly with width.

It stands outside of the package, so that pytest, which reads it at every start, loads nothing of it.
"""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def width_check(tmp_path) -> Callable[..., Any]:
    """`width_check(make, batches, loss)` is `ww.torch.check`, with the same arguments; its files go to the
    test's temporary folder. The test fails with the audit's words if the model is inconsistent, and if
    nothing could be tested. What is undecided passes, unless `allow_underpowered=False`. It returns the
    audit."""

    def width_check(
        make: Any, batches: Any, loss: Any, *, allow_underpowered: bool = True, **settings: Any
    ) -> Any:
        __tracebackhide__ = True
        import widthwise as ww

        found = ww.torch.check(make, batches, loss, **{"out": tmp_path / "check", **settings})
        return ww.testing.assert_consistent(found, allow_underpowered=allow_underpowered)

    return width_check
