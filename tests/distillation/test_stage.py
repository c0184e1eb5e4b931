"""What a stage settles by the device it runs on."""

import pytest
import torch

from sleepkd.distillation.settings import load_config
from sleepkd.distillation.stage import by_device


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
    config = load_config(["ecg_base"], [f"train.precision={asked}"])
    assert by_device(config, torch.device(device)).train.precision == settled
    assert by_device(config, torch.device(device)).data == config.data
