"""Sleep statistics of scored and predicted hypnograms (YASA): bias, limits of agreement, stage transitions.

YASA counts (Hypnogram, EpochByEpochAgreement, SleepStatsAgreement, after Menghini et al. 2021, SLEEP 44(2) zsaa170);
this module converts nights to its classes and its results to plain values. The 3-, 4- and 5-class schemes are YASA's
own (NREM; LIGHT and DEEP; N1 to N3). Nights of 20-s and of 30-s sleep epochs are combined in minutes and percentages
only. YASA and pandas are imported where they are used; without them UserError names the extra to install.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.extras import require_extra

if TYPE_CHECKING:
    import pandas as pd
    import yasa

SCORED, PREDICTED = "scored", "predicted"
_YASA_NAMES = {"W": "WAKE", "light": "LIGHT", "deep": "DEEP"}  # other classes have the same name in both
_UNSCORED = "UNS"
REM_LATENCY = "REM latency"
DESCRIPTIONS = {
    "TIB": "time in bed (length of the hypnogram), min",
    "SPT": "sleep period, first to last sleep, min",
    "TST": "total sleep time, min",
    "WASO": "wake after sleep onset, min",
    "SE": "sleep efficiency, TST / TIB, %",
    "SME": "sleep maintenance efficiency, TST / SPT, %",
    "SFI": "sleep fragmentation index: transitions from sleep to wake per hour of sleep",
    "SOL": "sleep onset latency, min",
    "SOL_5min": "latency to 5 min of uninterrupted sleep, min",
    "Lat_REM": "latency to REM from the start of the hypnogram, min",
    REM_LATENCY: "latency to REM from sleep onset (AASM), min",
}
# Key of metrics.json for a violated assumption: YASA's name of the assumption.
_ASSUMPTIONS = {"not_normal": "normal", "proportional_bias": "constant_bias", "uneven_spread": "homoscedastic"}


def hypnograms(night: NightPredictions, class_names: Sequence[str]) -> tuple["yasa.Hypnogram", "yasa.Hypnogram"]:
    """The night's scored and predicted hypnograms as YASA's, on one grid of sleep epochs.

    A gap between sleep epochs becomes UNS, and so does a prediction where nothing is scored: both hypnograms describe
    the same time, or predicted sleep in unscored minutes would count as bias. Raises UserError as `hypnogram_of` does.
    """
    predicted = np.where(night.scored, night.predictions, -1)
    return (
        hypnogram_of(night, night.labels, class_names, SCORED),
        hypnogram_of(night, predicted, class_names, PREDICTED),
    )


def hypnogram_of(
    night: NightPredictions, stages: np.ndarray, class_names: Sequence[str], scorer: str
) -> "yasa.Hypnogram":
    """Stages of a night's sleep epochs, (N,) class index or -1, as YASA's hypnogram; gaps between them are UNS.

    Raises UserError where one night mixes sleep epochs of different lengths (YASA's grid has one length) or sleep
    epochs overlap, or YASA is not installed.
    """
    require_extra("yasa", "evaluate", "sleep statistics")
    import yasa

    length = float(np.median(night.duration_s))
    if np.any(np.abs(night.duration_s - length) > 0.01):
        raise UserError(f"{night.recording}: no sleep statistics: its sleep epochs have different lengths")
    slots = np.rint((night.onset_s - night.onset_s[0]) / length).astype(int)
    if np.any(np.diff(slots) < 1):
        raise UserError(f"{night.recording}: no sleep statistics: its sleep epochs of {length:g} s overlap")
    names = np.array([*(_YASA_NAMES.get(name, name) for name in class_names), _UNSCORED], dtype=object)
    values = np.full(slots[-1] + 1, _UNSCORED, dtype=object)
    values[slots] = names[stages]
    return yasa.Hypnogram(values, n_stages=len(class_names), freq=f"{length:g}s", scorer=scorer)


def sleep_medicine_of(nights: Sequence[NightPredictions], class_names: Sequence[str]) -> dict:
    """Sleep statistics, their agreement, per-stage accuracy and stage transitions of a set of nights.

    Returns nights (the number with any scored sleep epoch); statistics: DataFrame indexed (scorer, recording), for
    `bland_altman_figure`; agreement: see `agreement_of`; stages: {stage: sensitivity, specificity, precision, npv, f1},
    in %, all sleep epochs pooled; transitions: {stages, scored, predicted}: counts (K, K) of from (row) → to (column)
    between adjacent sleep epochs; repeated: whether a subject has several recordings (see `agreement_of`).
    Raises UserError where nothing is scored, and as `hypnograms` does.
    """
    nights = [night for night in nights if night.scored.any()]
    if not nights:
        raise UserError("no sleep statistics: none of these nights has a scored sleep epoch")
    pairs = {night.recording: hypnograms(night, class_names) for night in nights}
    statistics = _statistics(pairs)
    stages = [_YASA_NAMES.get(name, name) for name in class_names]
    scored, predicted = (_concatenated(side, len(stages)) for side in zip(*pairs.values(), strict=True))
    return {
        "nights": len(nights),
        "repeated": len({night.subject for night in nights}) < len(nights),
        "statistics": statistics,
        "agreement": agreement_of(statistics),
        "stages": _by_stage(scored, predicted),
        "transitions": {
            "stages": list(class_names),
            SCORED: _transitions(scored, stages),
            PREDICTED: _transitions(predicted, stages),
        },
    }


def agreement_of(statistics: "pd.DataFrame") -> dict[str, dict]:
    """Bias (predicted minus scored) and 95 % limits of agreement of each sleep statistic, by YASA.

    statistics: indexed (scorer, recording). Returns {statistic: …} for those that three nights or more define:
    - n, scored, predicted: the number of recordings that define it on both sides, and its means over them;
    - bias, loa_lower, loa_upper: {value, low, high}, with 95 % t intervals (Bland & Altman 1999, Stat Methods Med Res
      8:135-160); 0 where all nights agree exactly;
    - not_normal, proportional_bias, uneven_spread: whether YASA's tests reject the assumptions of these. Where the
      second or third is true, a single bias or a single pair of limits misleads, and the figure draws sloping lines.
    Nights are treated as independent: for several nights per subject YASA needs statsmodels, which sleepkd does not
    require; `repeated` of `sleep_medicine_of` marks such cohorts. Raises UserError where YASA is not installed.
    """
    scored, predicted = statistics.loc[SCORED], statistics.loc[PREDICTED]
    defined = scored.notna() & predicted.notna()
    kept = [name for name in statistics.columns if name != "TIB" and defined[name].sum() >= 3]
    found: dict[str, dict] = {
        name: {
            "n": int(defined[name].sum()),
            SCORED: float(scored[name][defined[name]].mean()),
            PREDICTED: float(predicted[name][defined[name]].mean()),
        }
        for name in kept
    }
    if not kept:
        return {}
    differing = [name for name in kept if (scored[name] - predicted[name])[defined[name]].any()]
    if differing:
        agreement = yasa_agreement(statistics[differing])
        with quiet_yasa():
            summary, assumptions = agreement.summary(ci_method="param"), agreement.assumptions
    for name in kept:
        for ours, theirs in (("bias", "bias_mean"), ("loa_lower", "loa_lower"), ("loa_upper", "loa_upper")):
            row = summary.loc[name, theirs] if name in differing else {"center": 0.0, "lower": 0.0, "upper": 0.0}
            found[name][ours] = {"value": float(row["center"]), "low": float(row["lower"]), "high": float(row["upper"])}
        for ours, theirs in _ASSUMPTIONS.items():
            found[name][ours] = name in differing and not bool(assumptions.loc[name, (theirs, "passed")])
    return found


def _statistics(pairs: dict[str, tuple["yasa.Hypnogram", "yasa.Hypnogram"]]) -> "pd.DataFrame":
    """YASA's sleep statistics of all nights, indexed (scorer, recording), with REM latency from sleep onset added."""
    import pandas as pd

    frames = {
        scorer: pd.DataFrame({name: pair[i].sleep_statistics() for name, pair in pairs.items()}).T
        for i, scorer in enumerate((SCORED, PREDICTED))
    }
    statistics = pd.concat(frames, names=["scorer", "recording"]).drop(columns=_UNSCORED, errors="ignore")
    statistics[REM_LATENCY] = statistics["Lat_REM"] - statistics["SOL"]
    return statistics.astype(float)


def _concatenated(of_nights: Sequence["yasa.Hypnogram"], n_stages: int) -> "yasa.Hypnogram":
    """All nights as one hypnogram, unscored between them, to count sleep epochs of any length.

    YASA's counts night by night would take most of the time of evaluating hundreds of nights.
    """
    import yasa

    values = np.concatenate([np.append(hypnogram.hypno.to_numpy(), _UNSCORED) for hypnogram in of_nights])
    return yasa.Hypnogram(values, n_stages=n_stages, scorer=of_nights[0].scorer)


def _by_stage(scored: "yasa.Hypnogram", predicted: "yasa.Hypnogram") -> dict[str, dict[str, float]]:
    """YASA's one-against-the-rest agreement per stage, in %, NaN where undefined; stages on neither side left out."""
    import yasa

    with quiet_yasa():
        frame = yasa.EpochByEpochAgreement([scored], [predicted]).get_agreement_bystage()
    frame = frame.rename(columns={"recall": "sensitivity", "fbeta": "f1"})
    back = {theirs: ours for ours, theirs in _YASA_NAMES.items()}
    rows = frame[["sensitivity", "specificity", "precision", "npv", "f1"]].astype(float)
    return {back.get(stage, stage): row.to_dict() for stage, row in rows.iterrows()}


def _transitions(hypnogram: "yasa.Hypnogram", stages: Sequence[str]) -> np.ndarray:
    """Counts of stage transitions, (K, K); transitions into and out of unscored time are not counted."""
    counts, _ = hypnogram.transition_matrix()
    return counts.reindex(index=stages, columns=stages, fill_value=0).to_numpy()


def yasa_agreement(statistics: "pd.DataFrame") -> "yasa.SleepStatsAgreement":
    """YASA's comparison of predicted with scored sleep statistics, a frame indexed (scorer, recording).

    Raises UserError where YASA is not installed.
    """
    require_extra("yasa", "evaluate", "sleep statistics")
    import yasa

    with quiet_yasa():
        return yasa.SleepStatsAgreement(
            statistics.loc[SCORED],
            statistics.loc[PREDICTED],
            ref_scorer=SCORED,
            obs_scorer=PREDICTED,
        )


@contextmanager
def quiet_yasa() -> Iterator[None]:
    """Silence YASA's log below errors: what it removes shows in the results (n, and 0 where all nights agree)."""
    logger = logging.getLogger("yasa")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
