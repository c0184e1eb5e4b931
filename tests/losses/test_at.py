"""Attention transfer against values computed by hand, and against a float64 formula in numpy."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sleepkd.errors import UserError
from sleepkd.losses import FeatureShapes, NetworkOutput
from sleepkd.losses.at import (
    AttentionTransfer,
    AttentionTransferSettings,
    attention_energy,
    attention_map,
)
from tests.losses.synthetic import SHARES, assert_shares_add_up, batch, table

Features = dict[str, Tensor]


def transfer(student: Features, teacher: Features, groups: tuple, *, of=None, **settings) -> tuple[Tensor, Tensor]:
    """The sum for features (sequences, C, L) of student and teacher; by default every sequence is a segment."""
    shapes = FeatureShapes(3, *({tap: tuple(x.shape[1:]) for tap, x in taps.items()} for taps in (student, teacher)))
    loss = AttentionTransfer(AttentionTransferSettings(1.0, groups, **settings), shapes)
    logits = torch.zeros(1, 1, 3)
    of = batch(torch.zeros(len(next(iter(student.values()))), 1, dtype=torch.int64)) if of is None else of
    return loss.sum(NetworkOutput(logits, student), loss.targets(NetworkOutput(logits, teacher)), of)


def test_attention_map_by_hand() -> None:
    feature = torch.tensor([[[1.0, 2.0], [2.0, 0.0]], [[0.0, 3.0], [0.0, 0.0]]])  # (B=2, C=2, L=2)
    energy = attention_energy(feature)
    assert energy.tolist() == [[5, 4], [0, 9]]  # sums of squares over channels
    per_sequence = [[5 / math.sqrt(41), 4 / math.sqrt(41)], [0.0, 1.0]]
    torch.testing.assert_close(attention_map(energy), torch.tensor(per_sequence))
    over_batch = [[1.0, 4 / math.sqrt(97)], [0.0, 9 / math.sqrt(97)]]
    torch.testing.assert_close(attention_map(energy, "batch"), torch.tensor(over_batch))


def attention_by_hand(student: Features, teacher: Features, groups: tuple, axis: int) -> float:
    """Mean over the batch of the attention loss, in float64 numpy; groups of (student's tap, teacher's tap)."""

    def distance(pair: tuple[str, str]) -> float:
        maps = []
        for feature in (student[pair[0]], teacher[pair[1]]):
            energy = (feature.double().numpy() ** 2).sum(1)
            maps.append(energy / np.sqrt((energy**2).sum(axis=axis, keepdims=True)))
        return float(np.abs(maps[0] - maps[1]).mean())

    return float(np.mean([np.mean([distance(pair) for pair in group]) for group in groups]))


def same_taps(groups: tuple) -> tuple:
    return tuple(tuple((tap, tap) for tap in group) for group in groups)


def some_features() -> tuple[Features, Features]:
    torch.manual_seed(0)
    student = {"a": torch.randn(3, 4, 10), "b": torch.randn(3, 2, 5), "c": torch.randn(3, 8, 20)}
    return student, {name: torch.randn_like(feature) for name, feature in student.items()}


GROUPS = (("a", "b"), ("c",), ("b",))


@pytest.mark.parametrize(("normalisation", "axis"), [("sample", 1), ("batch", 0)])
def test_attention_transfer_is_a_mean_of_means(normalisation: str, axis: int) -> None:
    student, teacher = some_features()
    total = transfer(student, teacher, GROUPS, normalisation=normalisation)
    expected = attention_by_hand(student, teacher, same_taps(GROUPS), axis)
    assert total.item() / 3 == pytest.approx(expected, abs=1e-6)


def test_teacher_taps_may_have_other_paths_and_widths() -> None:
    student, features = some_features()
    teacher = {tap.upper(): torch.cat([feature, feature + 1], dim=1) for tap, feature in features.items()}
    teacher_taps = tuple(tuple(tap.upper() for tap in group) for group in GROUPS)
    total = transfer(student, teacher, GROUPS, teacher_taps=teacher_taps)
    pairs = tuple(tuple((tap, tap.upper()) for tap in group) for group in GROUPS)
    assert total.item() / 3 == pytest.approx(attention_by_hand(student, teacher, pairs, 1), abs=1e-6)


def test_taps_of_different_lengths_raise_by_key() -> None:
    student, teacher = {"a": torch.zeros(1, 2, 10)}, {"a": torch.zeros(1, 2, 20)}
    with pytest.raises(UserError, match=r"loss\.at\.taps: a has 10 positions, the teacher's a has 20"):
        transfer(student, teacher, (("a",),))


def test_gradient_reaches_only_the_student_and_equal_features_give_zero() -> None:
    student = {"a": torch.randn(2, 3, 8, requires_grad=True)}
    teacher = {"a": torch.randn(2, 5, 8, requires_grad=True)}
    transfer(student, teacher, (("a",),)).backward()
    assert student["a"].grad.any()
    assert teacher["a"].grad is None
    assert transfer(student, student, (("a",),)).item() == 0


def test_padded_sleep_epochs_count_in_neither_sum_nor_normalizer() -> None:
    """Two segments of two sleep epochs, the last one padding: the same sum as for the three others alone."""
    torch.manual_seed(2)
    student, teacher = {"a": torch.randn(4, 3, 8)}, {"a": torch.randn(4, 3, 8)}
    present = torch.tensor([[True, True], [True, False]])
    labels = torch.tensor([[0, 1], [-1, -1]])
    total = transfer(student, teacher, (("a",),), of=batch(labels, present))
    present_only = [{"a": features["a"][:3]} for features in (student, teacher)]
    torch.testing.assert_close(total, transfer(*present_only, (("a",),)))
    loss = AttentionTransfer(AttentionTransferSettings(1.0, (("a",),)), FeatureShapes(3, {"a": (3, 8)}, {"a": (3, 8)}))
    assert loss.normalizer(table(labels, present)) == 3
    assert loss.normalizer(table(labels)) == 4  # unscored ones count


def test_in_view_night_masked_tokens_do_not_count_and_the_normalizer_is_the_number_of_segments() -> None:
    """Segments of four tokens of two positions each; the last two tokens of the second segment are masked."""
    torch.manual_seed(3)
    student, teacher = {"a": torch.randn(2, 3, 8)}, {"a": torch.randn(2, 3, 8)}
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    labels = torch.zeros(2, 2, dtype=torch.int64)
    total = transfer(student, teacher, (("a",),), of=batch(labels, mask=mask))
    alone = [
        transfer(*({"a": features["a"][i : i + 1, :, :length]} for features in (student, teacher)), (("a",),))
        for i, length in ((0, 8), (1, 4))
    ]
    torch.testing.assert_close(total, sum(alone))
    loss = AttentionTransfer(AttentionTransferSettings(1.0, (("a",),)), FeatureShapes(3, {"a": (3, 8)}, {"a": (3, 8)}))
    assert loss.normalizer(table(labels, tokens=4)) == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    feature = torch.full((1, 512, 4), 20.0, dtype=dtype)  # 512 * 400 overflows float16
    energy = attention_energy(feature)
    assert energy.dtype == torch.float32
    torch.testing.assert_close(attention_map(energy), torch.full((1, 4), 0.5))


def test_sums_over_shares_add_up_to_the_whole_batch() -> None:
    torch.manual_seed(1)
    student, teacher = ({"a": torch.randn(7, 3, 8, dtype=torch.float64)} for _ in range(2))

    def share(part: slice) -> Tensor:
        return transfer({"a": student["a"][part]}, {"a": teacher["a"][part]}, (("a",),))

    assert_shares_add_up(share(slice(None)), [share(s) for s in SHARES])
