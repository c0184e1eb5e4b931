"""The night network: output lengths, size, and the effect of padding, absent inputs and later signal."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sleepkd.data.inputs import BeatsInput, InputSpec, SignalInput
from sleepkd.errors import UserError
from sleepkd.models import build_network, network_settings
from sleepkd.models.night_network import ChannelNorm, NightNetwork, NightRanks, NightSettings, strides_of
from sleepkd.models.utime import UTime, UTimeSettings

SMALL = NightSettings(width=8, filters=4, dilations=(1, 2), repeats=1)
CAUSAL = replace(SMALL, causal=True)
RANKS = replace(SMALL, night_ranks=True)


def spec(*names: str, rate: float = 64, causal: bool = False) -> InputSpec:
    normalisation = "physical" if causal else "robust_night"
    signal = SignalInput(rate=rate, normalisation=normalisation)
    return {name: BeatsInput(causal=causal) if name == "beats" else signal for name in names}


def night(inputs: InputSpec, tokens: int, segments: int = 1, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: (segments, 1, *item.shape(10 * tokens)) for name, item in inputs.items()}
    return {name: torch.randn(*shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def network(settings: NightSettings, inputs: InputSpec, classes: int = 4) -> NightNetwork:
    torch.manual_seed(0)
    made = build_network(settings, classes, inputs, "night").double().eval()
    for absent in made.fuse.absent.values():  # initially 0, which would hide mistakes
        torch.nn.init.normal_(absent)
    return made.requires_grad_(False)


@pytest.mark.parametrize("names", [("ecg",), ("beats",), ("ecg", "beats"), ("eeg",)], ids="+".join)
@pytest.mark.parametrize("rate", [32, 64, 100, 128, 200, 256])
def test_one_output_per_ten_seconds(names: tuple[str, ...], rate: float) -> None:
    inputs = spec(*names, rate=rate)
    made = network(SMALL, inputs, classes=3)
    for tokens in (1, 4, 31):
        assert made(night(inputs, tokens, segments=2)).shape == (2, tokens, 3)


@pytest.mark.parametrize(("names", "parameters", "flops"), [("beats", 0.7e6, 30e6), ("ecg beats", 2e6, 260e6)])
def test_parameters_and_flops_are_as_documented(names: str, parameters: float, flops: float) -> None:
    inputs = spec(*names.split(), rate=200)
    made = network(NightSettings(), inputs)
    assert 0.5e6 < sum(p.numel() for p in made.parameters()) < parameters
    with FlopCounterMode(display=False) as counted:
        made(night(inputs, 30))
    assert 1e6 < counted.get_total_flops() / 10 < flops


@pytest.mark.parametrize("settings", [SMALL, CAUSAL, RANKS, replace(CAUSAL, lookahead_minutes=0.5)])
def test_padding_to_a_longer_segment_changes_nothing(settings: NightSettings) -> None:
    inputs = spec("ecg", "beats", causal=settings.causal)
    made, short = network(settings, inputs), night(inputs, 20)
    long = night(inputs, 50, seed=1)
    padded = {name: torch.nn.functional.pad(x, (0, long[name].shape[-1] - x.shape[-1])) for name, x in short.items()}
    both = made({name: torch.cat([padded[name], long[name]]) for name in inputs})
    torch.testing.assert_close(both[:1, :20], made(short), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(both[1:], made(long), rtol=1e-9, atol=1e-9)


def test_a_missing_input_equals_a_zero_input() -> None:
    inputs = spec("ecg", "beats")
    made, signals = network(SMALL, inputs), night(inputs, 20)
    both = made(signals)
    for present, absent in (("ecg", "beats"), ("beats", "ecg")):
        alone = made({present: signals[present]})
        torch.testing.assert_close(alone, made({present: signals[present], absent: torch.zeros_like(signals[absent])}))
        assert (alone - both).abs().max() > 1e-3


def test_nights_with_other_inputs_in_one_batch_are_each_as_alone() -> None:
    """Every subset of three inputs, absent over the night or over a part of it."""
    inputs, names = spec("ecg", "beats", "eeg"), ("ecg", "beats", "eeg")
    made, signals = network(SMALL, inputs), night(inputs, 12, segments=8)
    for row in range(8):
        for bit, name in enumerate(names):
            if row >> bit & 1:  # the last row has no input after the first half
                signals[name][row, ..., signals[name].shape[-1] // 2 * (row == 7) :] = 0
    together = made(signals)
    for row in range(8):
        held = {name: x[row : row + 1] for name, x in signals.items() if x[row].any()}
        torch.testing.assert_close(together[row : row + 1], made(held), rtol=1e-9, atol=1e-9)
    assert len({round(x.item(), 9) for x in together[:, 3].sum(-1)}) == 8


@pytest.mark.parametrize("encoder", ["strided", "utime"])
def test_a_network_whose_inputs_are_dropped_has_the_logits_of_the_whole_one_without_them(encoder: str) -> None:
    small = UTimeSettings(filters=(2, 2, 2), pools=(3, 2, 2), bottom_filters=4)
    settings, names = replace(SMALL, encoder=encoder, utime=small), ("ecg", "beats", "eeg")
    for dropped in (("ecg",), ("ecg", "beats"), ("beats", "eeg")):
        whole, smaller = network(settings, spec(*names)), network(settings, spec(*names))
        signals = {name: x for name, x in night(spec(*names), tokens=12).items() if name not in dropped}
        next(iter(signals.values()))[..., :2000] = 0  # a part that only the other input holds, or none
        smaller.drop_inputs(dropped)
        assert smaller.state_dict().keys() == network(settings, spec(*signals)).state_dict().keys()
        torch.testing.assert_close(smaller(signals), whole(signals), rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match="no input is left"):
        network(SMALL, spec("ecg")).drop_inputs(["ecg"])


def ranks_by_loops(x_3S: np.ndarray, present: np.ndarray, samples: int) -> np.ndarray:
    """`NightRanks.ranks` of one night, from its definition: (4, tokens)."""
    rate = np.array([-part.mean() for part in x_3S[0].reshape(-1, samples)])
    variability = np.array([np.log(part.std() + 0.01) for part in x_3S[1].reshape(-1, samples)])
    tokens, rows = len(rate), []
    for half in (1, 25):
        for values in (rate, variability):
            around = [
                [t for t in range(max(0, k - half), min(tokens, k + half + 1)) if present[t]] for k in range(tokens)
            ]
            mean = [np.mean(values[near]) if near else 0.0 for near in around]
            others = [mean[t] for t in range(0, tokens, 18) if present[t]]
            rows.append([np.mean([min(1, max(-1, (value - other) / 0.1)) for other in others]) for value in mean])
    return np.array(rows)


def test_night_ranks_follow_their_definition() -> None:
    rng = np.random.default_rng(0)
    tokens, samples = 200, 20
    x_3S = rng.normal(size=(3, tokens * samples)) + np.repeat(rng.normal(size=(3, tokens)).cumsum(1), samples, 1)
    present = rng.random(tokens) < 0.8
    found = NightRanks(samples, 8).ranks(torch.as_tensor(x_3S)[None], torch.as_tensor(present)[None])[0]
    expected = ranks_by_loops(x_3S, present, samples)
    np.testing.assert_allclose(found[:, present], expected[:, present], atol=1e-9)
    assert abs(expected).max() > 0.9


def test_night_ranks_do_not_change_with_a_person_s_typical_heart_rate() -> None:
    """A constant added to channel 0 (a factor on all RR intervals) leaves all ranks."""
    x = torch.randn(1, 3, 20 * 120, dtype=torch.float64)
    shifted, present = x.clone(), torch.ones(1, 120, dtype=torch.bool)
    shifted[:, 0] += 3
    ranks = NightRanks(20, 8)
    torch.testing.assert_close(ranks.ranks(shifted, present), ranks.ranks(x, present))


def test_night_ranks_know_the_time_since_the_start() -> None:
    """All ranks of a constant night are 0, so a token's embedding is linear in time: the same difference everywhere."""
    made = NightRanks(20, 8).double()
    embedded_WT = made(torch.ones(1, 3, 20 * 50, dtype=torch.float64), torch.ones(1, 50, dtype=torch.bool))[0].detach()
    steps_WT = embedded_WT.diff(dim=-1)
    torch.testing.assert_close(steps_WT, steps_WT[:, :1].expand_as(steps_WT))
    torch.testing.assert_close(steps_WT[:, 0], made.embed.weight[:, -1, 0].detach() * 10 / 3600 / 4)


def test_night_ranks_need_heartbeats_and_a_whole_night() -> None:
    with pytest.raises(UserError, match=r"model\.night_ranks: needs the input beats"):
        network(RANKS, spec("ecg"))
    with pytest.raises(UserError, match=r"model\.night_ranks: reads the whole night"):
        replace(RANKS, causal=True).check()
    with pytest.raises(UserError, match="cannot lose its input beats"):
        network(RANKS, spec("ecg", "beats")).drop_inputs(["beats"])
    made, signals = network(RANKS, spec("ecg", "beats")), night(spec("ecg", "beats"), 20)
    alone = network(SMALL, spec("ecg", "beats"))
    alone.load_state_dict({name: x for name, x in made.state_dict().items() if not name.startswith("ranks.")})
    torch.testing.assert_close(made({"ecg": signals["ecg"]}), alone({"ecg": signals["ecg"]}))
    assert (made(signals) - alone(signals)).abs().max() > 1e-3


def changed_after(signals: dict[str, Tensor], token: int, tokens: int) -> dict[str, Tensor]:
    """The same night with other signal from the start of a token on."""
    other = {name: torch.randn_like(x) for name, x in signals.items()}
    first = {name: x.shape[-1] * token // tokens for name, x in signals.items()}
    return {
        name: torch.cat([x[..., : first[name]], other[name][..., first[name] :]], -1) for name, x in signals.items()
    }


@pytest.mark.parametrize("lookahead", [0, 0.5, 1])
def test_a_causal_output_does_not_depend_on_later_signal(lookahead: float) -> None:
    inputs, tokens, change = spec("ecg", "beats", causal=True), 40, 25
    made, signals = network(replace(CAUSAL, lookahead_minutes=lookahead), inputs), night(inputs, tokens)
    differs = (made(signals) != made(changed_after(signals, change, tokens))).any(-1)[0]
    first = change - round(6 * lookahead)  # the first token that may depend on it
    assert not differs[:first].any()
    assert differs[first : first + 5].all()


def test_an_output_that_is_not_causal_depends_on_later_signal() -> None:
    inputs = spec("ecg", "beats")
    made, signals = network(SMALL, inputs), night(inputs, 40)
    assert (made(signals) != made(changed_after(signals, 25, 40))).any(-1)[0, 20:].all()


@pytest.mark.parametrize("name", ["ecg", "beats"])
def test_a_causal_network_with_an_input_that_is_not_causal_raises(name: str) -> None:
    with pytest.raises(UserError, match=r"^model.causal: .* set "):
        network(CAUSAL, spec(name))


@pytest.mark.parametrize(
    ("samples", "strides"),
    [(2000, (4, 4, 5, 5, 5)), (640, (2, 4, 4, 4, 5)), (40, (2, 4, 5)), (1000, (2, 4, 5, 5, 5)), (70, (2, 5, 7))],
)
def test_the_product_of_strides_is_the_samples_of_a_token(samples: int, strides: tuple[int, ...]) -> None:
    assert strides_of(samples) == strides


@pytest.mark.parametrize("samples", [1, 1700, 2 * 23])
def test_samples_that_no_strides_divide_raise(samples: int) -> None:
    with pytest.raises(UserError, match="prepare the store at another --rate"):
        strides_of(samples)


def test_the_norm_is_the_root_mean_square_over_channels() -> None:
    norm, x = ChannelNorm(5).double(), torch.randn(3, 5, 7, dtype=torch.float64)
    torch.nn.init.normal_(norm.gain_C1)
    expected = x / (x.pow(2).sum(1, keepdim=True) / 5 + 1e-5).sqrt() * norm.gain_C1[None]
    torch.testing.assert_close(norm(x), expected)


def test_the_utime_encoder_equals_utime_on_every_30_s() -> None:
    sizes = UTimeSettings(filters=(2, 2, 4, 4, 4), bottom_filters=6)
    inputs = spec("ecg", "beats")
    made = network(replace(SMALL, encoder="utime", utime=sizes), inputs)
    utime = UTime(sizes, 4, spec("ecg"), 30).double().eval()
    encoder = made.encoders["ecg"]
    missing, unexpected = encoder.load_state_dict(utime.state_dict(), strict=False)
    assert missing == ["narrow.weight", "narrow.bias"] and not any("encoder" in name for name in unexpected)
    x = night(inputs, 7)["ecg"]
    tokens = encoder(x, 7)
    assert tokens.shape == (1, 8, 7)
    bottleneck, _ = utime.encode(x[..., : 2 * 1920].unflatten(-1, (2, 1920))[:, 0].transpose(0, 1))
    means = torch.nn.functional.adaptive_avg_pool1d(bottleneck, 3)
    expected = encoder.narrow(means).transpose(0, 1).flatten(1)
    torch.testing.assert_close(tokens[0, :, :6], expected)
    assert made(night(inputs, 7)).shape == (1, 7, 4)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"width": 0}, "model.width"),
        ({"filters": 0}, "model.filters"),
        ({"kernel": 4}, "model.kernel"),
        ({"dilations": []}, "model.dilations"),
        ({"repeats": 0}, "model.repeats"),
        ({"dropout": 1.0}, "model.dropout"),
        ({"lookahead_minutes": 1}, "model.lookahead_minutes"),
        ({"causal": True, "lookahead_minutes": 0.1}, "model.lookahead_minutes"),
        ({"causal": True, "encoder": "utime"}, "model.encoder"),
        ({"utime": {"kernel": 2}}, "model.kernel"),
        ({"encoder": "lstm"}, "model.encoder"),
    ],
)
def test_impossible_settings_raise_by_key(values: dict, key: str) -> None:
    with pytest.raises(UserError, match=f"^{key}"):
        network_settings({"name": "night"} | values).check()


def test_view_epochs_raises() -> None:
    with pytest.raises(UserError, match=r"needs data.view: night"):
        build_network(SMALL, 4, spec("ecg"), "epochs")


def test_a_rate_at_which_10_s_are_no_whole_number_of_samples_raises() -> None:
    with pytest.raises(UserError, match=r"stage.inputs.ecg.rate: 10 s at 64.03 Hz"):
        network(SMALL, spec("ecg", rate=64.03))
