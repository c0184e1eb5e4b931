"""The terms of the loss there are. One is a file and a line of `TERMS`; they are computed in this order."""

from collections.abc import Mapping
from typing import Any

from sleepkd.config import from_dict, require
from sleepkd.distillation.terms.at import AttentionTransfer
from sleepkd.distillation.terms.ce import CrossEntropy
from sleepkd.distillation.terms.crd import Contrast
from sleepkd.distillation.terms.dist import Correlation
from sleepkd.distillation.terms.dkd import Decoupled
from sleepkd.distillation.terms.hint import Hint
from sleepkd.distillation.terms.kd import SoftmaxDistillation
from sleepkd.distillation.terms.lskd import LogitStandardisation
from sleepkd.distillation.terms.rkd import Relations
from sleepkd.distillation.terms.sp import Similarity
from sleepkd.distillation.terms.term import Output, Shapes, Term, TermSettings
from sleepkd.distillation.terms.transition import Transition
from sleepkd.distillation.terms.vid import Information
from sleepkd.distillation.terms.wttm import TransformedTeacher

__all__ = ["TERMS", "Output", "Shapes", "Term", "TermSettings", "active_terms", "term_settings"]

TERMS: dict[str, type[Term]] = {
    "ce": CrossEntropy,
    "kd": SoftmaxDistillation,
    "lskd": LogitStandardisation,
    "dkd": Decoupled,
    "dist": Correlation,
    "wttm": TransformedTeacher,
    "transition": Transition,
    "at": AttentionTransfer,
    "hint": Hint,
    "vid": Information,
    "sp": Similarity,
    "rkd": Relations,
    "crd": Contrast,
}


def term_settings(values: Mapping[str, Any], key: str = "loss") -> dict[str, TermSettings]:
    """The settings of the terms that a section of YAML names, in order of `TERMS`; UserError names a wrong key."""
    require(isinstance(values, Mapping), key, f"expected a section of keys, got {values!r}")
    for name, value in values.items():
        require(name in TERMS, f"{key}.{name}", f"is no term; there are {', '.join(TERMS)}")
        require(
            isinstance(value, Mapping), f"{key}.{name}", f"expected keys, for example {{weight: 1.0}}, got {value!r}"
        )
    return {name: from_dict(TERMS[name].Settings, values[name], f"{key}.{name}.") for name in TERMS if name in values}


def active_terms(loss: Mapping[str, TermSettings]) -> dict[str, TermSettings]:
    """Those that ever have a weight."""
    return {name: settings for name, settings in loss.items() if settings.is_active}
