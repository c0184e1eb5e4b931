"""Scores of one network by the subset of its inputs that it sees, and what each input adds to the others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from sleepkd.checkpoints.trained import TrainedNetwork
from sleepkd.data.stage_inputs import describe_inputs
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.evaluation.inference import SEGMENTS_AT_A_TIME, EvaluatedNetwork, predict_nights
from sleepkd.evaluation.pages.page import interval, number
from sleepkd.evaluation.scores.bootstrap import bootstrap_intervals
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import confusions_of

ALL_SUBSETS_OF = 4
"""Of more inputs than this, only some subsets are scored: their number doubles with every input."""

Subset = tuple[str, ...]


def subsets_of(names: Sequence[str]) -> list[Subset]:
    """The subsets of inputs to score, the largest first: all up to four inputs; of more, all, all but one, each alone.

    A subset has its inputs in the given order.
    """
    few = len(names) <= ALL_SUBSETS_OF
    sizes = range(len(names), 0, -1) if few else (len(names), len(names) - 1, 1)
    return [subset for size in sizes for subset in combinations(names, size)]


def check_subsets(networks: Iterable[TrainedNetwork]) -> None:
    """Raise UserError where no network takes subsets of its inputs."""
    if not any(has_subsets(trained) for trained in networks):
        raise UserError(
            "--subsets: needs a network that takes any of its inputs, model.name night or ensemble, and has several"
        )


def has_subsets(trained: TrainedNetwork) -> bool:
    """Whether a network has several inputs and takes any of them."""
    return trained.may_lack_inputs and len(trained.inputs) > 1


def with_subsets(evaluated: EvaluatedNetwork, processes: Processes, batch_size: int | None = None) -> EvaluatedNetwork:
    """The evaluated network with its predictions by subset of inputs, each of the nights that hold the whole subset.

    A network that needs all of its inputs is returned as it is.
    """
    trained, segments = evaluated.trained, evaluated.segments
    if not has_subsets(trained):
        return evaluated
    at_a_time = batch_size or SEGMENTS_AT_A_TIME[trained.config.data.view]
    predicted: dict[Subset, Sequence[NightPredictions]] = {}
    for names in subsets_of(tuple(trained.inputs)):
        nights = evaluated.nights
        if len(names) < len(trained.inputs):
            restricted = trained.with_inputs(names)
            nights = predict_nights(restricted, segments.reading(restricted.readers), processes, at_a_time)
        of_night = zip(segments.names, segments.nights, strict=True)
        complete = {recording for recording, night in of_night if set(names) <= set(night.info.kinds)}
        predicted[names] = [night for night in nights if night.recording in complete]
    return replace(evaluated, subsets=predicted)


def subset_scores(
    predicted: Mapping[Subset, Sequence[NightPredictions]], class_names: Sequence[str], draws: int, seed: int
) -> dict[str, Any]:
    """Kappa by night of each subset, and what each input adds, with bootstrap intervals over subjects.

    predicted: of `with_subsets`. Returns
    - subsets: a list of {inputs, recordings, subjects, kappa: {value, low, high}}, in the order of `subsets_of`; kappa
      is None where no night holds the subset.
    - adds: {input: {recordings, kappa: {value, low, high}, wilcoxon_p, better, worse}}: all inputs minus all but this
      one, paired by recording over the nights that hold all inputs (`comparison.compare`).
    """
    rows = []
    for names, nights in predicted.items():
        row: dict[str, Any] = {"inputs": list(names), "recordings": len(nights), "subjects": 0, "kappa": None}
        if nights:
            found = bootstrap_intervals(
                confusions_of(nights, len(class_names)), [night.subject for night in nights], draws=draws, seed=seed
            )
            row |= {"subjects": found["subjects"], "kappa": found["mean"]["kappa"]}
        rows.append(row)
    whole = max(predicted, key=len, default=())
    adds = {}
    for name in whole if predicted.get(whole) else ():
        others = predicted[tuple(other for other in whole if other != name)]
        compared = compare({0: others}, {0: predicted[whole]}, class_names, draws=draws, seed=seed)
        tests = compared["tests"]["kappa"]
        adds[name] = {
            "recordings": compared["recordings"],
            "kappa": compared["difference"]["mean"]["kappa"],
            **{key: tests[key] for key in ("wilcoxon_p", "better", "worse")},
        }
    return {"subsets": rows, "adds": adds}


def subset_lines(found: Mapping[str, Any]) -> list[str]:
    """`subset_scores` in lines to print."""
    lines = []
    for row in found["subsets"]:
        kappa = f"kappa {interval(row['kappa'], 2)} by night" if row["kappa"] else "no night holds them all"
        lines.append(f"  {describe_inputs(row['inputs'])}: {kappa}, {row['recordings']} nights")
    for name, of_input in found["adds"].items():
        lines.append(
            f"  added to the others by {describe_inputs([name])}: {interval(of_input['kappa'], sign=True)}, Wilcoxon p "
            f"{number(of_input['wilcoxon_p'])}; of {of_input['recordings']} nights {of_input['better']} better, "
            f"{of_input['worse']} worse"
        )
    return lines
