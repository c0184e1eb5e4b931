"""The channel that is read: named, numbered, or the lead with the best heartbeats."""

from pathlib import Path

import numpy as np
import pytest

from sleepkd.cohorts.signals.signal_file import ChannelSamples, SignalFile
from sleepkd.errors import UserError
from sleepkd.prediction.channel_choice import chosen_channel
from tests.cohorts.raw import heartbeats

RATE, SECONDS = 100, 120
NOISE = np.random.default_rng(0).standard_normal(SECONDS * RATE)
ECG = heartbeats(SECONDS, RATE, 0) + 0.02 * NOISE


class Leads(SignalFile):
    """Channels in memory: (label, rate, samples, unit)."""

    def __init__(self, *channels: tuple[str, float, np.ndarray, str]):
        self.path, self._channels = Path("a.edf"), channels
        self.labels, self.rates = [c[0] for c in channels], [c[1] for c in channels]
        self.seconds = SECONDS

    def channel(self, index: int) -> ChannelSamples:
        return ChannelSamples(self._channels[index][2].copy(), self._channels[index][3])


FILE = Leads(
    ("EEG", RATE, NOISE, "uV"),
    ("ECG HR", 1, np.full(SECONDS, 60.0), "bpm"),
    ("ECG", RATE, np.zeros(len(ECG)), "mV"),
    ("ECG", RATE, ECG, "mV"),
    ("ECG Impedance", RATE, 5 + NOISE, "kOhm"),
)


@pytest.mark.parametrize(
    ("wanted", "index"), [("", 3), ("ECG", 2), ("ecg#2", 3), ("ECG#1", 2), ("4", 3), ("EC.*", 3), ("1", 0)]
)
def test_a_channel_by_name_number_and_pattern(wanted: str, index: int) -> None:
    read = FILE.derive([chosen_channel(FILE, wanted, "ecg")], "")
    np.testing.assert_array_equal(read.samples, FILE.channel(index).samples)


@pytest.mark.parametrize("wanted", ["ECG#3", "ECG#0", "9", "pleth", "E(", "ECG HR"])
def test_a_channel_that_is_not_there_or_no_ecg(wanted: str) -> None:
    with pytest.raises(UserError, match=r"no channel|as a pattern it is wrong|1 Hz, too slow"):
        chosen_channel(FILE, wanted, "ecg")


def test_a_clear_lead_comes_before_respiration_of_an_ecg_and_a_noisy_lead() -> None:
    slow = np.sin(np.arange(len(ECG)) / 50)
    file = Leads(("ECG Resp", RATE, slow, "mV"), ("ECG1", RATE, ECG + NOISE, "mV"), ("ECG2", RATE, -ECG, "mV"))
    assert chosen_channel(file, "", "ecg").plus == "ECG2"


def test_the_first_of_two_good_leads_is_taken() -> None:
    file = Leads(("ECG II", RATE, ECG, "mV"), ("ECG V2", RATE, 1.5 * ECG, "mV"))
    assert chosen_channel(file, "", "ecg").plus == r"ECG\ II"
