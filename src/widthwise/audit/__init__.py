"""The width audit: do networks of several widths behave as one model? Begin at `run.py`."""

import sys
from types import ModuleType
from typing import Any

from widthwise.analysis.verdict import ClaimRow, Test, Untested
from widthwise.audit.audit_settings import AuditSettings
from widthwise.audit.claims import CLAIMS
from widthwise.audit.run import Audit, audit

__all__ = ["CLAIMS", "Audit", "AuditSettings", "ClaimRow", "Test", "Untested", "audit"]


class _Room(ModuleType):
    """This room is called as its function: importing any file of it makes `widthwise.audit` the room."""

    def __call__(self, *arguments: Any, **named: Any) -> Audit:
        return audit(*arguments, **named)


sys.modules[__name__].__class__ = _Room
