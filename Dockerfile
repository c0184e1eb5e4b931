# The same environment on a CUDA base image.
#   docker build -t sleepkd .
#   docker run --gpus all --shm-size 8g -v /data/store:/sleepkd/store -v /data/runs:/sleepkd/runs sleepkd \
#     --nproc_per_node=4 train_ddp.py --config feat_temp.yaml
FROM nvidia/cuda:13.0.1-runtime-ubuntu24.04

RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libgomp1 python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /sleepkd
COPY requirements.lock requirements-cuda.lock ./
RUN python3 -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes \
        --requirement requirements.lock --requirement requirements-cuda.lock
ENV PATH=/venv/bin:$PATH
COPY . .
RUN pip install --no-deps --no-build-isolation --editable .

ENTRYPOINT ["torchrun"]
CMD ["--nproc_per_node=1", "train_ddp.py", "--config", "eeg_base.yaml"]
