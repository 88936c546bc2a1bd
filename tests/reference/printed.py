"""Comparison with numbers as they are printed in a table."""


def assert_printed(value: float, printed: str) -> None:
    """Equal to all printed digits: within one unit of the last, since some were cut and not rounded."""
    mantissa, _, exponent = printed.partition("e")
    unit = 10.0 ** (-len(mantissa.partition(".")[2]) + int(exponent or 0))
    assert abs(value - float(printed)) <= unit, (value, printed)
