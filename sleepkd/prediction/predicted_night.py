"""A staged night in Python: YASA's hypnogram, MNE's annotations, BIDS events, CSV, sleep statistics, a figure."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sleepkd import __version__
from sleepkd.cohorts.clock import moment_of
from sleepkd.data.hypnogram import EPOCH_SECONDS, UNSCORED_NAME
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError
from sleepkd.evaluation.pictures.drawing import STYLE, require_figures
from sleepkd.extras import require_extra
from sleepkd.files import write_bytes_atomically, write_text_atomically
from sleepkd.prediction.hypnogram_files import (
    EDF_STAGES,
    bids_events,
    bids_sidecar,
    hypnogram_csv,
    hypnogram_edf,
    luna_annotations,
    luna_epochs,
    usleep_stages,
)
from sleepkd.prediction.judged import JudgedInput
from sleepkd.prediction.night_figure import draw_night, figure_size
from sleepkd.prediction.recorded import OpenedRecording
from sleepkd.prediction.regularity import SleepTimes
from sleepkd.prediction.staged import StagedNight, StageTable

if TYPE_CHECKING:
    import mne
    import yasa
    from matplotlib.figure import Figure

BIDS_ENDING = "_events.tsv"
YASA_UNSCORED = "UNS"
SCORER = "sleepkd"
"""Name of the scorer in YASA's hypnogram."""
FORMATS: dict[str, Callable[[StageTable], str]] = {
    ".annot": luna_annotations,
    ".eannot": luna_epochs,
    ".ids": usleep_stages,
}
"""What `PredictedNight.to_csv` writes by the ending of a file's name, besides its own CSV."""


class PredictedNight(tuple[list[str], np.ndarray]):
    """A staged night: the pair of its sleep stages (N,) and probabilities (N, K), and what other libraries read of it.

    `stages, probabilities = night` takes it apart. Sleep epochs are 30 s long and run from the start of the recording;
    those without a stage are "unscored", and the probabilities of those in a gap are NaN. `Model.predict` returns one.

    Attributes
    ----------
    staged
        The stages as numbers, and the signal quality.
    recording
        The opened recording, with its heartbeats.
    judged
        What the recording was taken for, and the kappa on such input.
    about
        Sentences on the network: what it was trained on, and how well it works.
    table
        Onset, duration, stage and probabilities of every sleep epoch, as the files hold them.

    Examples
    --------
    >>> import numpy as np, pandas as pd, sleepkd
    >>> times = pd.date_range("2026-01-31 23:00", periods=720, freq="5s")
    >>> heart_rate = pd.Series(60 + 5 * np.sin(np.arange(720) / 9), times, name="heart rate")
    >>> night = sleepkd.load().predict(heart_rate)
    >>> night.start
    datetime.datetime(2026, 1, 31, 23, 0)
    >>> night.hypnogram.n_epochs
    119
    >>> night.statistics()["TIB"]  # minutes in bed
    59.5
    >>> night.to_annotations().orig_time
    datetime.datetime(2026, 1, 31, 23, 0, tzinfo=datetime.timezone.utc)
    """

    staged: StagedNight
    recording: OpenedRecording
    judged: JudgedInput
    about: tuple[str, ...]
    table: StageTable

    def __new__(
        cls, staged: StagedNight, recording: OpenedRecording, judged: JudgedInput, about: Sequence[str] = ()
    ) -> "PredictedNight":
        """Make the pair of stages and probabilities."""
        table = staged.table(recording.night.hypnogram)
        night = super().__new__(cls, (table.stages, table.probabilities))
        night.staged, night.recording, night.judged, night.about = staged, recording, judged, tuple(about)
        night.table = table
        return night

    def __getnewargs__(self) -> tuple[Any, ...]:  # for pickle and copy
        return self.staged, self.recording, self.judged, self.about

    def __repr__(self) -> str:
        counts = {name: self.stages.count(name) for name in (*self.class_names, UNSCORED_NAME)}
        stages = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        start = f" from {self.start:%Y-%m-%d %H:%M}" if self.start else ""
        return f"<PredictedNight{start}: {len(self.stages)} sleep epochs ({stages}); {self.judged.given.text}>"

    @property
    def stages(self) -> list[str]:
        """The N sleep stages, of `class_names` or "unscored"."""
        return self.table.stages

    @property
    def probabilities(self) -> np.ndarray:
        """(N, K) float32, a column for each of `class_names`."""
        return self.table.probabilities

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K sleep stages that the network tells apart."""
        return self.staged.class_names

    @property
    def onset_s(self) -> np.ndarray:
        """(N,) float64: when each sleep epoch begins, s from the start of the recording."""
        return self.table.onset_s

    @property
    def start(self) -> datetime | None:
        """Date and time of the start of the recording, with a zone only if it is UTC; None if it is unknown."""
        moment, start = moment_of(self.recording.start), self.recording.start
        return moment.replace(tzinfo=UTC) if moment and start and start.zone == "UTC" else moment

    @property
    def beats(self) -> np.ndarray | None:
        """(beats,) s: the heartbeats that were read or detected; None for a network without heartbeats."""
        night = self.recording.night
        return night.beats() if night.info.beats else None

    @cached_property
    def hypnogram(self) -> "yasa.Hypnogram":
        """YASA's hypnogram of the whole recording, with probabilities, and with times if the start is known.

        Unscored sleep epochs are UNS. Those in gaps have the probability 1 for UNS.

        Raises
        ------
        UserError
            YASA is not installed.
        """
        require_extra("yasa", "evaluate", "hypnogram")
        import pandas as pd
        import yasa

        probabilities = pd.DataFrame(self.probabilities.astype(np.float64), columns=list(self.class_names))
        unknown = probabilities.isna().any(axis=1)
        if unknown.any():
            probabilities = probabilities.mask(unknown, 0.0).assign(**{YASA_UNSCORED: unknown.astype(float)})
        start = self.start and self.start + timedelta(seconds=float(self.onset_s[0]))
        return yasa.Hypnogram(
            [YASA_UNSCORED if stage == UNSCORED_NAME else stage for stage in self.stages],
            n_stages=len(self.class_names),
            freq=f"{EPOCH_SECONDS:g}s",
            start=start,
            scorer=SCORER,
            proba=probabilities,
        )

    def statistics(self) -> dict[str, float]:
        """YASA's sleep statistics, and REM latency from sleep onset, as `StagedNight.statistics`."""
        return self.staged.statistics()

    def stage_shares(self) -> dict[str, float]:
        """The share of each stage in the staged sleep epochs, 0 to 1; {} if none was staged."""
        return self.staged.stage_shares()

    @property
    def sleep_times(self) -> SleepTimes:
        """When the person slept, for `sleep_regularity`."""
        known = {name: float(name != "W") for name in self.class_names}
        asleep = np.array([known.get(stage, np.nan) for stage in self.stages])
        start = moment_of(self.recording.start)
        return SleepTimes(start and start + timedelta(seconds=float(self.onset_s[0])), asleep)

    def to_annotations(self) -> "mne.Annotations":
        """Make MNE's annotations "Sleep stage W" …, "Sleep stage ?" for unscored: `raw.set_annotations` takes them.

        "light" is stage 2, "deep" stage 3, NREM stage 2, as in EDF+.

        Returns
        -------
        mne.Annotations
            One for each sleep epoch. orig_time is the date and time of the recording, None if they are unknown.

        Raises
        ------
        UserError
            MNE is not installed.
        """
        require_extra("mne", "teachers", "MNE annotations")
        import mne

        start, origin, onset_s = self.recording.start, None, self.onset_s
        if start and start.date and start.time:
            origin = datetime.combine(start.date, start.time, tzinfo=UTC)  # MNE labels local times as UTC, too
            onset_s = onset_s + start.offset_s
        texts = [f"Sleep stage {EDF_STAGES.get(stage, '?')}" for stage in self.stages]
        return mne.Annotations(onset_s, self.table.duration_s, texts, orig_time=origin)

    def to_bids(self, path: str | Path) -> Path:
        """Write BIDS events: *_events.tsv with onset, duration, trial_type and probabilities, and its JSON sidecar.

        Parameters
        ----------
        path
            "sub-01/eeg/sub-01_task-sleep_events.tsv", or the same without "_events.tsv".

        Returns
        -------
        pathlib.Path
            The path of the TSV.

        Raises
        ------
        UserError
            For another ending.
        """
        path = Path(path)
        if path.suffix and not path.name.endswith(BIDS_ENDING):
            raise UserError(f"{path}: the name of BIDS events must end with {BIDS_ENDING}")
        stem = path.name.removesuffix(BIDS_ENDING)
        path = path.with_name(stem + BIDS_ENDING)
        write_text_atomically(path, bids_events(self.table))
        write_text_atomically(path.with_suffix(".json"), bids_sidecar(self.class_names, __version__, self.about))
        return path

    def to_csv(self, path: str | Path) -> Path:
        """Write the stages as text: CSV, or a file for Luna or U-Sleep.

        Parameters
        ----------
        path
            Ends with .csv for onset, duration, stage, probabilities and signal quality (of each sensor, too), as
            `sleepkd predict` writes them; .annot or .eannot for Luna, .ids for U-Sleep.

        Returns
        -------
        pathlib.Path
            The same path.

        Raises
        ------
        UserError
            For another ending.
        """
        path = Path(path)
        if path.suffix == ".csv":
            text = hypnogram_csv(self.staged, self.beats, self.lost, self.sensor_quality)
        elif path.suffix in FORMATS:
            text = FORMATS[path.suffix](self.table)
        else:
            raise UserError(f"{path}: must end with .csv, {', '.join(FORMATS)}")
        write_text_atomically(path, text)
        return path

    def to_edf(self, path: str | Path) -> Path:
        """Write an EDF+ file of annotations "Sleep stage W" …, with date and time.

        Parameters
        ----------
        path
            Of the file to write.

        Returns
        -------
        pathlib.Path
            The same path.

        Raises
        ------
        UserError
            edfio is not installed.
        """
        write_bytes_atomically(path, hypnogram_edf(self.staged, self.recording.start))
        return Path(path)

    @property
    def lost(self) -> np.ndarray | None:
        """(staged sleep epochs, 2): the shares of an ECG that are flat and clipped; None for other input."""
        rows = np.searchsorted(self.onset_s, self.staged.predicted.onset_s)
        return None if self.recording.lost is None else self.recording.lost[rows]

    @property
    def sensor_quality(self) -> dict[str, np.ndarray]:
        """By kind of sensor, (staged sleep epochs,): the share of each that it measured, 0 to 1."""
        night = self.recording.night
        rows = np.searchsorted(self.onset_s, self.staged.predicted.onset_s)
        kinds = [name for name in night.info.signals if SIGNAL_KINDS[name].keeps_missing]
        return {name: night.signal_quality(name)[rows] for name in kinds}

    def plot(self) -> "Figure":
        """Draw hypnogram, stage probabilities and heart rate, with the input and the kappa on it, by pyplot.

        Returns
        -------
        matplotlib.figure.Figure
            `.savefig("night.png")` writes it.

        Raises
        ------
        UserError
            matplotlib is not installed.
        """
        require_figures()
        from matplotlib import pyplot, rc_context

        # Outside of rc_context, which would undo that the backend of a notebook becomes interactive.
        figure = pyplot.figure(figsize=figure_size(self.beats), layout="constrained", facecolor="white")
        with rc_context(STYLE):
            when = f"{self.start:%Y-%m-%d %H:%M}" if self.start else ""
            draw_night(figure, self.staged, self.beats, self.judged, when)
        return figure
