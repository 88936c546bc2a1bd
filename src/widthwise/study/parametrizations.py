r"""The table of parametrizations: how a tensor begins and learns at each width, by its role.

With m the tensor's growth over the base width (of its fan-in; of its fan-out for `input`), and everything
equal at m = 1. Standard deviations are of entries, the multiplier is what the tensor is multiplied with in
the forward pass, rates multiply the learning rate:

| role | parametrization | standard deviation | multiplier | SGD rate | Adam rate | its gradient |
|---|---|---|---|---|---|---|
| input | mean_field | 1 | 1 | m | 1 | 1/m |
| | ntk | 1 | 1 | 1 | m^-1/2 | m^-1/2 |
| | standard | 1 | 1 | 1 | 1 | - |
| hidden | mean_field | m^-1/2 | 1 | 1 | 1/m | 1/m |
| | ntk | m^-1/2 | 1 | 1/m | m^-3/2 | m^-1/2 |
| | standard | m^-1/2 | 1 | 1 | 1 | - |
| readout | mean_field | 1 | 1/m | m | 1 | 1/m |
| | ntk | m^-1/2 | 1 | 1/m | 1/m | 1 |
| | standard | m^-1/2 | 1 | 1 | 1 | - |
| scalar | all | 1 | 1 | 1 | 1 | - |

The last column is undone before Adam, so that its epsilon acts alike at every width. Decoupled weight decay
takes the same share of every weight matrix at every width. Attention logits are q.k/d in mean_field,
q.k/sqrt(d) in the others (`networks/build.py`). **Sources:** Yang and Hu, arXiv 2203.03466, table 8
(mean_field is their muP); Yang and Littwin, arXiv 2308.01814 (Adam's kernel limit, ntk).
"""

from typing import Literal, NamedTuple

from widthwise.study.settings import Parametrization

Role = Literal["input", "hidden", "readout", "scalar"]


class Law(NamedTuple):
    """Powers of m: a row of the table."""

    std: float
    multiplier: float
    sgd: float
    adam: float
    gradient: float


TABLE: dict[Parametrization, dict[Role, Law]] = {
    "mean_field": {
        "input": Law(std=0, multiplier=0, sgd=1, adam=0, gradient=-1),
        "hidden": Law(std=-1 / 2, multiplier=0, sgd=0, adam=-1, gradient=-1),
        "readout": Law(std=0, multiplier=-1, sgd=1, adam=0, gradient=-1),
        "scalar": Law(std=0, multiplier=0, sgd=0, adam=0, gradient=0),
    },
    "ntk": {
        "input": Law(std=0, multiplier=0, sgd=0, adam=-1 / 2, gradient=-1 / 2),
        "hidden": Law(std=-1 / 2, multiplier=0, sgd=-1, adam=-3 / 2, gradient=-1 / 2),
        "readout": Law(std=-1 / 2, multiplier=0, sgd=-1, adam=-1, gradient=0),
        "scalar": Law(std=0, multiplier=0, sgd=0, adam=0, gradient=0),
    },
    "standard": {
        "input": Law(std=0, multiplier=0, sgd=0, adam=0, gradient=0),
        "hidden": Law(std=-1 / 2, multiplier=0, sgd=0, adam=0, gradient=0),
        "readout": Law(std=-1 / 2, multiplier=0, sgd=0, adam=0, gradient=0),
        "scalar": Law(std=0, multiplier=0, sgd=0, adam=0, gradient=0),
    },
}


def factors(parametrization: Parametrization, role: Role, out: float, into: float) -> Law:
    """The row of a tensor as numbers, not powers, given the growth of its outgoing and incoming sides.

    Where those of a hidden matrix differ, gradients follow the outgoing side, all else the incoming one.

    >>> factors("mean_field", "hidden", 4.0, 4.0)
    Law(std=0.5, multiplier=1.0, sgd=1.0, adam=0.25, gradient=0.25)
    """
    law, m = TABLE[parametrization][role], out if role == "input" else into
    uneven = out / into if role == "hidden" else 1.0
    return Law(
        std=m**law.std,
        multiplier=m**law.multiplier,
        sgd=m**law.sgd * uneven**-law.gradient,
        adam=m**law.adam,
        gradient=(m * uneven) ** law.gradient,
    )
