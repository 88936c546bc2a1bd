"""The points of a study, whatever kind they are. Begin here."""

from widthwise.data.arrays import array_points
from widthwise.data.digits import digit_points
from widthwise.data.points import Points
from widthwise.data.synthetic import synthetic_points
from widthwise.errors import InputError
from widthwise.study import Study


def load_points(study: Study) -> Points:
    """The training and test points that a study names.

    The same study gives the same points on every machine. Training and test points are disjoint (for
    `arrays`, as the file has them). Inputs of `digits` and `synthetic` have |x|^2 = D; those of `arrays`
    are taken as they are.

    **Returns:** targets in the form that `training.loss` wants: for "cross_entropy" a probability for each
    class, for "mse" real numbers, +-1 for two digits and centered one-hot (1 - 1/C, -1/C) for C > 2.
    **Errors:** `InputError` if the points cannot be had, naming the key or the array and what to do.

    >>> from widthwise.study import DataSettings
    >>> points = load_points(Study(name="demo", data=DataSettings(classes=(3, 8), train=4, test=2)))
    >>> points.inputs.shape, points.targets.shape, points.splits.count("test")
    ((6, 64), (6, 1), 2)
    >>> float((points.inputs[0] ** 2).sum().round(9))
    64.0
    """
    match study.data.kind:
        case "digits":
            return digit_points(study.data, study.training.loss)
        case "synthetic":
            return synthetic_points(study.data, study.training.loss)
        case "arrays":
            return array_points(study)
        case kind:
            raise InputError(f'`data.kind` = "{kind}": is a stream of batches, no fixed set of points')
