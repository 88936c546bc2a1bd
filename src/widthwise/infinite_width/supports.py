"""Which studies theory treats, and what keeps the others outside."""

from widthwise.errors import InputError
from widthwise.study import Study
from widthwise.study.combinations import keys_outside
from widthwise.study.values import shown


def reasons_without_theory(study: Study) -> list[str]:
    """Every key that keeps the study outside the theory, with the values it would need; empty if none does.

    Theory treats mean-field perceptrons on fixed points, all of them in every step at a constant rate.
    """
    return [
        f"`{key}` = {shown(value)} (needs {' or '.join(shown(choice) for choice in choices)})"
        for key, value, choices in keys_outside(vars(study))
    ]


def has_theory(study: Study) -> bool:
    """Whether theory treats the study."""
    return not reasons_without_theory(study)


def is_one_population(study: Study) -> bool:
    """Whether one population of sites that see only the outputs is the whole network, else the causal pass.

    This choice of the program is made here alone.
    """
    return study.network.hidden_layers == 1 and study.training.learning_rule == "backpropagation"


def require_theory(study: Study) -> None:
    """Raise `InputError`, naming every key in the way, unless theory treats the study."""
    if reasons := reasons_without_theory(study):
        kinds = "theory is for mean-field perceptrons on fixed points, all in every step"
        raise InputError(f"{kinds}: {'; '.join(reasons)}. `widthwise train` trains such networks")
