"""Write the scores of an evaluation: metrics.json and predictions/ of each run, comparison.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sleepkd.checkpoints.temperature import write_temperature
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.evaluation.analysis import analyse
from sleepkd.evaluation.inference import EvaluatedNetwork
from sleepkd.evaluation.input_subsets import subset_lines, subset_scores
from sleepkd.evaluation.pages.page import interval, number
from sleepkd.evaluation.predictions import write_predictions
from sleepkd.evaluation.references import References
from sleepkd.evaluation.runs import EvaluatedRun, EvaluationProtocol, by_seed
from sleepkd.evaluation.scores.calibration import fit_temperature, temperature_scaled_night
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.evaluation.scores.summary import Analysis, json_safe, write_metrics
from sleepkd.evaluation.teacher_student.trio import Trio, distillation_of

HEADLINE = (("kappa", "kappa"), ("accuracy", "accuracy"), ("weighted F1", "weighted_f1"))


@dataclass(frozen=True)
class RunResults:
    """The scores of a run as written to its folder. trio: the run with its teacher, if it is evaluated beside one."""

    run: EvaluatedRun
    network: EvaluatedNetwork
    analysis: Analysis
    trio: Trio | None = None

    @property
    def side(self) -> str:
        """The name of all runs that differ by their seed only, with the mark of the nights."""
        return self.network.held_out.named(self.run.side)

    @property
    def lines(self) -> list[str]:
        """Its scores in lines to print: all sleep epochs together, by night, and by subset of inputs."""
        overall, nights = self.analysis.metrics["overall"], len(self.analysis.nights)
        figures = " ".join(f"{name} {number(overall[key])}" for name, key in HEADLINE)
        return [
            f"{self.analysis.name}: {figures} over {overall['n']} sleep epochs of {nights} nights; {self.run.folder}",
            f"  {describe_nights(self.analysis.metrics['night_scores'])}",
            *(subset_lines(self.analysis.metrics["input_subsets"]) if "input_subsets" in self.analysis.metrics else ()),
        ]


@dataclass(frozen=True)
class EvaluationResults:
    """The scores of all runs. Runs that differ by their training seed only are one side.

    comparison: of the second side with the first. lines: the scores, to print.
    """

    sides: Sequence[Sequence[RunResults]]
    comparison: dict[str, Any] | None
    lines: Sequence[str]

    @property
    def runs(self) -> list[RunResults]:
        """The runs of all sides."""
        return [result for side in self.sides for result in side]


def write_scores(
    sides: Sequence[Sequence[EvaluatedRun]],
    networks: Mapping[Path, EvaluatedNetwork],
    references: Mapping[EvaluatedRun, References],
    temperatures: Mapping[EvaluatedRun, float],
    protocol: EvaluationProtocol,
    comparison_path: Path | None,
) -> EvaluationResults:
    """Write each run's metrics.json and predictions/, and a comparison of the second side with the first.

    networks: all networks that take part, by checkpoint. references: the teacher and baseline of some runs.
    temperatures: of some runs, for their probabilities. comparison_path: of comparison.json, None without a comparison.
    Raises UserError before anything is written.
    """
    comparison = compare_sides(sides, networks, protocol) if comparison_path else None
    trios = {
        run: Trio(networks[run.trained.path], **{part: networks[network.path] for part, network in of_run.items()})
        for run, of_run in references.items()
    }
    written = [
        [
            write_run(run, networks[run.trained.path], protocol, temperatures.get(run, 1.0), trios.get(run))
            for run in side
        ]
        for side in sides
    ]
    lines = [line for side in written for result in side for line in result.lines]
    if comparison and comparison_path:
        lines.append(write_comparison(comparison_path, written, comparison))
    return EvaluationResults(written, comparison, lines)


def write_run(
    run: EvaluatedRun,
    network: EvaluatedNetwork,
    protocol: EvaluationProtocol,
    temperature: float = 1.0,
    trio: Trio | None = None,
) -> RunResults:
    """Write a run's metrics.json and predictions/.

    temperature: applied to the probabilities; 1 leaves them as they are.
    """
    names, held_out = CLASS_NAMES[run.trained.config.data.classes], network.held_out
    nights = network.nights
    if temperature != 1:
        nights = [temperature_scaled_night(night, temperature) for night in nights]
    analysis = analyse(
        held_out.named(run.name),
        nights,
        names,
        participants=protocol.participants,
        draws=protocol.draws,
        seed=protocol.seed,
    )
    about: dict[str, Any] = {
        "checkpoint": str(run.trained.path),
        "stage": run.trained.config.stage.name,
        "split": protocol.part,
        "held_out": held_out.status,
        "training_nights": held_out.training_nights,
        "temperature": temperature,
    }
    if trio:
        about["distillation"] = distillation_of(trio)
    if network.subsets:
        about["input_subsets"] = subset_scores(network.subsets, names, protocol.draws, protocol.seed)
    analysis = replace(analysis, metrics=json_safe(about | analysis.metrics))
    write_metrics(run.folder / "metrics.json", analysis.metrics)
    write_predictions(nights, run.folder / "predictions", names, held_out.by_recording)
    return RunResults(run, network, analysis, trio)


def describe_nights(found: Mapping[str, Any]) -> str:
    """`night_scores` in a line to print: kappa, calibration error, largest difference in share, REM latency error."""
    ece, share, latency = found["ece_by_night"], found["largest_stage_share_difference"], found["rem_latency_error_min"]
    parts = [
        f"by night: kappa {interval(found['kappa'], 2)}",
        f"ECE {number(ece['value'])} (floor {number(ece['floor'])})",
    ]
    if share["class"]:
        parts.append(f"largest difference in share {number(100 * share['value'], 1, sign=True)} % {share['class']}")
    missing = latency["only_scored"] + latency["only_predicted"]
    beside = f" (REM on one side only in {missing} nights)" if missing else ""
    parts.append(f"median REM latency error {number(latency['median']['value'], 0)} min{beside}")
    return ", ".join(parts)


def compare_sides(
    sides: Sequence[Sequence[EvaluatedRun]], networks: Mapping[Path, EvaluatedNetwork], protocol: EvaluationProtocol
) -> dict[str, Any]:
    """`compare` of the runs of two sides, by seed."""
    a, b = sides
    nights_a, nights_b = (
        {seed: networks[run.trained.path].nights for seed, run in side.items()} for side in by_seed(a, b)
    )
    class_names = CLASS_NAMES[a[0].trained.config.data.classes]
    return compare(nights_a, nights_b, class_names, draws=protocol.draws, seed=protocol.seed)


def write_comparison(path: Path, sides: Sequence[Sequence[RunResults]], comparison: dict[str, Any]) -> str:
    """Write a comparison as JSON, with the checkpoints of A and B; returns the gain in kappa in a line to print."""
    checkpoints = {
        name: [str(result.run.trained.path) for result in side] for name, side in zip("ab", sides, strict=True)
    }
    trained_on = [name for side in sides for result in side for name in result.network.held_out.training_nights]
    marks = {"training_nights": list(dict.fromkeys(trained_on))}
    write_metrics(path, checkpoints | marks | comparison)
    gain, tests = comparison["difference"]["mean"]["kappa"], comparison["tests"]["kappa"]
    left_out = {what: count for what, count in comparison["left_out"].items() if count}
    without = "".join(f"; {count} {what} of one side only left out" for what, count in left_out.items())
    a, b = side_names(sides)
    return (
        f"{b} minus {a}: kappa {interval(gain, sign=True)}, Wilcoxon p {number(tests['wilcoxon_p'])}; of "
        f"{comparison['recordings']} nights {tests['better']} better, {tests['worse']} worse{without}; {path}"
    )


def side_names(sides: Sequence[Sequence[RunResults]]) -> tuple[str, str]:
    """The names of the two sides of a comparison."""
    a, b = sides
    return a[0].side, b[0].side


def write_fitted_temperature(run: EvaluatedRun, network: EvaluatedNetwork) -> float:
    """Fit a temperature on the validation nights of a run, store it beside the checkpoint, and print it."""
    fitted, training_nights = fit_temperature(network.nights), network.held_out.training_nights
    write_temperature(run.trained.path, fitted | ({"training_nights": training_nights} if training_nights else {}))
    name = network.held_out.named(run.name) if training_nights else run.name
    print(f"{name}: temperature {fitted['temperature']:.3f} of the validation nights", flush=True)
    return float(fitted["temperature"])
