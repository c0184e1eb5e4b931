"""Checkpoints of several networks as one ensemble: its logits, its nights, members that do not fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from launch import tiny, tiny_night
from sleepkd.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from sleepkd.checkpoints.ensemble_checkpoint import ensemble_checkpoint
from sleepkd.checkpoints.trained import load_trained, untrained
from sleepkd.errors import UserError
from sleepkd.settings import load_config


def saved(path: Path, stage: str, overrides: list[str], nights: dict[str, list[str]]) -> Path:
    """A checkpoint of a stage with initial weights, as if trained on these nights."""
    save_checkpoint(path, replace(untrained(load_config([stage], overrides), 64), trained_on=nights))
    return path


def test_an_ensemble_has_the_mean_of_its_members_logits_and_all_of_their_nights(store: Path, tmp_path: Path) -> None:
    first = saved(tmp_path / "a.pt", "night_ecg", tiny_night(store, tmp_path), {"x/1": ["p"]})
    torch.manual_seed(9)
    second = saved(tmp_path / "b.pt", "night_ecg", tiny_night(store, tmp_path, model__width=12), {"x/2": ["q"]})
    path = tmp_path / "both.pt"
    save_checkpoint(path, ensemble_checkpoint([first, second]))
    both = load_trained(path)
    inputs = {name: torch.randn(1, 1, *item.shape(1200.0)) for name, item in both.inputs.items()}
    members = [load_trained(each).network(inputs) for each in (first, second)]
    torch.testing.assert_close(both.network(inputs), (members[0] + members[1]) / 2)
    assert (members[0] - members[1]).abs().max() > 1e-3
    assert both.trained_on == {"x/1": ["p"], "x/2": ["q"]}
    beats = both.with_inputs(["beats"])
    torch.testing.assert_close(
        beats.network({"beats": inputs["beats"]}),
        torch.stack([load_trained(each).network({"beats": inputs["beats"]}) for each in (first, second)]).mean(0),
    )


def test_members_that_do_not_fit_are_refused_by_name(store: Path, tmp_path: Path) -> None:
    night = saved(tmp_path / "a.pt", "night_ecg", tiny_night(store, tmp_path), {})
    eeg = saved(tmp_path / "b.pt", "night_eeg", tiny_night(store, tmp_path), {})
    utime = saved(tmp_path / "c.pt", "ecg_base", tiny(store, tmp_path), {})
    other = saved(tmp_path / "d.pt", "night_ecg", tiny_night(store, tmp_path, data__classes=4), {})
    for path, message in ((eeg, "other inputs"), (utime, "not a night network"), (other, "number of classes")):
        with pytest.raises(UserError, match=f"{path.name}: .*{message}"):
            ensemble_checkpoint([night, path])
    assert read_checkpoint(night).trained_on == {}
