"""What a clinician reads off a hypnogram, scored against predicted: sleep statistics, bias and limits, transitions.

YASA does the counting (Hypnogram, EpochByEpochAgreement, SleepStatsAgreement, after Menghini et al. 2021, SLEEP 44(2)
zsaa170); here nights are brought into its form and its numbers out of it. The 3-, 4- and 5-class schemes are YASA's own
(NREM; LIGHT and DEEP; N1 to N3). Nights of 20-s and of 30-s sleep epochs meet only in minutes and percentages.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import yasa

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.night import NightPredictions

SCORED, PREDICTED = "scored", "predicted"
_YASA_NAMES = {"W": "WAKE", "light": "LIGHT", "deep": "DEEP"}  # the others are the same in both
_UNSCORED = "UNS"
REM_LATENCY = "REM latency"
DESCRIPTIONS = {
    "TIB": "time in bed (length of the hypnogram), min",
    "SPT": "sleep period, first to last sleep, min",
    "TST": "total sleep time, min",
    "WASO": "wake after sleep onset, min",
    "SE": "sleep efficiency, TST / TIB, %",
    "SME": "sleep maintenance efficiency, TST / SPT, %",
    "SFI": "shifts from sleep to wake per hour of sleep",
    "SOL": "latency to the first sleep, min",
    "SOL_5min": "latency to 5 min of sleep on end, min",
    "Lat_REM": "latency to REM from the start of the hypnogram, min",
    REM_LATENCY: "latency to REM from the first sleep (AASM), min",
}
# What fails, in our words: YASA's name of the assumption.
_ASSUMPTIONS = {"not_normal": "normal", "proportional_bias": "constant_bias", "uneven_spread": "homoscedastic"}


def hypnograms(night: NightPredictions, class_names: Sequence[str]) -> tuple[yasa.Hypnogram, yasa.Hypnogram]:
    """The night scored and predicted, as YASA's hypnograms on one grid of sleep epochs.

    A hole between sleep epochs becomes UNS, and so does a prediction where nothing is scored: both describe the same
    time, or predicted sleep in unscored minutes would count as a bias. Raises UserError where sleep epochs of different
    lengths are mixed in one night, since YASA's grid has one.
    """
    length = float(np.median(night.duration_s))
    if np.any(np.abs(night.duration_s - length) > 0.01):
        raise UserError(f"{night.recording}: sleep epochs of different lengths in one night have no sleep statistics")
    slots = np.rint((night.onset_s - night.onset_s[0]) / length).astype(int)
    if np.any(np.diff(slots) < 1):
        raise UserError(f"{night.recording}: sleep epochs of {length:g} s overlap")
    names = np.array([*(_YASA_NAMES.get(name, name) for name in class_names), _UNSCORED], dtype=object)
    pair = []
    for scorer, stages in ((SCORED, night.labels), (PREDICTED, np.where(night.scored, night.predictions, -1))):
        values = np.full(slots[-1] + 1, _UNSCORED, dtype=object)
        values[slots] = names[stages]
        pair.append(yasa.Hypnogram(values, n_stages=len(class_names), freq=f"{length:g}s", scorer=scorer))
    return pair[0], pair[1]


def sleep_medicine_of(nights: Sequence[NightPredictions], class_names: Sequence[str]) -> dict:
    """Everything below of a set of nights, and the pandas frame of statistics for `pictures.bland_altman`.

    Returns nights (how many have anything scored); statistics: DataFrame indexed (scorer, recording); agreement: see
    `agreement_of`; stages: {stage: sensitivity, specificity, precision, npv, f1}, in %, all sleep epochs pooled;
    transitions: {stages, scored, predicted}: counts (K, K) of from (row) → to (column) between neighbouring sleep
    epochs; repeated: whether a subject has several recordings (see `agreement_of`).
    """
    nights = [night for night in nights if night.scored.any()]
    if not nights:
        raise UserError("no sleep statistics: none of these nights has a scored sleep epoch")
    pairs = {night.recording: hypnograms(night, class_names) for night in nights}
    statistics = _statistics(pairs)
    stages = [_YASA_NAMES.get(name, name) for name in class_names]
    joined = [_joined(side, len(stages)) for side in zip(*pairs.values(), strict=True)]
    return {
        "nights": len(nights),
        "repeated": len({night.subject for night in nights}) < len(nights),
        "statistics": statistics,
        "agreement": agreement_of(statistics),
        "stages": _by_stage(*joined),
        "transitions": {
            "stages": list(class_names),
            SCORED: _transitions(joined[0], stages),
            PREDICTED: _transitions(joined[1], stages),
        },
    }


def agreement_of(statistics: pd.DataFrame) -> dict[str, dict]:
    """Bias (predicted minus scored) and 95 % limits of agreement of each sleep statistic, by SleepStatsAgreement.

    statistics: indexed (scorer, recording). Returns {statistic: …} for those that three nights or more define:
    - n, scored, predicted: how many recordings define it on both sides, and its means over them;
    - bias, loa_lower, loa_upper: {value, low, high}, with 95 % t intervals (Bland & Altman 1999, Stat Methods Med Res
      8:135-160); 0 where all nights agree exactly;
    - not_normal, proportional_bias, uneven_spread: YASA's tests of what these assume. Where the second or third is
      true, one bias or one pair of limits misleads, and the figure draws sloping lines.
    Nights are taken as independent: for several nights of one subject YASA needs statsmodels, which is not among the
    requirements; `repeated` of `sleep_medicine_of` says when that matters.
    """
    scored, predicted = statistics.loc[SCORED], statistics.loc[PREDICTED]
    defined = scored.notna() & predicted.notna()
    kept = [name for name in statistics.columns if name != "TIB" and defined[name].sum() >= 3]
    found = {
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
        agreement = agreement_by_yasa(statistics[differing])
        with quiet_yasa():
            summary, assumptions = agreement.summary(ci_method="param"), agreement.assumptions
    for name in kept:
        for ours, theirs in (("bias", "bias_mean"), ("loa_lower", "loa_lower"), ("loa_upper", "loa_upper")):
            row = summary.loc[name, theirs] if name in differing else {"center": 0.0, "lower": 0.0, "upper": 0.0}
            found[name][ours] = {"value": float(row["center"]), "low": float(row["lower"]), "high": float(row["upper"])}
        for ours, theirs in _ASSUMPTIONS.items():
            found[name][ours] = name in differing and not bool(assumptions.loc[name, (theirs, "passed")])
    return found


def _statistics(pairs: dict[str, tuple[yasa.Hypnogram, yasa.Hypnogram]]) -> pd.DataFrame:
    """YASA's sleep statistics of all nights, indexed (scorer, recording), with REM latency from sleep onset added."""
    frames = {
        scorer: pd.DataFrame({name: pair[i].sleep_statistics() for name, pair in pairs.items()}).T
        for i, scorer in enumerate((SCORED, PREDICTED))
    }
    statistics = pd.concat(frames, names=["scorer", "recording"]).drop(columns=_UNSCORED, errors="ignore")
    statistics[REM_LATENCY] = statistics["Lat_REM"] - statistics["SOL"]
    return statistics.astype(float)


def _joined(of_nights: Sequence[yasa.Hypnogram], n_stages: int) -> yasa.Hypnogram:
    """All nights one after the other, unscored between them, to count sleep epochs whatever their length. (Night by
    night, YASA's counting takes most of the time of evaluating hundreds.)"""
    values = np.concatenate([np.append(hypnogram.hypno.to_numpy(), _UNSCORED) for hypnogram in of_nights])
    return yasa.Hypnogram(values, n_stages=n_stages, scorer=of_nights[0].scorer)


def _by_stage(scored: yasa.Hypnogram, predicted: yasa.Hypnogram) -> dict[str, dict[str, float]]:
    """YASA's one-against-the-rest agreement per stage, in %, NaN where undefined; stages on neither side left out."""
    with quiet_yasa():
        frame = yasa.EpochByEpochAgreement([scored], [predicted]).get_agreement_bystage()
    frame = frame.rename(columns={"recall": "sensitivity", "fbeta": "f1"})
    back = {theirs: ours for ours, theirs in _YASA_NAMES.items()}
    rows = frame[["sensitivity", "specificity", "precision", "npv", "f1"]].astype(float)
    return {back.get(stage, stage): row.to_dict() for stage, row in rows.iterrows()}


def _transitions(joined: yasa.Hypnogram, stages: Sequence[str]) -> np.ndarray:
    """Counts of stage to stage, (K, K); steps into and out of unscored time are not counted."""
    counts, _ = joined.transition_matrix()
    return counts.reindex(index=stages, columns=stages, fill_value=0).to_numpy()


def agreement_by_yasa(statistics: pd.DataFrame) -> yasa.SleepStatsAgreement:
    """YASA's comparison of predicted with scored sleep statistics, a frame indexed (scorer, recording)."""
    with quiet_yasa():
        return yasa.SleepStatsAgreement(
            statistics.loc[SCORED],
            statistics.loc[PREDICTED],
            ref_scorer=SCORED,
            obs_scorer=PREDICTED,
        )


@contextmanager
def quiet_yasa() -> Iterator[None]:
    """Silence YASA's log below errors: what it removes and why is in the numbers (n, and zeros where all agree)."""
    logger = logging.getLogger("yasa")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
