"""Studies that are solved in closed form, with everything they ask for, without errors."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.exact.two_layer_linear import TwoLayerLinearProblem, solve_two_layer_linear
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.supports import is_one_population
from widthwise.study import Study

ROUNDING = 1e-12  # by which |x|^2 / D may differ from 1


class ExactOrders(NamedTuple):
    """Infinite width, N Var, N (mean - infinite width) and N Cov(f(t), f(s)) at the recorded steps."""

    solver: str
    values: OrderParameters
    variance: OrderParameters
    shift: OrderParameters
    two_time: Float[np.ndarray, "step step point output"]


def exact_orders(study: Study, points: Points) -> ExactOrders | None:
    """The closed form of the study, None unless it has one.

    It has for one linear hidden layer, squared error and one training point with |x|^2 = D, by gradient
    descent or flow, unless it diverges: what does is left to the solver that says where.
    """
    network, training = study.network, study.training
    linear = (network.activation, network.activation_gain, training.loss) == ("linear", 1.0, "mse")
    if not (linear and is_one_population(study) and points.targets.shape == (1, 1)):
        return None
    if abs(float(points.input_kernel().item()) - 1.0) > ROUNDING:
        return None
    steps = study.recorded_steps()
    problem = TwoLayerLinearProblem(
        richness=network.richness,
        target=float(points.targets.item()),
        learning_rate=training.learning_rate,
        steps=int(steps[-1]) + 1,
        centered=network.centered,
        gradient_flow=training.optimizer == "gradient_flow",
    )
    try:
        found = solve_two_layer_linear(problem)
    except InputError:
        return None

    def laid_out(companion: str) -> OrderParameters:
        """The gradient kernel has the law of the feature kernel: read-outs and fields may change places."""

        def at(name: str, axes: int) -> np.ndarray:
            return getattr(found, f"{name}{companion}")[steps].reshape(-1, *(1,) * axes)

        feature = at("feature_kernel", 3)
        return OrderParameters(at("prediction", 2), at("loss", 1), feature, feature, at("tangent_kernel", 2))

    response = found.prediction_response[steps]
    two_time = (response @ response.T)[:, :, None, None]
    return ExactOrders(
        "exact: two-layer linear", laid_out(""), laid_out("_variance"), laid_out("_shift"), two_time
    )
