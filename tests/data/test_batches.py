"""The segments of every update, and how processes and micro-batches share them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sleepkd.data.batches import check_shares, draw_epoch, load_batches, share
from sleepkd.data.data_settings import DataConfig, Source
from sleepkd.errors import UserError
from tests.data.reading import segments_of, signal_of
from tests.data.stored import hypnogram, made_store


class FakeSegments:
    """As much of `Segments` as drawing a training epoch needs. sizes: segments per store."""

    def __init__(self, *sizes: int, mix: float = 0.0, weights: tuple[float, ...] = ()):
        weights = weights or (1.0,) * len(sizes)
        sources = tuple(Source(f"s{i}", weight=weight) for i, weight in enumerate(weights))
        self.data = DataConfig(nights=sources if len(sizes) > 1 else (), mix=mix)
        self.nights = [SimpleNamespace(source=i) for i in range(len(sizes))]
        self.table = SimpleNamespace(night=np.repeat(np.arange(len(sizes)), sizes))

    def __len__(self) -> int:
        return len(self.table.night)


@pytest.mark.parametrize(
    ("segments", "batch_size", "sizes"),
    [(10, 5, [5, 5]), (10, 4, [4, 3, 3]), (11, 5, [4, 4, 3]), (3, 256, [3]), (1, 1, [1]), (257, 256, [129, 128])],
)
def test_a_training_epoch_draws_every_segment_once_in_batches_of_nearly_equal_size(segments, batch_size, sizes):
    plan = draw_epoch(FakeSegments(segments), batch_size, seed=0, epoch=0)
    assert [len(batch) for batch in plan] == sizes
    assert sorted(np.concatenate(plan).tolist()) == list(range(segments))


def test_the_order_depends_on_seed_and_training_epoch_alone():
    def order(seed, epoch):
        return np.concatenate(draw_epoch(FakeSegments(100), 32, seed, epoch)).tolist()

    first = order(0, 0)
    np.random.seed(1)
    torch.manual_seed(1)
    assert order(0, 0) == first
    # Every (seed, epoch) has its own order: epoch 1 of seed 0 is not epoch 0 of seed 1.
    orders = {tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16
    assert first != sorted(first)


@pytest.mark.parametrize(("size", "world", "accumulate"), [(12, 1, 1), (12, 4, 1), (13, 2, 3), (256, 4, 2), (6, 2, 3)])
def test_processes_and_micro_batches_share_a_batch(size, world, accumulate):
    batch = np.random.default_rng(0).permutation(1000)[:size]
    shares = [part for rank in range(world) for part in share(batch, rank, world, accumulate)]
    assert len(shares) == world * accumulate
    assert sorted(np.concatenate(shares).tolist()) == sorted(batch.tolist())
    sizes = [len(part) for part in shares]
    assert max(sizes) - min(sizes) <= 1 <= min(sizes)


@pytest.mark.parametrize(("segments", "batch_size", "shares"), [(256, 256, 4), (10, 4, 3), (5, 256, 5)])
def test_every_share_of_every_batch_has_a_segment(segments, batch_size, shares):
    check_shares(segments, batch_size, shares)
    smallest = min(len(batch) for batch in draw_epoch(FakeSegments(segments), batch_size, 0, 0))
    assert smallest >= shares
    with pytest.raises(
        UserError, match=f"train.batch_size: {smallest + 1} processes .* a batch of {smallest} segments"
    ):
        check_shares(segments, batch_size, smallest + 1)


@pytest.mark.parametrize("workers", [-1, 0, 2])
def test_the_loader_returns_the_batches_in_order(tmp_path, workers):
    signal = np.random.default_rng(0).integers(-1000, 1000, 100 * 310).astype(np.int16)
    store = made_store(tmp_path / "s", {"a": hypnogram(30.0 * np.arange(10))}, {"eeg": signal, "ecg": signal})
    config = DataConfig(workers=workers)
    segments = segments_of(store, config, ("eeg", "ecg"))
    plan = draw_epoch(segments, 3, 0, 0)
    batches = list(load_batches(segments, plan, torch.device("cpu")))
    assert len(batches) == len(plan) == 4
    for batch, chosen in zip(batches, plan, strict=True):
        expected = np.stack([signal[3000 * w : 3000 * w + 3000] for w in chosen])[:, None]
        for name in ("eeg", "ecg"):
            np.testing.assert_array_equal(signal_of(batch, name), np.clip(expected, -20, 20).astype(np.float32))
        assert batch.labels.shape == batch.present.shape == (len(chosen), 1)


# --- several stores ---


def drawn_by_store(segments: FakeSegments, batch_size: int, epoch: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """The batches, and (batches, stores): how many segments of each store each batch holds."""
    plan = draw_epoch(segments, batch_size, 0, epoch)
    night = segments.table.night
    return plan, np.array([np.bincount(night[batch], minlength=len(segments.nights)) for batch in plan])


def test_in_proportion_to_size_every_segment_is_drawn_once():
    plan, _ = drawn_by_store(FakeSegments(90, 10), 25)
    assert sorted(np.concatenate(plan).tolist()) == list(range(100))


@pytest.mark.parametrize(
    ("mix", "weights", "expected"),
    [
        (1.0, (), [50, 50]),
        (0.5, (), [70, 30]),
        (0.0, (1.0, 9.0), [50, 50]),
        (1.0, (3.0, 1.0), [75, 25]),
    ],
)
def test_each_store_has_its_share_of_every_batch(mix, weights, expected):
    """90 and 10 segments: between in proportion to size and uniform, times the weights."""
    segments = FakeSegments(90, 10, mix=mix, weights=weights)
    plan, counts = drawn_by_store(segments, 20)
    assert [len(batch) for batch in plan] == [20] * 5 and counts.sum(0).tolist() == expected
    assert np.abs(counts - np.array(expected) / 5).max() <= 2  # spread evenly over the epoch
    drawn = np.bincount(np.concatenate(plan), minlength=100)
    for store in (drawn[:90], drawn[90:]):
        assert np.ptp(store) <= 1  # the segments of a store are drawn in turn


def test_mixed_batches_depend_on_seed_and_training_epoch_alone():
    segments = FakeSegments(90, 10, mix=1.0)
    plans = [np.concatenate(drawn_by_store(segments, 20, epoch)[0]).tolist() for epoch in (0, 1, 0)]
    assert plans[0] == plans[2] != plans[1]
