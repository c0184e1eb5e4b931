"""The page's input of a network and its probabilities against those of Python; the network is replaced by a stub."""

import numpy as np
import pytest
from scipy.special import softmax

from sleepkd.checkpoints.cadence_bias import corrected
from sleepkd.data.beats import beat_quality, beat_series, median_interval
from tests.web_page.javascript import PAGE, run_in_node, url

CODE = f"""
import {{ stageBeats }} from "{url("stage.js")}";
class Tensor {{ constructor(type, data, dims) {{ Object.assign(this, {{ type, data, dims }}); }} }}
let given = null;
const session = {{ run: async (feeds) => {{ given = feeds.beats; return {{ logits: {{ data: input.logits }} }}; }} }};
const epochs = await stageBeats({{ Tensor }}, session, input.facts, input.beats, input.seconds, input.cadence);
return {{ epochs, series: [...given.data], dims: given.dims }};
"""
BIAS = {"5": [0.0, 0.1, -0.2, 0.3], "30": [0.5, -0.5, 0.2, 0.0], "60": [1.0, 0.0, -1.0, 0.4]}


@pytest.mark.parametrize(
    ("cadence", "bias"), [(0.0, BIAS), (2.0, BIAS), (30.0, BIAS), (45.0, BIAS), (90.0, BIAS), (30.0, {})]
)
def test_series_quality_and_probabilities(cadence: float, bias: dict[str, list[float]]) -> None:
    rng = np.random.default_rng(2)
    beats = np.concatenate([[0.0], np.cumsum(rng.normal(0.9, 0.05, 1000))])
    beats = np.delete(beats, np.s_[300:380])  # a gap
    beats[500] += 0.4  # an ectopic beat
    seconds = float(beats[-1])
    epochs, tokens = int(seconds // 30), 3 * int(np.ceil(seconds / 30))
    logits = rng.normal(size=(tokens, 4))
    spec = {"rate": 2.0, "causal": False, "channels": 3, "samples_per_token": 20}
    facts = {
        "classes": ["W", "light", "deep", "REM"], "inputs": {"beats": spec}, "temperature": 1.5, "token_seconds": 10,
        "cadence_bias": bias,
    }  # fmt: skip
    given = {"beats": beats.tolist(), "seconds": seconds, "cadence": cadence, "facts": facts}
    found = run_in_node(CODE, given | {"logits": logits.ravel().tolist()})
    expected = beat_series(beats, median_interval(beats), 0.0, 20 * tokens, 2.0)
    expected[:, 20 * int(seconds // 10) :] = 0  # a token that outlasts the night
    assert found["dims"] == [1, 1, 3, 20 * tokens]
    np.testing.assert_allclose(np.reshape(found["series"], (3, -1)), expected, atol=1e-5)
    onset_s = 30.0 * np.arange(epochs)
    quality = beat_quality(beats, onset_s, np.full(epochs, 30.0))
    np.testing.assert_allclose([epoch["quality"] for epoch in found["epochs"]], quality, atol=1e-6)
    plain = softmax(logits.reshape(-1, 3, 4).mean(axis=1)[:epochs], axis=1).astype(np.float32)
    scaled = softmax(np.log(corrected(plain, bias, cadence)) / 1.5, axis=1)
    np.testing.assert_allclose([epoch["probabilities"] for epoch in found["epochs"]], scaled, atol=1e-5)
    stages = [epoch["stage"] for epoch in found["epochs"]]
    names = np.array(facts["classes"])[scaled.argmax(axis=1)]
    assert stages == [name if share >= 0.5 else "unscored" for name, share in zip(names, quality, strict=True)]
    assert "unscored" in stages
    assert found["epochs"][0]["rate"] == pytest.approx(60 / np.diff(beats)[:33].mean(), abs=0.5)


def test_the_module_for_pages_of_your_own_reads_the_text_of_a_file() -> None:
    """examples/web/stage.js, outside the package."""
    code = f"""
import {{ beatsOf, stageBeats }} from "{(PAGE.parents[1] / "examples" / "web" / "stage.js").as_uri()}";
let refused = "";
try {{ beatsOf("colour\\nred\\n"); }} catch (error) {{ refused = error.message; }}
return {{ beats: beatsOf(input), refused, staging: typeof stageBeats }};
"""
    found = run_in_node(code, "800\n1000\n900\n" * 20)
    assert found["beats"][:4] == pytest.approx([0, 0.8, 1.8, 2.7])
    assert len(found["beats"]) == 61
    assert found["refused"] and found["staging"] == "function"
