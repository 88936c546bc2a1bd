"""What networks of widths that were not trained will do. Begin at `run.py`."""

import inspect
import sys
from types import ModuleType
from typing import Any

import xarray as xr

from widthwise.forecast.plan import plan
from widthwise.forecast.run import forecast

__all__ = ["forecast", "plan"]


class _Callable(ModuleType):
    """This module is called as its function, whatever was imported before: `ww.forecast` is always this."""

    __signature__ = inspect.signature(forecast)

    def __call__(self, *arguments: Any, **named: Any) -> xr.Dataset:
        return forecast(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
