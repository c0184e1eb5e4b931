# sleepkd with the locked dependencies, on Python 3.11, as a user without privileges.
#
#   docker build -t sleepkd .                           # torch for NVIDIA GPUs; --build-arg TORCH=cpu for none
#   docker run --rm -v "$PWD:/data" --user "$(id -u)" sleepkd predict night.edf --out staged
#   docker run --rm -v "$PWD:/data" --user "$(id -u)" --gpus all --shm-size 8g --entrypoint torchrun sleepkd \
#     --nproc_per_node=4 /sleepkd/train_ddp.py --config feat_temp.yaml
#
# Without a network, with the base image and with wheels/ in the checkout:
#
#   pip download --no-deps --only-binary=:all: --require-hashes -d wheels -r requirements.lock -r requirements-cuda.lock
#   docker build --network none --build-arg PIP_NO_INDEX=1 -t sleepkd .
FROM python:3.11-slim-bookworm AS environment

ARG TORCH=cuda
ARG PIP_NO_INDEX
# The brackets let the build do without a folder wheels/.
COPY requirements.lock requirements-cuda.lock requirements-cpu.lock wheel[s]/ /locked/
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes --find-links=/locked \
        --requirement=/locked/requirements.lock --requirement="/locked/requirements-${TORCH}.lock"

WORKDIR /sleepkd
COPY pyproject.toml setup.py README.md LICENSE train_ddp.py evaluate.py ./
COPY configs configs
COPY sleepkd sleepkd
COPY scripts scripts
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --editable .

FROM python:3.11-slim-bookworm

# Caches lie where any user may write: `--user` gives one without a home.
ENV PATH=/venv/bin:$PATH \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    XDG_CACHE_HOME=/tmp/cache \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=environment /venv /venv
COPY --from=environment /sleepkd /sleepkd
RUN useradd --create-home --uid 1000 sleepkd
USER 1000
WORKDIR /data

ENTRYPOINT ["sleepkd"]
CMD ["--help"]
