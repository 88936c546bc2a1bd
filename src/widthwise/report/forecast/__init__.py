"""A forecast as files and on the page."""

from widthwise.report.forecast.forecast_file import read_forecast, write_forecast

__all__ = ["read_forecast", "write_forecast"]
