"""The model in Python: it imports what it needs only."""

import subprocess
import sys

from launch import REPOSITORY, environment

CODE = """
import sys, numpy as np, sleepkd
night = sleepkd.load().predict_beats(np.cumsum(np.random.default_rng(0).normal(0.9, 0.05, 900)))
assert len(night.stages) > 20
print(*sorted({name.split('.')[0] for name in sys.modules}))
"""
HEAVY = {
    "edfio",
    "mne",
    "yasa",
    "pandas",
    "wfdb",
    "matplotlib",
    "sklearn",
    "sleepecg",
    "huggingface_hub",
    "safetensors",
}


def test_heartbeats_are_staged_without_heavy_packages() -> None:
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "torch" in loaded and not HEAVY & loaded
