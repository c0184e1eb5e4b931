"""Scores of cross-validated networks by cohort and cadence, and the network that ships with its model card."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sleepkd.checkpoints.calibrated import Calibration, calibrated_weights, fit_calibration
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from sleepkd.checkpoints.ensemble_checkpoint import ensemble_checkpoint
from sleepkd.checkpoints.shipped import SHIPPED, shipped_checkpoint
from sleepkd.checkpoints.temperature import temperature_path
from sleepkd.checkpoints.trained import TrainedNetwork, load_trained
from sleepkd.data.averaged_rate import RateDevice, averaged_beats
from sleepkd.data.beats import median_interval
from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED, merged_classes
from sleepkd.data.pseudo_labels import merge_probabilities
from sleepkd.data.recording_info import BeatsInfo
from sleepkd.data.store import Night, Store
from sleepkd.evaluation.scores.bootstrap import bootstrap_intervals
from sleepkd.evaluation.scores.groups import BANDS
from sleepkd.evaluation.scores.metrics import batch_scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.night_scores import night_scores
from sleepkd.evaluation.scores.summary import confusions_of, json_safe
from sleepkd.prediction.card import AVERAGED, HEARTBEATS, CardScore, ModelCard, TrainingNights, write_card
from sleepkd.study.ensemble_distillation import (
    EnsembleDistillation,
    Excluded,
    calibrated,
    geometric_mean,
    logits_of,
    network_predictions,
)

AVERAGES_S = (15.0, 30.0, 60.0)
"""Windows and cadences of the averaged heart rates that students are evaluated on, besides the nights as recorded."""
BIAS_SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of the class bias of highest likelihood: all of it calibrates best, part of it can have a higher kappa."""
SLEEP_ACCEL = (
    "O. Walch, Y. Huang, D. Forger, C. Goldstein: Sleep stage prediction with raw acceleration and "
    "photoplethysmography heart rate data derived from a consumer wearable device. Sleep 2019; PhysioNet sleep-accel "
    "1.0.0, doi 10.13026/hmhs-py35"
)
SLPDB = (
    "Y. Ichimaru, G. B. Moody: Development of the polysomnographic database on CD-ROM. Psychiatry Clin Neurosci 1999; "
    "53:175; PhysioNet slpdb 1.0.0"
)
APNEA_ECG = (
    "T. Penzel, G. B. Moody, R. G. Mark, A. L. Goldberger, J. H. Peter: The Apnea-ECG Database. Computers in "
    "Cardiology 2000; PhysioNet apnea-ecg 1.0.0, doi 10.13026/C23W2R"
)
AGE_GROUPS = (*(f"age {name}" for name in BANDS["age"].names), "age unknown")
SEX_GROUPS = ("women", "men", "sex unknown")
SIMULATED = "simulated_beats"
SOURCES = {
    "sleep_accel": ("ODC-By 1.0", SLEEP_ACCEL),
    "slpdb_beats": ("ODC-By 1.0", SLPDB),
    "apnea_ecg": ("ODC-By 1.0", APNEA_ECG),
    SIMULATED: ("MIT", "sleepkd simulate --channels beats"),
}
"""Licence and attribution by cohort."""
HEARTBEATS_OF_APNEA = "Its only labelled heartbeats are of men, most with sleep apnea, who had little REM sleep."
NOT_FOR = (
    "The REM sleep of healthy people from heartbeats or ECG: it has not been evaluated on any labelled night of them.",
    "Diagnosis or treatment: it is not a medical device.",
    "Children and infants: no training night is of one.",
    "People with a pacemaker, atrial fibrillation or another arrhythmia: no training night is of one.",
    "Naps and days: all training nights are nights.",
    "Counting the deep sleep of people with severe sleep apnea: the twelve nights of slpdb hold hardly any.",
)


@dataclass(frozen=True)
class StudentResults:
    """The nights that students never saw, by the averaging of their input in s (None: as recorded), of all seeds.

    calibrations: for the network that ships, fitted on all of them, by averaging too.
    """

    nights: Mapping[float | None, Sequence[NightPredictions]]
    cadences: Mapping[str, float]
    calibrations: Mapping[float | None, Calibration]

    @property
    def cadence_bias(self) -> dict[str, list[float]]:
        """`Checkpoint.cadence_bias` of the network that ships, relative to the bias within its weights.

        It is 0 at the cadence of nights that were recorded as an averaged heart rate.
        """
        recorded = self.calibrations[None].bias
        recorded_s = [cadence for cadence in self.cadences.values() if cadence]
        given = {cadence: np.zeros_like(recorded) for cadence in sorted(recorded_s)[:1]} | {
            average: calibration.bias - recorded for average, calibration in self.calibrations.items() if average
        }
        return {f"{cadence:g}": [round(float(x), 4) for x in bias] for cadence, bias in given.items()}


def evaluate_students(
    plan: EnsembleDistillation, students: Mapping[tuple[Excluded, int], Sequence[TrainedNetwork]], seeds: Sequence[int]
) -> StudentResults:
    """Predict every labelled night by the student that excludes it, calibrated on the nights of the other folds.

    Each averaging has its own calibration: slow averages show less of a sleep stage, which shifts the prior.

    students: by the folds that they exclude and their seed; of several networks, the geometric mean of probabilities.
    """
    raw: dict[tuple[int, int, float | None], list[NightPredictions]] = {}
    cadences: dict[str, float] = {}
    for fold in range(plan.folds):
        nights = plan.test_nights((fold,))
        cadences |= {night.cohort: night.cadence_s() for night in nights}
        for average in (None, *AVERAGES_S):
            given = [night if average is None else averaged_night(night, average) for night in nights]
            # Ensembles of different seeds share members: each predicts the nights once.
            members = {network.path: network for seed in seeds for network in students[(fold,), seed]}
            predicted = {path: network_predictions(network, given) for path, network in members.items()}
            for seed in seeds:
                raw[fold, seed, average] = geometric_mean([predicted[x.path] for x in students[(fold,), seed]])
    found: dict[float | None, list[NightPredictions]] = {average: [] for average in (None, *AVERAGES_S)}
    for (fold, seed, average), nights_of_fold in raw.items():
        others = [night for key, some in raw.items() if key[0] != fold and key[1:] == (seed, average) for night in some]
        calibration = calibration_of(others)
        found[average] += [calibrated(night, calibration) for night in nights_of_fold]
    of_everything = {
        average: calibration_of([night for key, some in raw.items() if key[2] == average for night in some])
        for average in found
    }
    return StudentResults(found, cadences, of_everything)


def calibration_of(nights: Sequence[NightPredictions]) -> Calibration:
    """The class bias fitted on these nights, without the temperature, times the share of it with the highest kappa.

    The temperature, above 1, leaves light sleep predicted too often beside this bias: on held-out nights kappa was .39
    with it and .42 without on sleep_accel, .30 and .34 on slpdb, and the pooled calibration error .04 either way.
    """
    fitted = fit_calibration([logits_of(night) for night in nights], [night.labels for night in nights])
    candidates = [replace(fitted, temperature=1.0, bias=share * fitted.bias) for share in BIAS_SHARES]
    return max(candidates, key=lambda candidate: mean_kappa([calibrated(night, candidate) for night in nights]))


def mean_kappa(nights: Sequence[NightPredictions]) -> float:
    """Kappa, the mean over the nights of each cohort, then over cohorts, then over 4 and 3 classes (or fewer)."""
    by_cohort: dict[str, list[float]] = {}
    for night in nights:
        among = [merged(night, classes) for classes in (4, 3) if classes < night.n_classes]
        kappas = [float(batch_scores(each.confusion[None])["kappa"][0]) for each in (night, *among)]
        by_cohort.setdefault(night.cohort, []).append(float(np.mean(kappas)))
    return float(np.mean([np.mean(kappas) for kappas in by_cohort.values()]))


def averaged_night(night: Night, seconds: float) -> Night:
    """A night whose heartbeats are read as a heart rate averaged over so many seconds, as often, in whole numbers."""
    beats = averaged_beats(np.asarray(night.beats()), RateDevice(seconds, seconds))
    info = BeatsInfo(f"averaged over {seconds:g} s", len(beats), median_interval(beats))
    return replace(night, info=replace(night.info, beats=info), _maps={"beats.npy": beats})


def merged(night: NightPredictions, classes: int) -> NightPredictions:
    """A night in fewer classes: probabilities of merged stages are summed."""
    among = np.array([*merged_classes(night.n_classes, classes), UNSCORED], dtype=np.int8)  # -1 reaches the last
    return replace(night, labels=among[night.labels], probabilities=merge_probabilities(night.probabilities, classes))


def typical_night(results: StudentResults, cohort: str) -> NightPredictions:
    """The held-out night of a cohort with the median kappa (of an even number, the lower one), as recorded."""
    nights = [night for night in results.nights[None] if night.cohort == cohort]
    kappas = [float(batch_scores(night.confusion[None])["kappa"][0]) for night in nights]
    return nights[np.argsort(kappas, kind="stable")[(len(nights) - 1) // 2]]


def scores_of(results: StudentResults, seeds: Sequence[int]) -> tuple[list[CardScore], dict[str, Any]]:
    """The scores of the card, and the calibration by cohort."""
    scores, calibration = [], {}
    for average, nights in results.nights.items():
        for cohort in sorted({night.cohort for night in nights}):
            of_cohort = [night for night in nights if night.cohort == cohort]
            cadence = average or float(round(results.cadences[cohort])) or None
            for classes in (4, 3):
                found = night_scores([merged(night, classes) for night in of_cohort], CLASS_NAMES[classes])
                kappa, count = found["kappa"], len({night.recording for night in of_cohort})
                scores.append(
                    CardScore(
                        cohort, AVERAGED if cadence else HEARTBEATS, classes, count, round(kappa["value"], 4), cadence,
                        round(kappa["low"], 4), round(kappa["high"], 4), method_of(seeds),
                    )
                )  # fmt: skip
                if average is None and classes == 4:
                    calibration[cohort] = _calibration(found)
    return scores, calibration


def scores_by_sleeper(results: StudentResults, seeds: Sequence[int]) -> list[CardScore]:
    """Kappa of the nights as recorded, by cohort and group of age or sex; unknown ages and sexes are groups, too.

    Groups without any defined kappa are left out. The interval is None for nights of a single person.
    """
    scores = []
    nights = results.nights[None]
    for cohort in sorted({night.cohort for night in nights}):
        of_cohort = [night for night in nights if night.cohort == cohort]
        cadence = float(round(results.cadences[cohort])) or None
        for group in (*AGE_GROUPS, *SEX_GROUPS):
            chosen = [night for night in of_cohort if group in sleeper_groups(night)]
            for classes in (4, 3) if chosen else ():
                found = bootstrap_intervals(
                    confusions_of([merged(night, classes) for night in chosen], classes),
                    [night.subject for night in chosen],
                )["mean"]["kappa"]
                if not np.isfinite(found["value"]):
                    continue
                low, high = (round(end, 4) if np.isfinite(end) else None for end in (found["low"], found["high"]))
                scores.append(
                    CardScore(
                        cohort, AVERAGED if cadence else HEARTBEATS, classes, len({x.recording for x in chosen}),
                        round(found["value"], 4), cadence, low, high, method_of(seeds), group=group,
                    )
                )  # fmt: skip
    return scores


def sleeper_groups(night: NightPredictions) -> tuple[str, str]:
    """The group of age and the group of sex of a night."""
    by_age = "age unknown" if night.age is None else f"age {BANDS['age'].of(str(night.age))}"
    return by_age, {"F": "women", "M": "men", None: "sex unknown"}[night.sex]


def method_of(seeds: Sequence[int]) -> str:
    """How nights were held out, in words."""
    return f"cross-validation by subject, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"


def _calibration(found: Mapping[str, Any]) -> dict[str, Any]:
    latency = found["rem_latency_error_min"]
    return {
        "expected calibration error by night": round(found["ece_by_night"]["value"], 4),
        "of perfectly calibrated nights": round(found["ece_by_night"]["floor"], 4),
        "pooled": round(found["ece_pooled"]["value"], 4),
        "share predicted less share scored": {
            name: round(share["value"], 3) for name, share in found["stage_share_difference"].items()
        },
        "REM latency error, median, min": json_safe(round(latency["median"]["value"], 1)),  # no night has REM: null
    }


def store_network(
    plan: EnsembleDistillation, checkpoints: Sequence[Path], results: StudentResults, seeds: Sequence[int], made_by: str
) -> None:
    """Write the calibrated network to sleepkd/weights, and its model card (JSON and Markdown).

    checkpoints: several are stored as an ensemble.
    """
    path = shipped_checkpoint()
    trained = ensemble_checkpoint(checkpoints) if len(checkpoints) > 1 else read_checkpoint(checkpoints[0])
    weights = calibrated_weights(trained.model, results.calibrations[None])
    config = without_paths(trained.config)
    shipped = Checkpoint(
        config, trained.inputs, weights, trained.position, trained_on=trained.trained_on,
        cadence_bias=results.cadence_bias,
    )  # fmt: skip
    save_checkpoint(path, shipped)
    temperature_path(path).unlink(missing_ok=True)  # of an earlier network; this one is calibrated
    scores, calibration = scores_of(results, seeds)
    network = load_trained(path)
    calibration["kappa of the network that ships on its own training nights"] = training_kappas(plan, network)
    labelled = {cohort_of(store) for store in plan.labelled}
    seen = Counter(key.split("/")[0] for key in network.trained_on)
    real = {cohort: count for cohort, count in seen.items() if cohort != SIMULATED}
    listed = ", ".join(f"{count} of {cohort}" for cohort, count in real.items())
    roles = dict.fromkeys(real, "pseudo-labels") | dict.fromkeys(labelled, "labels") | {SIMULATED: "pre-training"}
    card = ModelCard(
        network=SHIPPED,
        classes=CLASS_NAMES[plan.classes],
        parameters=sum(x.numel() for x in network.network.parameters()),
        inputs=("heartbeats", "averaged heart rate", "ECG (by its heartbeats)"),
        trained_on=f"Trained on {sum(real.values())} real nights: {listed}. {HEARTBEATS_OF_APNEA}",
        training_nights=tuple(
            TrainingNights(cohort, count, roles[cohort], *SOURCES[cohort]) for cohort, count in seen.items()
        ),
        not_for=NOT_FOR,
        scores=(*scores, *scores_by_sleeper(results, seeds)),
        calibration=calibration,
        made_by=made_by,
    )
    write_card(card, path.parent)
    for score in scores:
        print(f"{score.cohort}, {score.input_text}: kappa {score.text}")


def cohort_of(store: Store) -> str:
    """The name of a store's cohort."""
    return store.open(store.recordings[0]).cohort


def without_paths(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run named after the network that ships, with stores by their names instead of their paths."""
    nights = [{**source, "store": Path(source["store"]).name} for source in config["data"]["nights"]]
    return {
        **config,
        "runs_root": "runs/weights",
        "stage": {**config["stage"], "name": SHIPPED},
        "data": {**config["data"], "nights": nights},
    }


def training_kappas(plan: EnsembleDistillation, network: TrainedNetwork) -> dict[str, float]:
    """Kappa by cohort, the mean over the labelled training nights: not a score, but tests can repeat it."""
    kappas: dict[str, list[float]] = {}
    for fold in range(plan.folds):
        for night in network_predictions(network, plan.test_nights((fold,))):
            kappas.setdefault(night.cohort, []).append(float(batch_scores(night.confusion[None])["kappa"][0]))
    return {cohort: round(float(np.mean(values)), 4) for cohort, values in sorted(kappas.items())}
