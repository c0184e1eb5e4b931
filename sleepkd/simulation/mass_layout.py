"""The layout of MASS: subsets, file names, EEG references and channels of each simulated recording.

O'Reilly et al. 2014, J Sleep Res 23:628.
"""

from dataclasses import dataclass

from sleepkd.simulation.noise import generator

CHANNEL_SETS = ("beats", "needed", "full")
NIGHTS_BY_SUBSET = {"SS1": 53, "SS2": 19, "SS3": 62, "SS4": 40, "SS5": 26}
STANDARD = {"SS1": "aasm", "SS2": "rk", "SS3": "aasm", "SS4": "rk", "SS5": "rk"}
# CLE: computed linked ears; LER: linked ears.
REFERENCE = {"SS1": "CLE", "SS2": "CLE", "SS3": "LER", "SS4": "CLE", "SS5": "LER"}
ABSENT_NUMBERS = {"SS3": (43, 49)}
LER_SHARE_SS1 = 0.15  # fraction of SS1 with the LER reference
A1_SHARE_SS2 = 0.25  # fraction of SS2 with A1 in place of A2
ECG_IN_MICROVOLT = ("SS2", "SS3", "SS5")


@dataclass(frozen=True)
class PlannedRecording:
    """One recording of the cohort: its number, file name, EEG reference and channels."""

    night: int  # number in the cohort, from 0
    subset: str  # "SS1" to "SS5"
    identifier: str  # for example 01-01-0001
    reference: str  # "CLE" | "LER"
    earlobe: str  # the recorded earlobe electrode: "A2" | "A1"

    @property
    def standard(self) -> str:
        """Scoring standard: "aasm" or "rk"."""
        return STANDARD[self.subset]

    @property
    def ecg_unit(self) -> str:
        """Unit of the ECG in the file: "uV" or "mV"."""
        return "uV" if self.subset in ECG_IN_MICROVOLT else "mV"

    def electrodes(self, channels: str) -> list[str]:
        """EEG electrodes in the file; channels "needed" are those that `configs/datasets/mass.yaml` reads."""
        if channels == "needed":
            return ["C3", "C4", self.earlobe]
        front = [] if self.subset == "SS4" else ["F3", "F4"]
        return [*front, "C3", "C4", "O1", "O2", self.earlobe]

    def leads(self, channels: str) -> list[str]:
        """ECG leads in the file: three in SS4, of which "needed" has ECGII, else ECGI."""
        if self.subset != "SS4":
            return ["ECGI"]
        return ["ECGII"] if channels == "needed" else ["ECGI", "ECGII", "ECGIII"]


def plan_recordings(nights: int, seed: int) -> list[PlannedRecording]:
    """The recordings of a cohort of `nights`, in order; a longer cohort of the same seed begins with the same ones.

    The first five nights are one of each subset. Each later night goes to the subset that is furthest below its share
    of MASS, so that 200 nights have exactly the composition of MASS.
    """
    total = sum(NIGHTS_BY_SUBSET.values())
    counts = dict.fromkeys(NIGHTS_BY_SUBSET, 0)
    numbers = dict.fromkeys(NIGHTS_BY_SUBSET, 0)
    recordings = []
    for night in range(nights):
        empty = [subset for subset in NIGHTS_BY_SUBSET if not counts[subset]]
        lag = {subset: NIGHTS_BY_SUBSET[subset] / total * (night + 1) - counts[subset] for subset in NIGHTS_BY_SUBSET}
        subset = empty[0] if empty else max(lag, key=lambda name: lag[name])
        counts[subset] += 1
        numbers[subset] += 1
        while numbers[subset] in ABSENT_NUMBERS.get(subset, ()):
            numbers[subset] += 1
        draw = generator(seed, night, "layout").random()
        ler = REFERENCE[subset] == "LER" or (subset == "SS1" and draw < LER_SHARE_SS1)
        recordings.append(
            PlannedRecording(
                night=night,
                subset=subset,
                identifier=f"01-0{subset[-1]}-{numbers[subset]:04d}",
                reference="LER" if ler else "CLE",
                earlobe="A1" if subset == "SS2" and draw < A1_SHARE_SS2 else "A2",
            )
        )
    return recordings
