"""Draw the figures of an evaluation and write report.html."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from sleepkd.config import to_dict
from sleepkd.distributed import Processes
from sleepkd.evaluation.model_figures import draw_comparison, draw_model, draw_models
from sleepkd.evaluation.pages.report import Provenance, write_report
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.evaluation.pictures.hypnogram_figure import hypnogram_figure
from sleepkd.evaluation.references import lineage
from sleepkd.evaluation.results import EvaluationResults, RunResults, side_names
from sleepkd.evaluation.teacher_student.distillation_figures import draw_distillation
from sleepkd.extras import require_extra
from sleepkd.provenance import launch_command, shown

T = TypeVar("T")


@dataclass(frozen=True)
class RunFigures:
    """The figures of a run, and those that show it beside its teacher."""

    pictures: Sequence[Picture]
    distillation: Sequence[Picture]


def require_report() -> None:
    """Raise UserError, before anything is computed, where a package that figures or report need is not installed."""
    for module in ("matplotlib", "sklearn", "yasa"):
        require_extra(module, "evaluate", "figures and report.html (--only-scores writes none)")


def write_figures_and_report(out: Path, results: EvaluationResults, seed: int, command: str) -> str:
    """Draw the figures of each run, then write out/report.html over all; returns a line to print.

    seed: which sleep epochs a projection shows. command: the command line of this evaluation.
    """
    figures = [[draw_run(result, seed) for result in side] for side in results.sides]
    return write_report_of(out / "report.html", results, figures, command)


def draw_run(result: RunResults, seed: int = 0) -> RunFigures:
    """Draw a run's figures and hypnograms/ into its folder; with a teacher, distillation/ as well."""
    folder, held_out = result.run.folder, result.network.held_out
    titles = {night.recording: held_out.named_night(night.recording) for night in result.analysis.nights}
    for night in result.analysis.nights:
        titled = replace(night, recording=titles[night.recording])
        hypnogram_figure(titled, result.analysis.class_names, folder / "hypnograms" / f"{night.recording}.png")
    distillation: list[Picture] = []
    if result.trio:
        found = result.analysis.metrics["distillation"]
        distillation = draw_distillation(result.analysis.name, result.trio, found, folder / "distillation", seed)
    return RunFigures(draw_model(result.analysis, folder, titles), distillation)


def write_report_of(
    path: Path, results: EvaluationResults, figures: Sequence[Sequence[RunFigures]], command: str
) -> str:
    """Write report.html over all runs, and figures/ of several models together; returns a line to print.

    figures: of each run. Of runs that differ by their seed only the report shows the first one's. Without a comparison,
    the report leads with the proposed student, see `proposed_side`.
    """
    sides, comparison = results.sides, results.comparison
    if comparison is None:
        first = proposed_side(sides)
        sides, figures = _led_by(first, sides), _led_by(first, figures)
    runs = [result for side in sides for result in side]
    analyses, folder = [result.analysis for result in runs], path.parent / "figures"
    shown_figures: dict[str, Sequence[Picture]] = {}
    compared = ("A", "B")
    if comparison:
        compared = side_names(sides)
        shown_figures["What changed"] = draw_comparison(comparison, compared, analyses[0].class_names, folder)
    shown_figures["All together" if len(runs) > 1 else "All nights"] = draw_models(analyses, folder)
    for side, drawn in zip(sides, figures, strict=True):
        shown_figures[side[0].analysis.name] = drawn[0].pictures
        shown_figures[f"{side[0].analysis.name}: beside its teacher"] = drawn[0].distillation
    settings = {
        result.analysis.name: {
            **{key: result.analysis.metrics[key] for key in ("checkpoint", "split", "held_out", "temperature")},
            **to_dict(result.run.trained.config),
            "trained with": _environment(result.run.trained.path),
        }
        for result in runs
    }
    models = " against ".join(reversed(compared)) if comparison else ", ".join(side[0].side for side in sides)
    part = analyses[0].metrics["split"]
    title = f"{models}: sleep staging of {'all' if part == 'all' else f'the {part}'} nights"
    provenance = Provenance([*_training_commands(runs), command], settings)
    write_report(
        path, title, analyses, shown_figures, provenance, comparison=comparison, compared=compared, notes=notes(runs)
    )
    return f"report, to open in a browser: {path}"


def proposed_side(sides: Sequence[Sequence[RunResults]]) -> int:
    """The index of the side that was proposed: of the students with a teacher, that with most stages before it.

    0 without such a student. A teacher or a baseline that was named first is there to be compared with.
    """
    stages = [len(lineage(side[0].run.trained)) if side[0].run.trained.config.stage.teacher else 0 for side in sides]
    return stages.index(max(stages))


def _led_by(first: int, of_sides: Sequence[T]) -> list[T]:
    return [of_sides[first], *of_sides[:first], *of_sides[first + 1 :]]


def notes(results: Sequence[RunResults]) -> list[str]:
    """What a reader must know of the nights: which are training nights, which chose the checkpoint, what is unknown."""
    networks = {result.run.name: result.network for result in results}
    for result in results:
        references = result.trio.references if result.trio else {}
        networks |= {f"{part} of {result.run.name}": network for part, network in references.items()}
    found: dict[str, list[str]] = {}
    for name, network in networks.items():
        held_out = network.held_out
        if held_out.training_nights:
            which = f"{len(held_out.training_nights)} of {len(held_out.by_recording)} recordings are training nights"
            found.setdefault(f"Not held out: {which} ({', '.join(held_out.training_nights)}).", []).append(name)
        elif held_out.status == "validation":
            found.setdefault("Validation nights: the checkpoint was chosen by its scores on them.", []).append(name)
        if held_out.unknown:
            found.setdefault(f"Training nights unknown: {held_out.unknown}.", []).append(name)
    return [f"{note} Applies to {', '.join(names)}." for note, names in found.items()]


def evaluation_command(processes: Processes) -> str:
    """The command line of this evaluation."""
    arguments = sys.argv[1:]
    if processes.distributed:
        return shown(launch_command("evaluate.py", processes.world, arguments))
    return shown([sys.executable, "evaluate.py", *arguments])


def _training_commands(results: Sequence[RunResults]) -> list[str]:
    """The command lines that trained the networks and what they were trained from, in order, each once."""
    checkpoints = dict.fromkeys(path for result in results for path in lineage(result.run.trained))
    commands = (_environment(checkpoint).get("command") for checkpoint in checkpoints)
    return list(dict.fromkeys(shown([sys.executable, *command]) for command in commands if command))


def _environment(checkpoint: Path) -> dict[str, Any]:
    """The command, commit and versions that a checkpoint was trained with; {} without environment.json beside it."""
    path = checkpoint.with_name("environment.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
