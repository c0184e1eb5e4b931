"""Temperature and class bias: fitted on synthetic nights, and within the weights of a night network."""

import numpy as np
import pytest
import torch

from sleepkd.checkpoints.calibrated import TEMPERATURES, Calibration, calibrated_weights, fit_calibration
from sleepkd.data.segments import Batch
from sleepkd.data.stage_inputs import input_spec
from sleepkd.errors import UserError
from sleepkd.models.ensemble import Ensemble, EnsembleSettings
from sleepkd.models.night_network import NightNetwork, NightSettings


def drawn(logits_NK: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels drawn from softmax(logits): the largest of logits with Gumbel noise."""
    return (logits_NK + rng.gumbel(size=logits_NK.shape)).argmax(axis=1).astype(np.int8)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_a_known_calibration_is_recovered(temperature: float) -> None:
    """Labels follow logits / T + b; every third sleep epoch is unscored."""
    rng = np.random.default_rng(0)
    bias = np.array([0.5, -0.8, 0.4, -0.1])
    logits = [rng.normal(0, 2, (n, 4)) for n in (4000, 9000, 7000)]
    labels = [drawn(z / temperature + bias, rng) for z in logits]
    for y in labels:
        y[::3] = -1
    found = fit_calibration(logits, labels)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.bias == pytest.approx(bias, abs=0.08)
    assert found.bias.sum() == pytest.approx(0, abs=1e-9)
    assert found.nll[1] < found.nll[0]


def test_the_fit_is_the_same_of_logits_and_of_the_logarithm_of_probabilities() -> None:
    rng = np.random.default_rng(1)
    logits = [rng.normal(0, 2, (500, 3)) for _ in range(3)]
    labels = [drawn(z, rng) for z in logits]
    a = fit_calibration(logits, labels)
    b = fit_calibration([z - np.log(np.exp(z).sum(axis=1, keepdims=True)) for z in logits], labels)
    assert a.temperature == pytest.approx(b.temperature, rel=1e-6)
    assert a.bias == pytest.approx(b.bias, abs=1e-6)


def test_each_night_counts_equally() -> None:
    """Logits without information: the bias is the logarithm of the prior, the mean of the nights' shares."""
    labels = [np.zeros(900, np.int8), np.array([0, 1] * 50, np.int8), np.full(5, -1, np.int8)]
    labels[0][:90] = 1
    found = fit_calibration([np.zeros((len(y), 2)) for y in labels], labels)
    share = (0.1 + 0.5) / 2
    assert found.bias[1] - found.bias[0] == pytest.approx(np.log(share / (1 - share)), abs=1e-5)


def test_nights_without_a_class_have_a_finite_calibration() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(300, 3))
    found = fit_calibration([logits], [drawn(logits[:, :2], rng)])
    assert np.isfinite(found.bias).all() and found.bias[2] < -2
    separable = fit_calibration([np.eye(3)[[0, 1, 2] * 20]], [np.array([0, 1, 2] * 20)])
    assert separable.temperature == pytest.approx(TEMPERATURES[0])
    with pytest.raises(UserError, match="none of these nights has a scored sleep epoch"):
        fit_calibration([logits], [np.full(300, -1)])


def network(classes: int = 4) -> NightNetwork:
    torch.manual_seed(0)
    settings = NightSettings(width=8, filters=4, dilations=(1, 2), repeats=1)
    built = NightNetwork(settings, classes, input_spec({"beats": {"rate": 4.0}}, "inputs"), 10.0).double().eval()
    for parameter in built.parameters():  # none at its initial 0 or 1
        parameter.data += 0.3 * torch.randn_like(parameter)
    return built


def test_the_folded_network_has_the_calibrated_logits_of_every_sleep_epoch() -> None:
    calibration = Calibration(1.7, np.array([0.4, -0.3, 0.2, -0.3]), (1.0, 0.9))
    before, after = network(), network()
    weights = {name: value.clone() for name, value in before.state_dict().items()}
    after.load_state_dict(calibrated_weights(before.state_dict(), calibration))
    inputs = {"beats": torch.randn(2, 1, 3, 12 * 40, dtype=torch.float64)}
    spans = torch.tensor([[[0, 3], [3, 3], [6, 2]], [[1, 3], [4, 2], [9, 3]]])
    nothing = torch.zeros(2, 3, dtype=torch.int64)
    batch = Batch({}, nothing, nothing.bool(), spans, torch.ones(2, 12, dtype=torch.bool), {})
    with torch.no_grad():
        plain, folded = (batch.per_sleep_epoch(each(inputs)) for each in (before, after))
    torch.testing.assert_close(folded, plain / 1.7 + torch.as_tensor(calibration.bias), rtol=1e-12, atol=1e-12)
    assert (folded - plain).abs().max() > 0.1
    assert all(torch.equal(value, weights[name]) for name, value in before.state_dict().items())  # a copy


def test_the_calibration_of_an_ensemble_is_that_of_its_mean_logits() -> None:
    """Each member's logits are divided by the temperature and get the bias, so their mean does."""
    calibration = Calibration(0.8, np.array([0.4, -0.3, 0.2, -0.3]), (1.0, 0.9))
    member = NightSettings(width=8, filters=4, dilations=(1, 2), repeats=1)
    beats = input_spec({"beats": {"rate": 4.0}}, "inputs")
    torch.manual_seed(1)
    before, after = (Ensemble(EnsembleSettings(members=(member, member)), 4, beats, 10.0).eval() for _ in range(2))
    after.load_state_dict(calibrated_weights(before.state_dict(), calibration))
    inputs = {"beats": torch.randn(1, 1, 3, 12 * 40)}
    with torch.no_grad():
        plain, folded = before(inputs), after(inputs)
    torch.testing.assert_close(folded, plain / 0.8 + torch.as_tensor(calibration.bias).float())


def test_other_networks_and_other_classes_are_refused() -> None:
    calibration = Calibration(1.0, np.zeros(3), (1.0, 1.0))
    with pytest.raises(UserError, match="of 3 classes for a network of 4"):
        calibrated_weights(network().state_dict(), calibration)
    with pytest.raises(UserError, match=r"these weights have no classify\.2"):
        calibrated_weights({"dense.0.weight": torch.zeros(3, 4, 1)}, calibration)
