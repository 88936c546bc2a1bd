"""Order 1/N around infinite width. Begin at `corrections.py`."""

from widthwise.fluctuations.corrections import FiniteWidthCorrections as FiniteWidthCorrections
from widthwise.fluctuations.corrections import finite_width_corrections as finite_width_corrections
from widthwise.fluctuations.corrections import has_fluctuations as has_fluctuations
from widthwise.fluctuations.corrections import require_corrections as require_corrections
from widthwise.fluctuations.deep_covariance import Observable as Observable
from widthwise.fluctuations.deep_covariance import solve_covariance as solve_covariance
from widthwise.fluctuations.horizon import Horizon as Horizon
