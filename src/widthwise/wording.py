"""How numbers and names of keys are written in sentences that people read."""

import re


def percent(share: float, digits: int = 3) -> str:
    """A share as a reader calls it, in `digits` or, if that is more, in whole percents.

    >>> percent(0.01), percent(0.0025), percent(0.125), percent(31.234)
    ('1 %', '0.25 %', '12.5 %', '3123 %')
    >>> percent(0.0237, 1), percent(0.0052, 1), percent(0.184, 1)
    ('2 %', '0.5 %', '18 %')
    """
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g} %"


def unmarked(text: str) -> str:
    """Text without the backticks around names, for where nothing sets them as code.

    >>> unmarked("record `loss` and `prediction`"), unmarked("a lone ` stays")
    ('record loss and prediction', 'a lone ` stays')
    """
    return re.sub("`([^`]+)`", r"\1", text)
