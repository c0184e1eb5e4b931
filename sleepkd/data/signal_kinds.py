"""The kinds of signals (EEG, ECG, heartbeats, movement, PPG, respiration …): unit, stored rate, conditioning,
normalisation. One entry each.

A kind's name is the name of the signal everywhere: `signals:` of a dataset YAML, the file in the store, `stage.inputs`,
and the key in a batch.
"""

from dataclasses import dataclass
from typing import Literal

from sleepkd.data.data_settings import Normalisation


@dataclass(frozen=True)
class SignalKind:
    """How signals of one kind are stored, conditioned, normalised and printed.

    label: its name in print.
    unit: of the stored physical values; "" keeps the unit of the file.
    rate_hz: samples per second in every store; None is the rate of the store. A signal with a rate of its own is
    resampled over the whole night, whatever the store's `resample`.
    normalisation: of its input unless `stage.inputs` sets one; None is `data.normalisation`.
    scale, centre: unit and zero of normalisation "physical", in `unit`: the scale is of the order of the interquartile
    range in sleep.
    channels: regular expression for channel names that look like this kind, to guess a channel that no one named.
    has_polarity: whether `prepare` detects an inverted signal and stores its polarity.
    has_heartbeats: whether `prepare` detects R peaks in it. has_pulse: whether `prepare` may detect pulse waves in it.
    on_request: whether `prepare` stores it only if `--signals` names it.
    plausible_iqr, plausible_span: ranges in `unit`, outside of which `prepare` warns of a wrong unit: of the
    interquartile range over the night, and of the span from the 0.5th to the 99.5th percentile.
    stored_as: "samples" are read by `inputs.SignalInput`, "heartbeats" (times of R peaks) by `inputs.BeatsInput`,
    "counts" (of movement, as a rate per 30 s) by `counts_input.CountsInput`.
    band_hz: lower and upper limit of a zero-phase band-pass before storing, Hz; None is no limit.
    keeps_missing: whether missing samples stay missing (`recording_info.MISSING`) and a network reads them as no
    signal. Otherwise they are straight lines.
    valid: range in `unit`; values outside are missing. flat_seconds: an unchanging value for at least so long is
    missing, because the sensor was off. Both need keeps_missing.
    """

    label: str
    unit: str = ""
    rate_hz: float | None = None
    normalisation: Normalisation | None = None
    scale: float = 1.0
    centre: float = 0.0
    channels: str = ""
    has_polarity: bool = False
    has_heartbeats: bool = False
    has_pulse: bool = False
    on_request: bool = False
    plausible_iqr: tuple[float, float] | None = None
    plausible_span: tuple[float, float] | None = None
    stored_as: Literal["samples", "heartbeats", "counts"] = "samples"
    band_hz: tuple[float | None, float | None] = (None, None)
    keeps_missing: bool = False
    valid: tuple[float, float] | None = None
    flat_seconds: float | None = None


SIGNAL_KINDS: dict[str, SignalKind] = {
    "eeg": SignalKind(
        label="EEG",
        unit="uV",
        scale=20.0,
        channels=r"(EEG[ _-]?)?(C3|C4|F3|F4|O1|O2|Cz|Fz|Fpz|Pz)\b.*",
        plausible_iqr=(2.0, 200.0),
    ),
    "ecg": SignalKind(
        label="ECG",
        unit="mV",
        scale=0.1,
        channels=r".*(ECG|EKG).*",
        has_polarity=True,
        has_heartbeats=True,
        plausible_span=(0.05, 20.0),
    ),
    "eog": SignalKind(label="EOG", unit="uV", scale=20.0, channels=r".*EOG.*", on_request=True),
    "emg": SignalKind(label="EMG", unit="uV", scale=5.0, channels=r".*(EMG|chin).*", on_request=True),
    "beats": SignalKind(label="heartbeats", stored_as="heartbeats"),
    # Movement of the wrist. Every 5 s holds the count of the 5 to 30 s around it, as a rate per 30 s. A rest is 0, and
    # a missing count is no rest. Counts of two devices differ by a factor, so the mean of the night divides them.
    "motion": SignalKind(
        label="movement",
        rate_hz=0.2,
        channels=r"(.*[ _-])?(acti(vity|graphy|metry|graph)|motion|movement)([ _-].*)?",
        on_request=True,
        stored_as="counts",
        keeps_missing=True,
    ),
    # 0.3 to 8 Hz hold the pulse from 20 per minute with its notch, without baseline and mains.
    "ppg": SignalKind(
        label="PPG",
        rate_hz=25.0,
        channels=r".*(plet|ppg|bvp).*",
        has_pulse=True,
        on_request=True,
        band_hz=(0.3, 8.0),
        keeps_missing=True,
        flat_seconds=3.0,
    ),
    # Breathing is slower than 1 Hz. 0.05 Hz removes the drift of an uncalibrated belt, and keeps 3 breaths per minute.
    "thorax": SignalKind(
        label="thorax belt",
        rate_hz=10.0,
        channels=r".*(thor|chest|\btho\b).*",
        on_request=True,
        band_hz=(0.05, 3.0),
        keeps_missing=True,
        flat_seconds=120.0,  # of two minutes: longer than an apnea
    ),
    "abdomen": SignalKind(
        label="abdomen belt",
        rate_hz=10.0,
        channels=r".*abd.*",
        on_request=True,
        band_hz=(0.05, 3.0),
        keeps_missing=True,
        flat_seconds=120.0,
    ),
    "airflow": SignalKind(
        label="airflow",
        rate_hz=10.0,
        channels=r".*(\bair|flow|nasal|cann?ula|thermist).*|therm",
        on_request=True,
        band_hz=(0.05, 3.0),
        keeps_missing=True,
        flat_seconds=120.0,
    ),
    # The level counts, and many a night has an interquartile range of 0: not normalised by the night.
    "spo2": SignalKind(
        label="SpO2",
        unit="%",
        rate_hz=1.0,
        normalisation="physical",
        scale=2.0,
        centre=96.0,
        channels=r".*s[ap][ _]?o2(?!.*plet).*",
        on_request=True,
        keeps_missing=True,
        valid=(50.0, 100.5),
    ),
    # The slow trend over the night is what sleep changes, so there is no lower band limit.
    "temperature": SignalKind(
        label="temperature",
        unit="degC",
        rate_hz=0.2,
        normalisation="physical",
        scale=1.0,
        centre=34.0,
        channels=r"(.*[ _-])?temp(erature)?([ _-].*)?",
        on_request=True,
        keeps_missing=True,
        valid=(20.0, 45.0),
    ),
}


def sampled_kinds() -> dict[str, SignalKind]:
    """The kinds that are stored as a series of samples: all but heartbeats."""
    return {name: kind for name, kind in SIGNAL_KINDS.items() if kind.stored_as != "heartbeats"}
