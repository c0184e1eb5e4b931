"""report.html: the answer first, then pictures, then all numbers, then how to run it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from platform import python_version

from sleepkd.evaluation.pages.page import (
    MISSING,
    answer,
    code,
    grid,
    heading,
    interval,
    number,
    page,
    paragraph,
    pictures,
    side_by_side,
)
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.evaluation.scores.metrics import SCALAR_SCORES
from sleepkd.evaluation.scores.sleep_medicine import DESCRIPTIONS
from sleepkd.evaluation.scores.summary import Analysis
from sleepkd.files import write_text_atomically
from sleepkd.provenance import commit, versions

SCORE_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "kappa": "Cohen's kappa",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "yasa", "mne", "matplotlib", "pandas")


@dataclass(frozen=True)
class Provenance:
    """What is needed to run it again: command lines, settings by model or topic, and versions."""

    commands: Sequence[str] = ()
    settings: Mapping[str, Mapping] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def report_versions() -> dict[str, str]:
    """This checkout's commit and the versions of Python and of the packages that make the numbers, as installed."""
    return {"sleepkd": commit() or "unknown: no git checkout", "python": python_version(), **versions(_PACKAGES)}


def write_report(
    path: str | Path,
    title: str,
    analyses: Sequence[Analysis],
    figures: Mapping[str, Sequence[Picture]],
    provenance: Provenance,
    *,
    comparison: dict | None = None,
    compared: tuple[str, str] = ("A", "B"),
) -> None:
    """Write the report of one or more models on the same nights; the file appears whole or not at all.

    figures: {heading: pictures}, in the order shown. comparison: a `compare` result of the two named models, the second
    against the first. Raises ValueError without a model.
    """
    if not analyses:
        raise ValueError("a report needs at least one model")
    first = analyses[0].metrics["intervals"]
    over = f"{first['recordings']} recordings of {first['subjects']} subjects"
    scored = f"{analyses[0].metrics['overall']['n']:,} scored sleep epochs"
    body = [
        heading(title, 1),
        paragraph(f"{over}; {scored}; classes {', '.join(analyses[0].class_names)}.", "quiet"),
        _gain(comparison, compared) if comparison else _kappa(analyses[0]),
        side_by_side(_kappa(analysis) for analysis in (analyses if comparison else analyses[1:])),
        paragraph(
            "Intervals are 95 %, by bootstrap over subjects. Kappa is the mean over recordings unless it says pooled.",
            "quiet",
        ),
        heading("Pictures"),
        *(piece for name, shown in figures.items() if shown for piece in (heading(name, 3), pictures(shown))),
        heading("Tables"),
        *_score_grids(analyses),
        *(_comparison_grids(comparison, compared) if comparison else ()),
        *(piece for analysis in analyses for piece in _model_grids(analysis)),
        *_recording_grid(analyses),
        heading("To run it again"),
        *_provenance(provenance),
    ]
    write_text_atomically(path, page(title, body))


def _kappa(analysis: Analysis) -> str:
    found = analysis.metrics["intervals"]
    kappa = found["mean"]["kappa"]
    others = ", ".join(
        f"{SCORE_NAMES[score]} {number(found['mean'][score]['value'], 2)}" for score in ("accuracy", "weighted_f1")
    )
    pooled = number(found["pooled"]["kappa"]["value"], 2)
    return answer(
        f"kappa {number(kappa['value'], 2)}",
        _range(kappa, 2),
        f"{analysis.name}: mean over {found['recordings']} recordings; {others}. All sleep epochs pooled: {pooled}.",
    )


def _gain(comparison: dict, compared: tuple[str, str]) -> str:
    a, b = compared
    gain, tests = comparison["difference"]["mean"]["kappa"], comparison["tests"]["kappa"]
    low, high = gain["low"], gain["high"]
    if low is not None and low > 0:
        verdict, kind = f"{b} is better than {a}", "better"
    elif high is not None and high < 0:
        verdict, kind = f"{b} is worse than {a}", "worse"
    else:
        verdict, kind = f"These nights do not tell {b} from {a}", ""
    seeds = f" and {len(comparison['seeds'])} seeds" if len(comparison["seeds"]) > 1 else ""
    return answer(
        f"{number(gain['value'], 3, sign=True)} kappa",
        _range(gain, 3, sign=True),
        f"{verdict}: mean paired difference over {comparison['recordings']} recordings{seeds}; {tests['better']} got "
        f"better, {tests['worse']} worse (Wilcoxon signed-rank, p {_p(tests['wilcoxon_p'])}).",
        kind,
    )


def _range(entry: dict, digits: int, sign: bool = False) -> str:
    low, high = number(entry["low"], digits, sign), number(entry["high"], digits, sign)
    return "no interval: too few subjects" if MISSING in (low, high) else f"95 % interval {low} to {high}"


def _p(value: float | None) -> str:
    text = number(value, 3)
    return "< 0.001" if text == "0.000" else f"= {text}"


def _score_grids(analyses: Sequence[Analysis]) -> list[str]:
    titles = {"mean": "Mean over recordings", "median": "Median over recordings", "pooled": "All sleep epochs pooled"}
    pieces = []
    for statistic, title in titles.items():
        rows = [
            [a.name, *(interval(a.metrics["intervals"][statistic][score]) for score in SCALAR_SCORES)] for a in analyses
        ]
        pieces += [heading(title, 3), grid(["model", *SCORE_NAMES.values()], rows)]
    quartiles = []
    for a in analyses:
        low, high = (a.metrics["over_recordings"][quartile] for quartile in ("q1", "q3"))
        quartiles.append([a.name, *(f"{number(low[score])} to {number(high[score])}" for score in SCALAR_SCORES)])
    return [*pieces, heading("Quartiles over recordings", 3), grid(["model", *SCORE_NAMES.values()], quartiles)]


def _comparison_grids(comparison: dict, compared: tuple[str, str]) -> list[str]:
    a, b = compared
    rows = [
        [
            SCORE_NAMES[score],
            *(
                interval(comparison["difference"][statistic][score], sign=True)
                for statistic in ("mean", "median", "pooled")
            ),
            _p(comparison["tests"][score]["wilcoxon_p"]).removeprefix("= "),
            *(str(comparison["tests"][score][kind]) for kind in ("better", "worse", "equal")),
        ]
        for score in SCALAR_SCORES
    ]
    header = ["score", "mean difference", "median difference", "pooled", "Wilcoxon p", "better", "worse", "equal"]
    pieces = [heading(f"{b} minus {a}, paired by recording", 3), grid(header, rows)]
    if len(comparison["seeds"]) > 1:
        by_seed = [
            [seed, *(number(values[score], sign=True) for score in SCALAR_SCORES)]
            for seed, values in comparison["by_seed"].items()
        ]
        pieces += [heading("Mean difference by seed", 3), grid(["seed", *SCORE_NAMES.values()], by_seed)]
    return pieces


def _model_grids(analysis: Analysis) -> list[str]:
    name, metrics = analysis.name, analysis.metrics
    per_class = [
        [label, *(number(entry[key]) for key in ("precision", "recall", "f1")), f"{entry['support']:,}"]
        for label, entry in metrics["overall"]["per_class"].items()
    ]
    pieces = [
        heading(f"{name}: each class, sleep epochs pooled", 3),
        grid(["class", "precision", "recall", "F1", "scored"], per_class),
    ]
    groups = [
        [
            f"{column}: {group}",
            str(found["recordings"]),
            str(found["subjects"]),
            *(interval(found["mean"][score], 2) for score in ("kappa", "accuracy", "weighted_f1")),
            interval(found["pooled"]["kappa"], 2),
        ]
        for column, of_column in metrics["groups"].items()
        for group, found in of_column.items()
    ]
    if groups:
        header = ["group", "recordings", "subjects", "kappa", "accuracy", "weighted F1", "pooled kappa"]
        pieces += [heading(f"{name}: groups", 3), grid(header, groups)]
    calibration = metrics["calibration"]
    values = [number(calibration[key]) for key in ("ece", "brier", "nll")]
    header = ["expected calibration error", "Brier score (0 to 2)", "negative log-likelihood, nats"]
    pieces += [heading(f"{name}: calibration", 3), grid(header, [values])]
    if metrics["scorers"]:
        pieces += [heading(f"{name}: against each scorer", 3), _scorers_grid(metrics["scorers"])]
    if "distillation" in metrics:
        pieces += _distillation_grids(name, metrics["distillation"], analysis.class_names)
    return pieces + _sleep_grids(name, metrics["sleep_medicine"])


def _distillation_grids(name: str, found: dict, class_names: Sequence[str]) -> list[str]:
    agreement = found["agreement"]
    header = ["agreement", "kappa with the teacher", "repeats it where right", "repeats it where wrong", "sleep epochs"]
    values = [number(agreement[key]) for key in ("agreement", "kappa", "follows_right", "follows_wrong")]
    title = f"{name}: against its teacher ({found['teacher']})"
    pieces = [heading(title, 3), grid(header, [[*values, f"{agreement['n']:,}"]])]
    if "contested" in found:
        kinds = {
            "both_right": "both right",
            "distilled_right": f"only {name} right",
            "baseline_right": "only the baseline right",
            "both_wrong": "both wrong",
        }
        rows = [[label, *(f"{found['contested'][kind][k]:,}" for kind in kinds)] for k, label in enumerate(class_names)]
        title = f"{name}: scored sleep epochs, against the baseline ({found['baseline']})"
        pieces += [heading(title, 3), grid(["class", *kinds.values()], rows)]
    return pieces


def _sleep_grids(name: str, medicine: dict) -> list[str]:
    if "missing" in medicine:
        return [heading(f"{name}: sleep statistics", 3), paragraph(medicine["missing"])]
    header = ["class", "sensitivity", "specificity", "positive predictive value", "negative predictive value"]
    rows = [
        [label, *(number(entry[key], 1) for key in ("sensitivity", "specificity", "precision", "npv"))]
        for label, entry in medicine["stages"].items()
    ]
    title = f"{name}: each class against the rest, %, sleep epochs pooled (YASA)"
    pieces = [heading(title, 3), grid(header, rows)]
    if not medicine["agreement"]:
        return pieces
    failed = {
        "not_normal": "differences not normal",
        "proportional_bias": "bias depends on the value",
        "uneven_spread": "spread depends on the value",
    }
    rows = [
        [
            statistic,
            DESCRIPTIONS.get(statistic, "share of sleep, %" if statistic.startswith("%") else "min"),
            str(entry["n"]),
            number(entry["scored"], 1),
            number(entry["predicted"], 1),
            interval(entry["bias"], 1, sign=True),
            " to ".join(number(entry[limit]["value"], 1, sign=True) for limit in ("loa_lower", "loa_upper")),
            ", ".join(text for key, text in failed.items() if entry[key]),
        ]
        for statistic, entry in medicine["agreement"].items()
    ]
    header = ["statistic", "what it is", "n", "scored", "predicted", "bias [95 %]", "limits of agreement", "note"]
    pieces += [
        heading(f"{name}: sleep statistics, predicted against scored (YASA)", 3),
        grid(header, rows, text_columns=(1, 7)),
    ]
    if medicine["repeated"]:
        pieces.append(
            paragraph("Some subjects have several recordings; bias and limits take them as independent.", "quiet")
        )
    return pieces


def _scorers_grid(scorers: dict) -> str:
    """What the model has against each scorer, and what they have against one another."""
    each = {f"scorer {number}": found for number, found in enumerate(scorers["each"], start=1)}
    named = {
        **each,
        "mean over scorers": scorers["mean"],
        "their consensus": scorers["consensus"],
        "scorers against one another": scorers["among_scorers"],
    }
    rows = [[name, *(number(found[score]) for score in SCORE_NAMES)] for name, found in named.items()]
    return grid([f"{scorers['nights']} nights of several scorers", *SCORE_NAMES.values()], rows)


def _recording_grid(analyses: Sequence[Analysis]) -> list[str]:
    shown = {"kappa": "kappa", "accuracy": "accuracy", "weighted_f1": "weighted F1"}
    header = ["recording", "subject", "subset", "standard", "scored"]
    header += [f"{analysis.name}: {text}" for analysis in analyses for text in shown.values()]
    rows = []
    for recording, entry in analyses[0].metrics["by_recording"].items():
        of_models = [analysis.metrics["by_recording"].get(recording, {}) for analysis in analyses]
        rows.append(
            [recording, *(entry[key] for key in ("subject", "subset", "standard")), f"{entry['n']:,}"]
            + [number(of_model.get(score)) for of_model in of_models for score in shown]
        )
    return [heading("Each recording", 3), grid(header, rows)]


def _provenance(provenance: Provenance) -> list[str]:
    pieces = [code(provenance.commands)] if provenance.commands else []
    for topic, settings in provenance.settings.items():
        rows = [[key, value] for key, value in _flat(settings)]
        pieces += [heading(f"Settings: {topic}", 3), grid(["key", "value"], rows, text_columns=(1,))]
    found = {**report_versions(), **provenance.versions}
    return [*pieces, heading("Versions", 3), grid(["of", "version"], list(found.items()), text_columns=(1,))]


def _flat(settings: Mapping, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (a.b.c, value) pairs."""
    pairs: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", str(value)))
    return pairs
