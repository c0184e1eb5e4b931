"""The precision of a run by its device."""

import pytest
import torch

from sleepkd import precision
from sleepkd.errors import UserError
from sleepkd.precision import for_device
from sleepkd.settings import load_config


@pytest.mark.parametrize(
    ("device", "has_bf16", "setting", "expected"),
    [
        ("cpu", True, "auto", "fp32"),
        ("cuda", True, "auto", "bf16"),
        ("cuda", False, "auto", "fp32"),
        ("cuda", True, "fp32", "fp32"),
        ("cpu", False, "bf16", "bf16"),
    ],
)
def test_precision_for_device(
    monkeypatch: pytest.MonkeyPatch, device: str, has_bf16: bool, setting: str, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    monkeypatch.setattr(precision, "convolves_in_bf16", lambda: True)
    config = load_config(["ecg_base"], [f"train.precision={setting}"])
    assert for_device(config, torch.device(device)).train.precision == expected
    assert for_device(config, torch.device(device)).data == config.data


def test_bf16_raises_where_the_cpu_computes_it_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch 2.13 on a CPU with AMX gets convolutions in bfloat16 wrong by as much as their values."""
    right = torch.nn.functional.conv1d

    def wrong(x: torch.Tensor, *others: torch.Tensor, **more: int) -> torch.Tensor:
        out = right(x, *others, **more)
        return -out if x.dtype == torch.bfloat16 else out

    monkeypatch.setattr(torch.nn.functional, "conv1d", wrong)
    config = load_config(["ecg_base"], ["train.precision=bf16"])
    with pytest.raises(UserError, match=r"train\.precision: bf16: convolutions in bfloat16 are wrong"):
        for_device(config, torch.device("cpu"))
    assert for_device(config, torch.device("cuda")) == config
