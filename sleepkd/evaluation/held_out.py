"""Which stored nights a network is evaluated on, and which of them it was trained on."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint
from sleepkd.checkpoints.trained import NETWORK, TrainedNetwork, checkpoint_of
from sleepkd.data.data_settings import Source
from sleepkd.data.held_inputs import held_inputs
from sleepkd.data.hypnogram import UNSCORED
from sleepkd.data.nights import ALL, open_nights
from sleepkd.data.segments import Segments
from sleepkd.data.store import Night
from sleepkd.errors import UserError
from sleepkd.settings import config_of
from sleepkd.teachers import earlier_stages

Status = Literal["no", "validation", "unknown", "yes"]
STATUSES: tuple[Status, ...] = ("no", "validation", "unknown", "yes")
"""Whether a night is held out, the worst first. no: a training night. validation: the checkpoint was chosen by it."""
_MARKS: dict[Status, str] = {"no": "training night", "validation": "validation night"}
_SHOWN = 4


@dataclass(frozen=True)
class HeldOut:
    """Whether the nights of an evaluation are held out from the training of a network, by recording.

    unknown: why the training nights of the network are not known, or not all of them; "" where they are.
    """

    by_recording: Mapping[str, Status] = field(default_factory=dict)
    unknown: str = ""

    @property
    def status(self) -> Status:
        """The worst status of all nights."""
        return min(self.by_recording.values(), key=STATUSES.index, default="unknown")

    @property
    def training_nights(self) -> list[str]:
        """The recordings that the network, its teacher, or a network it started from was trained on."""
        return [recording for recording, status in self.by_recording.items() if status == "no"]

    def named(self, model: str) -> str:
        """The name of a model, marked where it is scored on training or validation nights."""
        mark = _MARKS.get(self.status)
        return f"{model} ({mark}s)" if mark else model

    def named_night(self, recording: str) -> str:
        """The name of a recording, marked where it is a training or validation night."""
        mark = _MARKS.get(self.by_recording.get(recording, "yes"))
        return f"{recording} ({mark})" if mark else recording


@dataclass(frozen=True)
class EvaluationNights:
    """The nights that a network is evaluated on.

    description: the part of which split of which store, in words. absent: lines about inputs that some nights lack.
    """

    checkpoint: Path
    segments: Segments
    held_out: HeldOut
    description: str
    absent: Sequence[str] = ()

    @property
    def lines(self) -> list[str]:
        """What to print before they are scored."""
        lines, trained_on = [f"scored: {self.description}", *self.absent], len(self.held_out.training_nights)
        if trained_on:
            lines.append(f"NOT HELD OUT: {self.checkpoint} was trained on {trained_on} of these recordings")
        if self.held_out.unknown:
            lines.append(f"training nights unknown: {self.held_out.unknown}")
        return lines


@dataclass
class KnownNights:
    """Nights by key (cohort/recording) with the digests of their signals. unknown: why some are not known."""

    digests: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def add(self, nights: Sequence[Night]) -> None:
        """Add opened nights."""
        self.digests |= {night.key: sorted(night.info.digests) for night in nights}

    def find(self, night: Night) -> str | None:
        """The key of the known night that is this one: it has the same key or a signal of the same samples."""
        if night.key in self.digests:
            return night.key
        return next((key for key, digests in self.digests.items() if night.info.digests & set(digests)), None)


def evaluation_nights(
    trained: TrainedNetwork,
    stores: Sequence[str] | None,
    part: str,
    allow_training_nights: bool = False,
    only_readable: bool = False,
) -> EvaluationNights:
    """The nights to evaluate a network on, and whether each is held out from training.

    stores: see `sources_of`. part: train, validation, test or all. only_readable: leave out nights that lack inputs of
    the network. Raises UserError: no labelled night; a training night of the network, its teacher or a network it
    started from, unless allow_training_nights.
    """
    segments = evaluation_segments(trained, stores, part, only_readable)
    sources = sources_of(trained, stores, part)
    held_out = held_out_nights(trained, segments, allow_training_nights)
    splits = [source.store if part == ALL else f"split {source.split} of {source.store}" for source in sources]
    count = f"all {len(segments.nights)}" if part == ALL else f"{len(segments.nights)} {part}"
    description = f"{count} recordings of {' and '.join(splits)}"
    if only_readable and len(segments.nights) < sum(night.has_labels for night in open_nights(sources, part)):
        description += f", those that hold the inputs of {trained.path}"
    return EvaluationNights(trained.path, segments, held_out, description, _absent(trained, segments))


def _absent(trained: TrainedNetwork, segments: Segments) -> list[str]:
    """A line for each input of a network that some nights lack."""
    untrained = "" if trained.learnt_absence else "; it was trained without data.augment.drop_input"
    total = len(np.unique(segments.table.night))
    return [
        f"{trained.path}: input {name} is absent from {total - count} of {total} recordings{untrained}"
        for name, count in segments.nights_with(NETWORK).items()
        if count < total
    ]


def sources_of(trained: TrainedNetwork, stores: Sequence[str] | None, part: str) -> tuple[Source, ...]:
    """The stores to evaluate a network on, each with its split.

    stores: None for those that the network was trained on. A store that it was trained on keeps the split of its
    training, any other has its default split. Raises UserError for another store without a default split.
    """
    own = trained.config.data.sources
    if not stores:
        return own
    found: list[Source] = []
    for path in map(Path, stores):
        same = [source for source in own if Path(source.store).resolve() == path.resolve()]
        if part == ALL:
            same = same[:1]  # all its nights, once
        elif not same and (path / "store.json").is_file() and not (path / "splits" / "default").is_dir():
            raise UserError(f"--store: {path} has no default split; draw one with prepare --split, or give --split all")
        found += same or [Source(str(path))]
    return tuple(found)


def evaluation_segments(
    trained: TrainedNetwork, stores: Sequence[str] | None, part: str, only_readable: bool = False
) -> Segments:
    """The labelled nights of one part of the splits, as whole nights, with the inputs that a network was trained on.

    stores: see `sources_of`. only_readable: leave out nights that lack inputs of the network. Raises UserError where no
    sleep epoch has a label, or no night is left.
    """
    sources, data = sources_of(trained, stores, part), trained.config.data
    nights = [night for night in open_nights(sources, part) if night.has_labels]
    if only_readable:
        may_be_left_out = replace(trained.absent, may_be_silent=frozenset(trained.readers))
        readable = [night for night in nights if held_inputs(night, trained.readers, may_be_left_out)]
        if nights and not readable:
            raise UserError(
                f"{trained.path}: none of the recordings holds its inputs ({', '.join(trained.inputs)}); --only-scores "
                "evaluates without teacher and baseline"
            )
        nights = readable
    segments = Segments(nights, trained.readers, data.whole_nights(), scored_only=False, absent=trained.absent)
    if not (segments.table.labels != UNSCORED).any():
        named = " and ".join(source.store for source in sources)
        raise UserError(f"{named}: the {part} recordings hold no scored sleep epoch")
    return segments


def held_out_nights(trained: TrainedNetwork, segments: Segments, allow_training_nights: bool) -> HeldOut:
    """Whether each night of the segments is held out from training.

    Raises UserError where one is a training night of the network, its teacher, or a network it started from, unless
    allow_training_nights.
    """
    training, validation = training_nights(trained), _validation_nights(trained)
    twins = [training.find(night) for night in segments.nights]
    leaked = [(night.key, twin) for night, twin in zip(segments.nights, twins, strict=True) if twin]
    if leaked and not allow_training_nights:
        shown = [key if key == twin else f"{key} (a copy of {twin})" for key, twin in leaked[:_SHOWN]]
        more = f" and {len(leaked) - _SHOWN} more" if len(leaked) > _SHOWN else ""
        by_config = "" if trained.checkpoint.trained_on is not None else ", by the split in its config"
        raise UserError(
            f"{trained.path}: it, its teacher or a network it started from was trained on {len(leaked)} of the "
            f"{len(twins)} recordings to score{by_config}: {', '.join(shown)}{more}; score the test nights of its own "
            "split (no --store, --split test), or give --allow-training-nights, which marks the results as not held out"
        )
    statuses: list[Status] = []
    for night, twin in zip(segments.nights, twins, strict=True):
        otherwise: Status = "unknown" if training.unknown else "yes"
        statuses.append("no" if twin else "validation" if validation.find(night) else otherwise)
    return HeldOut(dict(zip(segments.names, statuses, strict=True)), "; ".join(training.unknown))


def training_nights(trained: TrainedNetwork) -> KnownNights:
    """The nights that a network, its teachers, and the networks it started from were trained on.

    Checkpoints record them. For an older one they are the train part of the splits in its config, and those of its
    teachers and starts, where the stores and checkpoints are still there.
    """
    known = KnownNights()
    _collect(trained.path, trained.checkpoint, known)
    return known


def _collect(path: Path, checkpoint: Checkpoint, known: KnownNights) -> None:
    config, recorded = config_of(checkpoint.config), checkpoint.trained_on
    if recorded is not None:
        known.digests |= recorded
    else:
        try:
            known.add(open_nights(config.data.sources, "train"))
        except UserError:
            known.unknown.append(f"{path} does not record them, and its stores cannot be read")
    for name in earlier_stages(config):
        try:
            earlier_path = checkpoint_of(config, name, "stage")
            earlier = read_checkpoint(earlier_path)
        except UserError:
            if recorded is None:
                known.unknown.append(f"{path} does not record those of {name}, whose checkpoint cannot be read")
            continue
        if recorded is None or earlier.trained_on is None:  # else they are among those recorded
            _collect(earlier_path, earlier, known)


def _validation_nights(trained: TrainedNetwork) -> KnownNights:
    """The validation nights of a network's training run, where its stores are still there."""
    known = KnownNights()
    if trained.config.train.validate_every:
        with contextlib.suppress(UserError):
            known.add(open_nights(trained.config.data.sources, "validation"))
    return known
