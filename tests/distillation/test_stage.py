"""What a stage settles by the device it runs on."""

import pytest
import torch

from sleepkd.distillation import stage
from sleepkd.settings import load_config
from sleepkd.distillation.stage import by_device
from sleepkd.errors import UserError


@pytest.mark.parametrize(
    ("device", "has_bf16", "asked", "settled"),
    [
        ("cpu", True, "auto", "fp32"),
        ("cuda", True, "auto", "bf16"),
        ("cuda", False, "auto", "fp32"),
        ("cuda", True, "fp32", "fp32"),
        ("cpu", False, "bf16", "bf16"),
    ],
)
def test_precision_by_device(
    monkeypatch: pytest.MonkeyPatch, device: str, has_bf16: bool, asked: str, settled: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    monkeypatch.setattr(stage, "convolves_in_bf16", lambda: True)
    config = load_config(["ecg_base"], [f"train.precision={asked}"])
    assert by_device(config, torch.device(device)).train.precision == settled
    assert by_device(config, torch.device(device)).data == config.data


def test_bf16_is_refused_where_the_cpu_gets_it_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library whose convolution in bfloat16 is off by as much as its values, as seen with torch 2.13 and AMX."""
    right = torch.nn.functional.conv1d

    def wrong(x: torch.Tensor, *others: torch.Tensor, **more: int) -> torch.Tensor:
        out = right(x, *others, **more)
        return -out if x.dtype == torch.bfloat16 else out

    monkeypatch.setattr(torch.nn.functional, "conv1d", wrong)
    config = load_config(["ecg_base"], ["train.precision=bf16"])
    with pytest.raises(UserError, match="bf16: this CPU"):
        by_device(config, torch.device("cpu"))
    assert by_device(config, torch.device("cuda")) == config
