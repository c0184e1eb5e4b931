"""The files that evaluating leaves behind: metrics, predictions and pictures of each run, and the report over all."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sleepkd.checkpoints.trained import TrainedNetwork
from sleepkd.config import to_dict
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.evaluation.analysis import Analysis, analyse, draw, draw_comparison, draw_together
from sleepkd.evaluation.pages.page import interval, number
from sleepkd.evaluation.pages.report import Provenance, write_report
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.evaluation.pictures.hypnogram_figure import hypnogram_figure
from sleepkd.evaluation.predictions import write_predictions
from sleepkd.evaluation.runs import Again, Protocol, Run, by_seed
from sleepkd.evaluation.scores.calibration import temperature_scaled_night
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import json_safe, write_metrics
from sleepkd.evaluation.teacher_student.inside import Evaluated
from sleepkd.evaluation.teacher_student.trio import Trio, distillation_of, draw_distillation
from sleepkd.provenance import shown


@dataclass(frozen=True)
class Written:
    """A run's results, as they stand in its folder; more_pictures: what it took from its teacher."""

    run: Run
    analysis: Analysis
    pictures: list[Picture]
    more_pictures: list[Picture]

    @property
    def line(self) -> str:
        """Its scores in a line to print."""
        overall, nights = self.analysis.metrics["overall"], self.analysis.nights
        headline = (("kappa", "kappa"), ("accuracy", "accuracy"), ("weighted F1", "weighted_f1"))
        figures = " ".join(f"{name} {number(overall[key])}" for name, key in headline)
        where = self.run.folder
        return f"{self.run.name}: {figures} over {overall['n']} sleep epochs of {len(nights)} nights; {where}"


def write_all(
    sides: Sequence[Sequence[Run]],
    seen: Mapping[Path, Evaluated],
    companions: Mapping[Run, Mapping[str, TrainedNetwork]],
    temperatures: Mapping[Run, float],
    protocol: Protocol,
    out: Path,
    comparing: bool,
    again: Again | None,
) -> Iterator[str]:
    """Write each run's folder, out/comparison.json and out/report.html; yields a line to print for each.

    sides: runs that differ by their training seed only are one side; comparing: the second is held against the first.
    seen: all networks that took part, by checkpoint; companions: the teacher and baseline of some runs. again: what the
    report says about running it again; None: neither report nor pictures. Raises UserError before anything is written.
    """
    comparison = compare_sides(*sides, seen, protocol) if comparing else None
    trios = {
        run: Trio(seen[run.trained.path], **{part: seen[network.path] for part, network in of_run.items()})
        for run, of_run in companions.items()
    }
    written: dict[Run, Written] = {}
    for run in (run for side in sides for run in side):
        nights, temperature = seen[run.trained.path].nights, temperatures.get(run, 1.0)
        written[run] = write_run(run, nights, protocol, temperature, trios.get(run), pictures=bool(again))
        yield written[run].line
    if comparison:
        yield write_comparison(out / "comparison.json", sides, comparison)
    if again:
        of_sides = [[written[run] for run in side] for side in sides]
        yield write_report_of(out / "report.html", of_sides, again, comparison)


def write_run(
    run: Run,
    nights: Sequence[NightPredictions],
    protocol: Protocol,
    temperature: float = 1.0,
    trio: Trio | None = None,
    pictures: bool = True,
) -> Written:
    """Write a run's metrics.json, predictions/, pictures and hypnograms/; with a teacher, distillation/.

    temperature: to be applied to the probabilities; 1 leaves them as they are. Without pictures: metrics.json and
    predictions/ alone.
    """
    names = CLASS_NAMES[run.trained.config.data.classes]
    if temperature != 1:
        nights = [temperature_scaled_night(night, temperature) for night in nights]
    participants, draws, seed = protocol.participants, protocol.draws, protocol.seed
    analysis = analyse(run.name, nights, names, participants=participants, draws=draws, seed=seed)
    about = {
        "checkpoint": str(run.trained.path),
        "stage": run.trained.config.stage.name,
        "split": protocol.part,
        "temperature": temperature,
    }
    if trio:
        about["distillation"] = distillation_of(trio)
    analysis = replace(analysis, metrics=json_safe(about | analysis.metrics))
    write_metrics(run.folder / "metrics.json", analysis.metrics)
    write_predictions(nights, run.folder / "predictions", names)
    if not pictures:
        return Written(run, analysis, [], [])
    for night in nights:
        hypnogram_figure(night, names, run.folder / "hypnograms" / f"{night.recording}.png")
    more = (
        draw_distillation(run.name, trio, about["distillation"], run.folder / "distillation", protocol.seed)
        if trio
        else []
    )
    return Written(run, analysis, draw(analysis, run.folder), more)


def compare_sides(a: Sequence[Run], b: Sequence[Run], seen: Mapping[Path, Evaluated], protocol: Protocol) -> dict:
    """`compare` of two sides' runs, by seed."""
    nights = [{seed: seen[run.trained.path].nights for seed, run in side.items()} for side in by_seed(a, b)]
    class_names = CLASS_NAMES[a[0].trained.config.data.classes]
    return compare(*nights, class_names, draws=protocol.draws, seed=protocol.seed)


def write_comparison(path: Path, sides: Sequence[Sequence[Run]], comparison: dict) -> str:
    """Write a comparison as JSON, with the checkpoints of A and B; returns the gain in kappa in a line to print."""
    checkpoints = {name: [str(run.trained.path) for run in side] for name, side in zip("ab", sides, strict=True)}
    write_metrics(path, checkpoints | comparison)
    gain, tests = comparison["difference"]["mean"]["kappa"], comparison["tests"]["kappa"]
    left_out = {what: count for what, count in comparison["left_out"].items() if count}
    without = "".join(f"; {count} {what} of one side only left out" for what, count in left_out.items())
    a, b = side_names(sides)
    return (
        f"{b} minus {a}: kappa {interval(gain, sign=True)}, Wilcoxon p {number(tests['wilcoxon_p'])}; of "
        f"{comparison['recordings']} nights {tests['better']} better, {tests['worse']} worse{without}; {path}"
    )


def write_report_of(
    path: Path, sides: Sequence[Sequence[Written]], again: Again, comparison: dict | None = None
) -> str:
    """Write report.html over all runs; returns a line to print.

    sides: runs that differ by their seed only are one side, of which the first shows its pictures. comparison: of
    the two sides.
    """
    written = [of for side in sides for of in side]
    analyses, folder = [of.analysis for of in written], path.parent / "figures"
    compared = side_names([[of.run for of in side] for side in sides])
    figures: dict[str, list[Picture]] = {}
    if comparison:
        figures["What changed"] = draw_comparison(comparison, compared, analyses[0].class_names, folder)
    figures["All together" if len(written) > 1 else "All nights"] = draw_together(analyses, folder)
    for first in (side[0] for side in sides):
        figures[first.run.name] = first.pictures
        figures[f"{first.run.name}: what it took from its teacher"] = first.more_pictures
    training = (_environment(checkpoint).get("command") for checkpoint in again.checkpoints)
    commands = dict.fromkeys(shown([sys.executable, *command]) for command in training if command)
    settings = {
        of.run.name: {
            **{key: of.analysis.metrics[key] for key in ("checkpoint", "split", "temperature")},
            **to_dict(of.run.trained.config),
            "trained with": _environment(of.run.trained.path),
        }
        for of in written
    }
    models = " against ".join(reversed(compared)) if comparison else ", ".join(compared)
    part = analyses[0].metrics["split"]
    title = f"{models}: sleep staging of {'all' if part == 'all' else f'the {part}'} nights"
    provenance = Provenance([*commands, again.command], settings)
    write_report(path, title, analyses, figures, provenance, comparison=comparison, compared=compared)
    return f"all of it, to be read in a browser: {path}"


def side_names(sides: Sequence[Sequence[Run]]) -> tuple[str, ...]:
    """What the runs of each side, which differ by their seed only, are called together."""
    return tuple(side[0].name.partition(" seed ")[0] for side in sides)


def _environment(checkpoint: Path) -> dict:
    """The command, commit and versions that a checkpoint was trained with, where its run directory tells."""
    path = checkpoint.with_name("environment.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
