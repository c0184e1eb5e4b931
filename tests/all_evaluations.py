"""Run under torchrun: CHECKPOINT OUT STORE…: evaluate and validate all nights of each store; the first writes OUT."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

from evaluate import windows_of
from sleepkd.data.segments import Segments
from sleepkd.distillation.stage import build_stage
from sleepkd.checkpoints.trained import load_trained
from sleepkd.distributed import Processes
from sleepkd.evaluation.inference import predict
from train_ddp import validate

if __name__ == "__main__":
    checkpoint, out, *stores = sys.argv[1:]
    processes, found = Processes("cpu"), {}
    with processes.group():
        for store in stores:
            trained = load_trained(Path(checkpoint))
            segments = windows_of(trained, [store], "all")
            nights = predict(trained, segments, processes, batch_size=3)
            stage = build_stage(trained.config, segments.nights[0].rate_hz)
            stage.to(processes.device, torch.float32)
            run = SimpleNamespace(  # as much of a run as validation looks at
                config=trained.config,
                stage=stage,
                validation=Segments(segments.nights, stage.readers, trained.config.data, scored_only=False),
                processes=processes,
                at_once=3,
                dtype=torch.float32,
                state=SimpleNamespace(kept=trained.network),
            )
            result = validate(run)
            found[Path(store).name] = {
                "segments": len(segments),
                "evaluated": sum(night.confusion for night in nights).tolist() if nights else None,
                "validated": result["confusion"],
            }
        if processes.is_first:
            Path(out).write_text(json.dumps(found))
