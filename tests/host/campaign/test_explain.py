"""One fault through the layers, against what campaigns and hand calculation show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from axft_host.backends.emulator import Emulator
from axft_host.campaign.explain import Explanation, explain
from axft_host.campaign.outcome import Outcome
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.store import ResultStore
from support.small_campaign import IMAGES, small_plan


def explained(directory: Path, fault: str, **options: object) -> Explanation:
    """Follow a fault through the small network."""
    plan = small_plan(directory, faults={"fault": fault}, **options)
    labels = plan.prepared.dataset.labels
    return explain(Emulator(), plan.prepared.workload, labels, plan.faults.faults[0], score=plan.score)


@pytest.mark.parametrize(
    "fault",
    [
        "weight:r0:c0:b6:sa1",
        "psum:r1:c1:b12:flip",
        "activation:r0:c0:b5:sa0",
        "product:r2:c0:b9:flip@l0:g0:t1:y6+2",
        "weight:r0:c2:b6:flip@l1:g0:t0:y4+1",
    ],
)
@pytest.mark.parametrize("lowering", ["im2col", "toeplitz"])
@pytest.mark.parametrize("score", ["softmax", "raw"])
def test_outcomes_and_activations_are_those_of_a_campaign(
    tmp_path: Path, fault: str, lowering: str, score: str
) -> None:
    """The plain path and the fast one agree."""
    options = {"workload": {"lowering": lowering}, "score": score}
    explanation = explained(tmp_path, fault, **options)
    result = run_campaign(small_plan(tmp_path, faults={"fault": fault}, **options), tmp_path / "result")
    with ResultStore.open(result.store) as store:
        (row,), golden = store.rows(), store.golden()
    assert [image.outcome for image in explanation.images] == [
        Outcome(int(code)).name.lower() for code in row.outcomes(IMAGES)
    ]
    assert explanation.activated == row.activated > 0
    assert [image.golden_class for image in explanation.images] == golden.predictions.tolist()
    assert [image.label for image in explanation.images] == golden.labels.tolist()


def test_window_in_the_last_layer_leaves_the_first_one_alone(tmp_path: Path) -> None:
    """Nothing is struck, and nothing differs, before it."""
    first, last = explained(tmp_path, "psum:r0:c1:b14:flip@l1:g0:t0:y10+1").layers
    assert (first.activated, first.struck_psums, first.differing_psums, first.differing_images) == (0, 0, 0, 0)
    # A flip of one psum at one step is activated once per image, and moves that one output of three.
    assert (last.activated, last.struck_psums, last.differing_values) == (IMAGES, IMAGES, IMAGES)
    assert (last.layer, last.name, last.gemms, last.psums, last.values) == (1, "dense", 1, 3 * IMAGES, 3 * IMAGES)


def test_fault_that_strikes_only_the_first_layer_still_differs_in_the_last(tmp_path: Path) -> None:
    """Struck partial sums are the fault's own; differing ones come from its operands."""
    first, last = explained(tmp_path, "weight:r0:c0:b6:flip@l0:g0:t4:y4+1").layers
    assert first.struck_psums == first.differing_psums > 0
    assert last.struck_psums == 0
    assert last.activated == 0
    assert (last.differing_psums > 0) == (first.differing_values > 0)
    # conv: 36 pixels x 2 channels; after pooling 9 x 2.
    assert (first.psums, first.values) == (72 * IMAGES, 18 * IMAGES)


def test_masked_fault_changes_nothing(tmp_path: Path) -> None:
    """Column 2 of a 4 x 3 array has no output of the convolution, and none of its last three rows the dense layer's."""
    explanation = explained(tmp_path, "weight:r3:c2:b6:sa1")
    assert explanation.activated == 0
    assert {image.outcome for image in explanation.images} == {"masked"}
    assert all(image.ratio == 1 for image in explanation.images)


def test_probabilities_are_those_of_a_softmax(tmp_path: Path) -> None:
    """By the library's exp, from the golden accumulators of the fast path."""
    plan = small_plan(tmp_path)
    network = plan.prepared.workload.network
    accumulators = Emulator().evaluate(plan.prepared.workload, [None])[0].accumulators
    weights = np.exp(accumulators * network.score_scale)
    expected = weights.max(axis=1) / weights.sum(axis=1)
    images = explained(tmp_path, "weight:r0:c0:b6:sa1").images
    assert [image.golden_probability for image in images] == pytest.approx(expected.tolist(), rel=1e-12)


def test_json_is_plain(tmp_path: Path) -> None:
    """Every member, and the ratio."""
    value = json.loads(json.dumps(explained(tmp_path, "weight:r0:c0:b6:sa1").to_json()))
    assert value["fault"] == "weight:r0:c0:b6:sa1"
    assert [layer["name"] for layer in value["layers"]] == ["conv", "dense"]
    assert set(value["per_image"][0]) >= {"image", "label", "golden_class", "faulty_class", "ratio", "outcome"}
