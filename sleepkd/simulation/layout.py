"""MASS's layout: which subset a night belongs to, what its files are called and which channels they hold."""

from dataclasses import dataclass

from sleepkd.simulation.noise import generator

NIGHTS = {"SS1": 53, "SS2": 19, "SS3": 62, "SS4": 40, "SS5": 26}  # O'Reilly et al. 2014, J Sleep Res 23:628
STANDARD = {"SS1": "aasm", "SS2": "rk", "SS3": "aasm", "SS4": "rk", "SS5": "rk"}
REFERENCE = {"SS1": "CLE", "SS2": "CLE", "SS3": "LER", "SS4": "CLE", "SS5": "LER"}
ABSENT_NUMBERS = {"SS3": (43, 49)}
LER_SHARE_SS1 = 0.15
A1_SHARE_SS2 = 0.25
ECG_IN_MICROVOLT = ("SS2", "SS3", "SS5")


@dataclass(frozen=True)
class Recording:
    """Where one night stands in the cohort and what its files hold."""

    night: int  # from 0, over the cohort
    subset: str
    identifier: str  # 01-01-0001
    reference: str  # "CLE" | "LER"
    ear: str  # "A2" | "A1"

    @property
    def standard(self) -> str:
        """The scoring standard: "aasm" or "rk"."""
        return STANDARD[self.subset]

    @property
    def ecg_unit(self) -> str:
        """The unit the ECG is written in."""
        return "uV" if self.subset in ECG_IN_MICROVOLT else "mV"

    def electrodes(self, channels: str) -> list[str]:
        """EEG electrodes of the file; "needed" is what this project stages by."""
        if channels == "needed":
            return ["C3", "C4", self.ear]
        front = [] if self.subset == "SS4" else ["F3", "F4"]
        return [*front, "C3", "C4", "O1", "O2", self.ear]

    def leads(self, channels: str) -> list[str]:
        """ECG leads of the file: SS4 has three, of which the second is used."""
        if self.subset != "SS4":
            return ["ECGI"]
        return ["ECGII"] if channels == "needed" else ["ECGI", "ECGII", "ECGIII"]


def plan(nights: int, seed: int) -> list[Recording]:
    """The recordings of a cohort of `nights`; a longer cohort of the same seed begins with the same ones.

    The first five nights are one of each subset; each later one goes to the subset that lags most behind its share of
    MASS, so that 200 nights are divided exactly as there.
    """
    total = sum(NIGHTS.values())
    counts = dict.fromkeys(NIGHTS, 0)
    numbers = dict.fromkeys(NIGHTS, 0)
    recordings = []
    for night in range(nights):
        empty = [subset for subset in NIGHTS if not counts[subset]]
        lag = {subset: NIGHTS[subset] / total * (night + 1) - counts[subset] for subset in NIGHTS}
        subset = empty[0] if empty else max(lag, key=lambda name: lag[name])
        counts[subset] += 1
        numbers[subset] += 1
        while numbers[subset] in ABSENT_NUMBERS.get(subset, ()):
            numbers[subset] += 1
        draw = generator(seed, night, "layout").random()
        ler = REFERENCE[subset] == "LER" or (subset == "SS1" and draw < LER_SHARE_SS1)
        recordings.append(
            Recording(
                night=night,
                subset=subset,
                identifier=f"01-0{subset[-1]}-{numbers[subset]:04d}",
                reference="LER" if ler else "CLE",
                ear="A1" if subset == "SS2" and draw < A1_SHARE_SS2 else "A2",
            )
        )
    return recordings
