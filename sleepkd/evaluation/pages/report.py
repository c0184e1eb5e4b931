"""report.html of an evaluation: headline result, figures, tables of all scores, and how to reproduce it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from platform import python_version

from sleepkd.evaluation.pages.page import (
    MISSING,
    code,
    heading,
    headline,
    interval,
    number,
    page,
    paragraph,
    pictures,
    side_by_side,
    table,
)
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.evaluation.scores.metrics import SCALAR_SCORES
from sleepkd.evaluation.scores.sleep_medicine import DESCRIPTIONS
from sleepkd.evaluation.scores.summary import Analysis
from sleepkd.files import write_text_atomically
from sleepkd.provenance import code_version, versions

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
    """How to reproduce a report: command lines, settings by model or topic, and versions."""

    commands: Sequence[str] = ()
    settings: Mapping[str, Mapping] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def report_versions() -> dict[str, str]:
    """The commit of this checkout, and the installed versions of Python and of the packages that compute the scores."""
    return {"sleepkd": code_version(), "python": python_version(), **versions(_PACKAGES)}


def write_report(
    path: str | Path,
    title: str,
    analyses: Sequence[Analysis],
    figures: Mapping[str, Sequence[Picture]],
    provenance: Provenance,
    *,
    comparison: dict | None = None,
    compared: tuple[str, str] = ("A", "B"),
    notes: Sequence[str] = (),
) -> None:
    """Write the report of one or more models on the same nights; the file appears whole or not at all.

    figures: {heading: pictures}, in the order shown. comparison: a `compare` result; compared: the names of its A and
    B. notes: what a reader must know before the scores. Raises ValueError without a model.
    """
    if not analyses:
        raise ValueError("a report needs at least one model")
    first = analyses[0].metrics["intervals"]
    recordings = f"{first['recordings']} recordings of {first['subjects']} subjects"
    scored = f"{analyses[0].metrics['overall']['n']:,} scored sleep epochs"
    body = [
        heading(title, 1),
        paragraph(f"{recordings}; {scored}; classes {', '.join(analyses[0].class_names)}.", "quiet"),
        *(paragraph(note, "note") for note in notes),
        _gain_box(comparison, compared) if comparison else _kappa_box(analyses[0]),
        side_by_side(_kappa_box(analysis) for analysis in (analyses if comparison else analyses[1:])),
        paragraph(
            "Intervals: 95 %, bootstrap over subjects. Kappa is the mean over recordings unless marked as pooled.",
            "quiet",
        ),
        heading("Figures"),
        *(element for name, shown in figures.items() if shown for element in (heading(name, 3), pictures(shown))),
        heading("Tables"),
        *_score_tables(analyses),
        *(_comparison_tables(comparison, compared) if comparison else ()),
        *(element for analysis in analyses for element in _model_tables(analysis)),
        *_recording_table(analyses),
        heading("How to reproduce"),
        *_provenance(provenance),
    ]
    write_text_atomically(path, page(title, body))


def _kappa_box(analysis: Analysis) -> str:
    found = analysis.metrics["intervals"]
    kappa = found["mean"]["kappa"]
    others = ", ".join(
        f"{SCORE_NAMES[score]} {number(found['mean'][score]['value'], 2)}" for score in ("accuracy", "weighted_f1")
    )
    pooled = number(found["pooled"]["kappa"]["value"], 2)
    return headline(
        f"kappa {number(kappa['value'], 2)}",
        _range(kappa, 2),
        f"{analysis.name}: mean over {found['recordings']} recordings; {others}. All sleep epochs pooled: {pooled}.",
    )


def _gain_box(comparison: dict, compared: tuple[str, str]) -> str:
    a, b = compared
    gain, tests = comparison["difference"]["mean"]["kappa"], comparison["tests"]["kappa"]
    low, high = gain["low"], gain["high"]
    if low is not None and low > 0:
        verdict, kind = f"{b} is better than {a}", "better"
    elif high is not None and high < 0:
        verdict, kind = f"{b} is worse than {a}", "worse"
    else:
        verdict, kind = f"No significant difference between {b} and {a}", ""
    seeds = f" and {len(comparison['seeds'])} seeds" if len(comparison["seeds"]) > 1 else ""
    return headline(
        f"{number(gain['value'], 3, sign=True)} kappa",
        _range(gain, 3, sign=True),
        f"{verdict}: mean paired difference over {comparison['recordings']} recordings{seeds}; {tests['better']} "
        f"better, {tests['worse']} worse (Wilcoxon signed-rank, p {_p(tests['wilcoxon_p'])}).",
        kind,
    )


def _range(entry: dict, digits: int, sign: bool = False) -> str:
    low, high = number(entry["low"], digits, sign), number(entry["high"], digits, sign)
    return "no interval: too few subjects" if MISSING in (low, high) else f"95 % interval {low} to {high}"


def _p(value: float | None) -> str:
    text = number(value, 3)
    return "< 0.001" if text == "0.000" else f"= {text}"


def _score_tables(analyses: Sequence[Analysis]) -> list[str]:
    titles = {"mean": "Mean over recordings", "median": "Median over recordings", "pooled": "All sleep epochs pooled"}
    elements = []
    for statistic, title in titles.items():
        rows = [
            [a.name, *(interval(a.metrics["intervals"][statistic][score]) for score in SCALAR_SCORES)] for a in analyses
        ]
        elements += [heading(title, 3), table(["model", *SCORE_NAMES.values()], rows)]
    quartiles = []
    for a in analyses:
        low, high = (a.metrics["over_recordings"][quartile] for quartile in ("q1", "q3"))
        quartiles.append([a.name, *(f"{number(low[score])} to {number(high[score])}" for score in SCALAR_SCORES)])
    return [*elements, heading("Quartiles over recordings", 3), table(["model", *SCORE_NAMES.values()], quartiles)]


def _comparison_tables(comparison: dict, compared: tuple[str, str]) -> list[str]:
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
    elements = [heading(f"{b} minus {a}, paired by recording", 3), table(header, rows)]
    if len(comparison["seeds"]) > 1:
        by_seed = [
            [seed, *(number(values[score], sign=True) for score in SCALAR_SCORES)]
            for seed, values in comparison["by_seed"].items()
        ]
        elements += [heading("Mean difference by seed", 3), table(["seed", *SCORE_NAMES.values()], by_seed)]
    return elements


def _model_tables(analysis: Analysis) -> list[str]:
    name, metrics = analysis.name, analysis.metrics
    per_class = [
        [label, *(number(entry[key]) for key in ("precision", "recall", "f1")), f"{entry['support']:,}"]
        for label, entry in metrics["overall"]["per_class"].items()
    ]
    elements = [
        heading(f"{name}: each class, sleep epochs pooled", 3),
        table(["class", "precision", "recall", "F1", "scored"], per_class),
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
        elements += [heading(f"{name}: groups", 3), table(header, groups)]
    elements += _night_tables(name, metrics["night_scores"], metrics["calibration"])
    if metrics["scorers"]:
        elements += [heading(f"{name}: agreement with each scorer", 3), _scorers_table(metrics["scorers"])]
    if "input_subsets" in metrics:
        elements += _subset_tables(name, metrics["input_subsets"])
    if "distillation" in metrics:
        elements += _distillation_tables(name, metrics["distillation"], analysis.class_names)
    return elements + _sleep_tables(name, metrics["sleep_medicine"])


def _night_tables(name: str, found: dict, calibration: dict) -> list[str]:
    """Calibration, share of each class, and REM latency error."""
    by_night = found["ece_by_night"]
    values = [interval(by_night), number(by_night["floor"]), interval(found["ece_pooled"])]
    values += [number(calibration[key]) for key in ("brier", "nll")]
    header = ["ECE by night", "floor of ECE by night", "ECE pooled", "Brier score (0 to 2)", "NLL, nats"]
    shares = {label: interval(_percent(x), 1, sign=True) for label, x in found["stage_share_difference"].items()}
    latency = found["rem_latency_error_min"]
    counts = [str(latency[key]) for key in ("both", "only_scored", "only_predicted")]
    rem = ["REM in both: nights", "only scored", "only predicted", "median error, min", "mean error, min"]
    return [
        heading(f"{name}: calibration", 3),
        table(header, [values]),
        paragraph(
            "Floor: the error by night of a perfectly calibrated model. Pooled: errors of nights cancel.", "quiet"
        ),
        heading(f"{name}: share of each class, predicted minus scored, %, mean over recordings", 3),
        table(list(shares), [list(shares.values())]),
        heading(f"{name}: absolute error of REM latency", 3),
        table(rem, [[*counts, *(interval(latency[key], 0) for key in ("median", "mean"))]]),
    ]


def _percent(entry: Mapping[str, float | None]) -> dict[str, float | None]:
    """A {value, low, high} of shares in per cent."""
    return {key: None if share is None else 100 * share for key, share in entry.items()}


def _subset_tables(name: str, found: dict) -> list[str]:
    """Kappa by night of each subset of the inputs, and what each input adds to the others."""
    subsets = [
        [" + ".join(row["inputs"]), str(row["recordings"]), interval(row["kappa"], 2) if row["kappa"] else MISSING]
        for row in found["subsets"]
    ]
    elements = [heading(f"{name}: subsets of its inputs", 3), table(["inputs", "recordings", "kappa"], subsets)]
    adds = [
        [
            signal,
            str(of_input["recordings"]),
            interval(of_input["kappa"], sign=True),
            _p(of_input["wilcoxon_p"]).removeprefix("= "),
            *(str(of_input[kind]) for kind in ("better", "worse")),
        ]
        for signal, of_input in found["adds"].items()
    ]
    if adds:
        header = ["input", "recordings", "kappa added", "Wilcoxon p", "better", "worse"]
        elements += [
            heading(f"{name}: what each input adds to the others, paired by recording", 3),
            table(header, adds),
        ]
    return elements


def _distillation_tables(name: str, found: dict, class_names: Sequence[str]) -> list[str]:
    agreement = found["agreement"]
    header = ["agreement", "kappa", "correct predictions repeated", "wrong predictions repeated", "sleep epochs"]
    values = [number(agreement[key]) for key in ("agreement", "kappa", "follows_right", "follows_wrong")]
    title = f"{name}: agreement with its teacher ({found['teacher']})"
    elements = [heading(title, 3), table(header, [[*values, f"{agreement['n']:,}"]])]
    if "contested" in found:
        kinds = {
            "both_right": "both correct",
            "distilled_right": f"only {name} correct",
            "baseline_right": "only the baseline correct",
            "both_wrong": "both wrong",
        }
        rows = [[label, *(f"{found['contested'][kind][k]:,}" for kind in kinds)] for k, label in enumerate(class_names)]
        title = f"{name}: scored sleep epochs, compared with the baseline ({found['baseline']})"
        elements += [heading(title, 3), table(["class", *kinds.values()], rows)]
    return elements


def _sleep_tables(name: str, medicine: dict) -> list[str]:
    if "missing" in medicine:
        return [heading(f"{name}: sleep statistics", 3), paragraph(medicine["missing"])]
    header = ["class", "sensitivity", "specificity", "positive predictive value", "negative predictive value"]
    rows = [
        [label, *(number(entry[key], 1) for key in ("sensitivity", "specificity", "precision", "npv"))]
        for label, entry in medicine["stages"].items()
    ]
    title = f"{name}: each class against the rest, %, sleep epochs pooled (YASA)"
    elements = [heading(title, 3), table(header, rows)]
    if not medicine["agreement"]:
        return elements
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
    header = ["statistic", "description", "n", "scored", "predicted", "bias [95 %]", "limits of agreement", "note"]
    elements += [
        heading(f"{name}: sleep statistics, predicted against scored (YASA)", 3),
        table(header, rows, text_columns=(1, 7)),
    ]
    if medicine["repeated"]:
        elements.append(
            paragraph("Some subjects have several recordings; bias and limits treat them as independent.", "quiet")
        )
    return elements


def _scorers_table(scorers: dict) -> str:
    """Scores of the model against each scorer, their mean and consensus, and between the scorers."""
    each = {f"scorer {i}": found for i, found in enumerate(scorers["each"], start=1)}
    named = {
        **each,
        "mean over scorers": scorers["mean"],
        "consensus of the scorers": scorers["consensus"],
        "between scorers (inter-rater)": scorers["among_scorers"],
    }
    rows = [[name, *(number(found[score]) for score in SCORE_NAMES)] for name, found in named.items()]
    return table([f"{scorers['nights']} nights with several scorers", *SCORE_NAMES.values()], rows)


def _recording_table(analyses: Sequence[Analysis]) -> list[str]:
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
    return [heading("Each recording", 3), table(header, rows)]


def _provenance(provenance: Provenance) -> list[str]:
    elements = [code(provenance.commands)] if provenance.commands else []
    for topic, settings in provenance.settings.items():
        rows = [[key, value] for key, value in _flat(settings)]
        elements += [heading(f"Settings: {topic}", 3), table(["key", "value"], rows, text_columns=(1,))]
    found = {**report_versions(), **provenance.versions}
    return [*elements, heading("Versions", 3), table(["name", "version"], list(found.items()), text_columns=(1,))]


def _flat(settings: Mapping, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as ("a.b.c", value) pairs."""
    pairs: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", str(value)))
    return pairs
