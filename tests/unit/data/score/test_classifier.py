"""A classifier is written without pickle, read back as it was, and refused where it is not what its header says."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.data.score.kit import fill, rules, texts
from yulan import files
from yulan.data.score import classifier
from yulan.data.score.classifier import calibrate, learn, logistic, read_classifier, vectors, write_classifier
from yulan.data.score.draw import FOLDS, draw, fold_of
from yulan.data.score.train import train
from yulan.errors import DataError, IntegrityError

RULES = rules()


def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path):
    shown = draw(fill(tmp_path / "in"), "quality/good", RULES.quality["good"], RULES)
    made, _ = train("quality/good", RULES.quality["good"], shown, RULES.features)
    write_classifier(tmp_path / "c", made)
    again = read_classifier(tmp_path / "c")
    rows = vectors(texts(4, 0.4), RULES.features)
    assert again.header == made.header
    assert np.array_equal(again.line.margins(rows), made.line.margins(rows))
    assert {path.suffix for path in (tmp_path / "c").iterdir()} == {".json", ".safetensors"}
    # Multiples of 2^-20 have no digits that another processor could round otherwise.
    assert np.array_equal(made.line.weights * 2**20, np.round(made.line.weights * 2**20))
    weights = tmp_path / "c/classifier.safetensors"
    files.write_bytes(weights, weights.read_bytes()[:-8] + b"\0" * 7 + b"\1")
    with pytest.raises(IntegrityError, match=r"the weights are not the classifier's\. Build it again with: dvc repro scored"):
        read_classifier(tmp_path / "c")


def test_outcomes_follow_the_probability(tmp_path: Path):
    shown = draw(fill(tmp_path), "quality/good", RULES.quality["good"], RULES)
    made, _ = train("quality/good", RULES.quality["good"], shown, RULES.features)
    margins = np.sort(np.random.default_rng(1).normal(0, 5, 2000))
    assert np.all(np.diff(made.probabilities(margins)) >= 0)
    assert np.all(np.diff(made.outcomes(margins)) >= 0)
    assert set(made.outcomes(margins)) == {0, 1, 2, 3, 4}


def test_the_order_of_positive_and_negative_rows_is_that_of_their_ids(tmp_path: Path):
    one = draw(fill(tmp_path), "quality/good", RULES.quality["good"], RULES)
    for role in ("reference", "pool"):
        ids = [each.id for each in one if each.role == role]
        assert ids == sorted(ids)
    assert {each.fold for each in one} == set(FOLDS)
    assert all(each.fold == fold_of(each.id, RULES.folds) for each in one)


def test_calibration_promises_what_is_there():
    draw_ = np.random.default_rng(2)
    margins = draw_.normal(0, 2, 20_000)
    positive = draw_.random(20_000) < logistic(1.5 * margins - 0.5)
    slope, offset = calibrate(margins, positive, "$")
    # The sides weigh half each, so the offset moves by the odds of a positive.
    odds = np.log(positive.mean() / (1 - positive.mean()))
    assert slope == pytest.approx(1.5, abs=0.1)
    assert offset + odds == pytest.approx(-0.5, abs=0.1)


def test_margins_that_part_the_sides_in_full_still_give_a_finite_curve():
    margins = np.array([-1.0] * 30 + [1.0] * 30)
    slope, offset = calibrate(margins, margins > 0, "$")
    assert 0 < slope < 100
    assert offset == pytest.approx(0, abs=1e-3)


def test_a_classifier_that_ranks_the_wrong_way_round_is_refused():
    margins = np.linspace(-2, 2, 60)
    with pytest.raises(DataError, match="the classifier does not tell the reference from the pool"):
        calibrate(margins, margins < 0, "$")


def test_a_fit_that_does_not_settle_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(classifier, "ROUNDS", 1)
    rows = vectors(texts(1, 0.4) + texts(2, 0.6), RULES.features)
    with pytest.raises(DataError, match=r"not settled after 1 rounds\. Lower its c"):
        learn(rows, np.repeat([True, False], rows.shape[0] // 2), 1e6, "$")
