"""Reading, merging, renaming and type-checking of configs. tests/test_settings.py tests the settings themselves."""

import dataclasses
from pathlib import Path
from typing import Literal

import pytest

from sleepkd.config import CONFIGS, find_config, from_dict, merged, read_yaml, to_dict
from sleepkd.errors import UserError


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@dataclasses.dataclass(frozen=True)
class Loop:
    epochs: int = 150
    rate: float = 1e-3
    fast: bool = False


@dataclasses.dataclass(frozen=True)
class Choice:
    name: str = ""
    widths: tuple[int, ...] = (16, 32)
    groups: tuple[tuple[str, ...], ...] = ()
    classes: Literal[3, 4, 5] = 4
    pinned: Literal["auto", "yes", "no"] = "auto"
    loop: Loop = dataclasses.field(default_factory=Loop)


def test_files_merge_left_to_right_and_set_wins(tmp_path):
    a = write(tmp_path / "a.yaml", "name: a\nloop: {epochs: 3, rate: 8, seed: 1}\n")
    b = write(tmp_path / "b.yaml", "loop: {epochs: 4, rate: 16}\n")
    overrides = ["loop.epochs=5", "data.store=/some/where", "widths=[2, 4]"]
    assert merged([a, b], overrides) == {
        "name": "a",
        "loop": {"epochs": 5, "rate": 16, "seed": 1},
        "data": {"store": "/some/where"},
        "widths": [2, 4],
    }
    assert merged([b, a], [])["loop"]["epochs"] == 3
    assert merged([a], ["loop.epochs=5", "loop.epochs=6"])["loop"]["epochs"] == 6


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "0.0001"])
def test_1e_4_is_a_number(tmp_path, text):
    values = merged([write(tmp_path / "a.yaml", f"loop: {{rate: {text}}}\n")], [])
    assert from_dict(Choice, values).loop.rate == 1e-4
    assert from_dict(Choice, merged([], [f"loop.rate={text}"])).loop.rate == 1e-4


def test_an_integer_is_read_as_a_float():
    rate = from_dict(Loop, {"rate": 4}).rate
    assert (rate, type(rate)) == (4.0, float)


REFUSED = {
    "loop.epoch=3": "loop.epoch: unknown key; did you mean loop.epochs?",
    "lop.epochs=3": "lop: unknown key; did you mean loop?",
    "classes.store=x": "classes: must be one of 3, 4, 5",
    "=3": ": unknown key; did you mean",
    "loop.epochs=many": "loop.epochs: expected int, got 'many'",
    "loop.epochs=3.0": "loop.epochs: expected int, got 3.0",
    "loop.epochs=true": "loop.epochs: expected int, got True",
    "loop.epochs=": "loop.epochs: expected int, got None",
    "loop.rate=fast": "loop.rate: expected float, got 'fast'",
    "loop.rate=true": "loop.rate: expected float, got True",
    "loop.fast=1": "loop.fast: expected bool, got 1",
    "loop.fast=perhaps": "loop.fast: expected bool, got 'perhaps'",
    "name=3": "name: expected str, got 3",
    "name=": "name: expected str, got None",
    "loop=3": "loop: expected a section of keys, got 3",
    "widths=16": "widths: expected a list, got 16",
    "widths=[16, wide]": "widths[1]: expected int, got 'wide'",
    "groups=[dense]": "groups[0]: expected a list, got 'dense'",
    "pinned=sometimes": "pinned: must be one of auto, yes, no; is 'sometimes'",
    "classes=2": "classes: must be one of 3, 4, 5; is 2",
    "classes=4.0": "classes: must be one of 3, 4, 5; is 4.0",
    "classes=true": "classes: must be one of 3, 4, 5; is True",
    "loop.epochs": "--set loop.epochs: expected key=value",
    "widths=[16": "--set widths=[16: not valid YAML",
}


@pytest.mark.parametrize("override", REFUSED)
def test_wrong_keys_and_types_raise_by_key(override):
    with pytest.raises(UserError) as refused:
        from_dict(Choice, merged([], [override]))
    assert str(refused.value).startswith(REFUSED[override])


@pytest.mark.parametrize(
    ("text", "meant"),
    [("yes", "yes"), ("no", "no"), ("auto", "auto"), ("true", "yes"), ("false", "no"), ("'yes'", "yes")],
)
def test_yes_and_no_are_words_among_choices(tmp_path, text, meant):
    """YAML 1.1 reads them as truth values; checkpoints may hold such a one."""
    assert from_dict(Choice, merged([], [f"pinned={text}"])).pinned == meant
    assert from_dict(Choice, merged([write(tmp_path / "a.yaml", f"pinned: {text}\n")], [])).pinned == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [("true", True), ("True", True), ("yes", True), ("on", True), ("false", False), ("no", False), ("off", False)],
)
def test_booleans_by_word(text, meant):
    assert from_dict(Choice, merged([], [f"loop.fast={text}"])).loop.fast is meant


def test_keys_stay_text(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("labels: {1: a, 07: b, no: c, 1e3: d, null: e}\n")
    assert list(read_yaml(path)["labels"]) == ["1", "07", "no", "1e3", "null"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {epochs: 3", "not valid YAML"),
        ("train:\n\tepochs: 3\n", "not valid YAML"),
        ("train: {epochs: 3}\ntrain: {epochs: 4}\n", "train is given twice"),
        ("train:\n  epochs: 3\n  epochs: 4\n", "epochs is given twice"),
        ("!!python/object/apply:os.mkdir [litter]\n", "not valid YAML"),
        ("- train\n- data\n", "expected keys and values, found list"),
        ("train\n", "expected keys and values, found str"),
    ],
)
def test_a_bad_yaml_file_is_named(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"bad\.yaml: .*" + message):
        merged([write(tmp_path / "bad.yaml", text)], [])
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_a_file_that_is_not_text_is_named(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"train: \xff\xfe")
    with pytest.raises(UserError, match=r"bad\.yaml: not valid YAML"):
        merged([str(tmp_path / "bad.yaml")], [])


def test_an_empty_overlay_changes_nothing(tmp_path):
    overlay = write(tmp_path / "e.yaml", "# nothing\n")
    assert merged(["ecg_base", overlay], []) == merged(["ecg_base"], []) != {}


def test_yaml_may_share_values_by_anchor(tmp_path):
    text = "loop: &l {epochs: 2}\nother: {<<: *l, rate: 3}\nagain: *l\n"
    values = merged([write(tmp_path / "a.yaml", text)], [])
    assert values == {"loop": {"epochs": 2}, "other": {"epochs": 2, "rate": 3}, "again": {"epochs": 2}}


def test_a_config_is_found_by_path_then_by_bare_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("kd_temp") == find_config("kd_temp.yaml") == CONFIGS / "kd_temp.yaml"
    write(tmp_path / "kd_temp.yaml", "")
    assert find_config("kd_temp.yaml") == Path("kd_temp.yaml")
    with pytest.raises(
        UserError, match=r"^nope: no such config, here or in configs/ \(which has: .*ecg_base, eeg_base"
    ):
        find_config("nope")


def test_to_dict_and_from_dict_are_inverse():
    config = Choice("a", (1, 2), (("x",), ("y", "z")), 5, "no", Loop(3, 0.5, True))
    values = to_dict(config)
    assert values["groups"] == [["x"], ["y", "z"]]  # plain values
    assert from_dict(Choice, values) == config


def test_a_key_without_a_default_is_required():
    @dataclasses.dataclass(frozen=True)
    class Needs:
        name: str
        size: int | None = None
        ratios: dict[str, float] = dataclasses.field(default_factory=dict)

    assert from_dict(Needs, {"name": "a", "size": None, "ratios": {1: "2e-1"}}) == Needs("a", None, {"1": 0.2})
    for values, message in (
        ({}, "name: is missing"),
        ({"name": "a", "size": "b"}, "size: expected int, got 'b'"),
        ({"name": "a", "ratios": {"x": []}}, r"ratios\.x: expected float, got \[\]"),
        ({"name": "a", "ratios": 3}, "ratios: expected keys and values, got 3"),
    ):
        with pytest.raises(UserError, match=f"^{message}$"):
            from_dict(Needs, values)
