"""Run on several processes: evaluate and validate all nights of each store. Arguments: CHECKPOINT OUT STORE…

`tests/test_evaluate.py` compares the confusion matrices of both on several numbers of processes.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

from sleepkd.checkpoints.trained import load_trained
from sleepkd.data.segments import Segments
from sleepkd.distributed import Processes
from sleepkd.evaluation.held_out import evaluation_segments
from sleepkd.evaluation.inference import predict_nights
from train_ddp import build_stage, validate

if __name__ == "__main__":
    checkpoint, out, *stores = sys.argv[1:]
    processes, found = Processes("cpu"), {}
    with processes.group():
        for store in stores:
            trained = load_trained(Path(checkpoint))
            segments = evaluation_segments(trained, [store], "all")
            nights = predict_nights(trained, segments, processes, batch_size=3)
            stage = build_stage(trained.config, segments.nights[0].rate_hz)
            stage.to(processes.device, torch.float32)
            stage.objective.fit(segments.table.labels)
            validation = Segments(segments.nights, stage.readers, trained.config.data, scored_only=False)
            state = SimpleNamespace(evaluated=trained.network, processes=processes)  # what `validate` uses of it
            result = validate(stage, state, validation, 3)
            found[Path(store).name] = {
                "segments": len(segments),
                "evaluated": sum(night.confusion for night in nights).tolist() if nights else None,
                "validated": result["confusion"],
            }
        if processes.is_first:
            Path(out).write_text(json.dumps(found))
