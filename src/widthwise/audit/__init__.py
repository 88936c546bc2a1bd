"""The width audit: do networks of several widths behave as one model? Begin at `run.py`."""

import inspect
import sys
from types import ModuleType
from typing import Any

from widthwise.analysis.verdict import ClaimRow, Test, Untested
from widthwise.audit.audit_settings import AuditSettings
from widthwise.audit.claims import CLAIMS
from widthwise.audit.run import Audit, audit

__all__ = ["CLAIMS", "Audit", "AuditSettings", "ClaimRow", "Test", "Untested", "audit"]


class _Callable(ModuleType):
    """This module is called as its function, whatever was imported before: `ww.audit` is always this."""

    __signature__ = inspect.signature(audit)

    def __call__(self, *arguments: Any, **named: Any) -> Audit:
        return audit(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
