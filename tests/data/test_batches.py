import numpy as np
import pytest
import torch

from sleepkd.config import DataConfig
from sleepkd.data.batches import check_shares, load, plan_epoch, share
from sleepkd.data.windows import Windows
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store


@pytest.mark.parametrize(
    ("windows", "batch_size", "sizes"),
    [(10, 5, [5, 5]), (10, 4, [4, 3, 3]), (11, 5, [4, 4, 3]), (3, 256, [3]), (1, 1, [1]), (257, 256, [129, 128])],
)
def test_an_epoch_is_every_window_once_in_batches_of_nearly_one_size(windows, batch_size, sizes):
    plan = plan_epoch(windows, batch_size, seed=0, epoch=0)
    assert [len(batch) for batch in plan] == sizes
    assert sorted(np.concatenate(plan).tolist()) == list(range(windows))


def test_a_plan_follows_from_seed_and_epoch_alone():
    def order(seed, epoch):
        return np.concatenate(plan_epoch(100, 32, seed, epoch)).tolist()

    first = order(0, 0)
    np.random.seed(1)
    torch.manual_seed(1)
    assert order(0, 0) == first
    # Every (seed, epoch) is an order of its own: epoch 1 of seed 0 is not epoch 0 of seed 1.
    orders = {tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16
    assert first != sorted(first)


@pytest.mark.parametrize(("size", "world", "accumulate"), [(12, 1, 1), (12, 4, 1), (13, 2, 3), (256, 4, 2), (6, 2, 3)])
def test_processes_and_micro_batches_share_a_batch_out(size, world, accumulate):
    batch = np.random.default_rng(0).permutation(1000)[:size]
    shares = [part for rank in range(world) for part in share(batch, rank, world, accumulate)]
    assert len(shares) == world * accumulate
    assert sorted(np.concatenate(shares).tolist()) == sorted(batch.tolist())
    sizes = [len(part) for part in shares]
    assert max(sizes) - min(sizes) <= 1 <= min(sizes)


@pytest.mark.parametrize(("windows", "batch_size", "shares"), [(256, 256, 4), (10, 4, 3), (5, 256, 5)])
def test_every_share_of_every_batch_has_a_window(windows, batch_size, shares):
    check_shares(windows, batch_size, shares)
    smallest = min(len(batch) for batch in plan_epoch(windows, batch_size, 0, 0))
    assert smallest >= shares
    with pytest.raises(UserError, match=f"train.batch_size: {smallest + 1} processes .* a batch of {smallest} windows"):
        check_shares(windows, batch_size, smallest + 1)


@pytest.mark.parametrize("workers", [-1, 0, 2])
def test_the_loader_brings_the_planned_batches_in_order(tmp_path, workers):
    signal = np.random.default_rng(0).integers(-1000, 1000, 100 * 310).astype(np.int16)
    store = made_store(tmp_path / "s", {"a": hypnogram(30.0 * np.arange(10))}, {"eeg": signal, "ecg": signal})
    config = DataConfig(workers=workers)
    windows = Windows(store, ("a",), config, ("eeg", "ecg"))
    plan = plan_epoch(len(windows), 3, 0, 0)
    batches = list(load(windows, plan, config, torch.device("cpu")))
    assert len(batches) == len(plan) == 4
    for batch, chosen in zip(batches, plan, strict=True):
        expected = np.stack([signal[3000 * w : 3000 * w + 3000] for w in chosen])[:, None]
        for name in ("eeg", "ecg"):
            np.testing.assert_array_equal(batch.signals[name], np.clip(expected, -20, 20).astype(np.float32))
        assert batch.labels.shape == batch.present.shape == (len(chosen), 1)
