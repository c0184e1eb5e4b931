"""Run under torchrun: CHECKPOINT OUT STORE…: evaluate and validate all nights of each store; the first writes OUT."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from sleepkd.models.build import load_trained

from evaluate import windows_of
from sleepkd.distillation.stage import build_stage
from sleepkd.distributed import Processes
from sleepkd.evaluation.inference import predict
from train_ddp import validate

if __name__ == "__main__":
    checkpoint, out, *stores = sys.argv[1:]
    processes, found = Processes("cpu"), {}
    with processes.group():
        for store in stores:
            trained = load_trained(Path(checkpoint))
            windows = windows_of(trained, [store], "all")
            nights = predict(trained, windows, processes, batch_size=3)
            stage = build_stage(trained.config, trained.checkpoint.rate_hz)
            ones = np.ones(trained.config.data.classes)
            result = validate(stage, trained.network, windows, torch.ones(len(ones)), ones, processes)
            found[Path(store).name] = {
                "windows": len(windows),
                "evaluated": sum(night.confusion for night in nights).tolist() if nights else None,
                "validated": result["confusion"],
            }
        if processes.is_first:
            Path(out).write_text(json.dumps(found))
