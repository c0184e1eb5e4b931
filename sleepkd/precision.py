"""Numerical precision of a run on a device: float32, float64, or mixed precision in bfloat16 or float16."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from sleepkd.errors import UserError
from sleepkd.settings import Config


def for_device(config: Config, device: torch.device) -> Config:
    """The config with `train.precision: auto` resolved for a device, as checkpoints store it.

    Raises UserError naming a setting that the device does not support.
    """
    if getattr(config.model, "norm", "") == "sync_batch" and device.type != "cuda":
        raise UserError("model.norm: sync_batch needs CUDA; use batch or group")
    if config.train.precision == "bf16" and device.type == "cpu" and not convolves_in_bf16():
        raise UserError("train.precision: bf16: convolutions in bfloat16 are wrong on this CPU; use fp32")
    if config.train.precision != "auto":
        return config
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return replace(config, train=replace(config.train, precision="bf16" if has_bf16 else "fp32"))


def convolves_in_bf16() -> bool:
    """Whether the CPU computes a convolution of 8 channels, kernel 8, stride 4 in bfloat16 correctly.

    torch 2.13 on a CPU with AMX gets it wrong by as much as its values. The night network's encoder can contain it.
    """
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(1, 8, 80, generator=generator), torch.randn(8, 8, 8, generator=generator)
    exact = F.conv1d(x, weight, stride=4, padding=2)
    found = F.conv1d(x.bfloat16(), weight.bfloat16(), stride=4, padding=2).float()
    return float((found - exact).norm()) < 0.05 * float(exact.norm())


def signal_dtype(config: Config) -> torch.dtype:
    """The dtype of signals and weights."""
    return torch.float64 if config.train.precision == "fp64" else torch.float32


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """Mixed precision for the forward of a network. Losses are computed outside it, in float32 or float64."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(config.train.precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)
