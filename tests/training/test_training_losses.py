"""Losses against torch's and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from striate.architectures import to_logits
from striate.errors import UserError
from striate.schemas import OUTPUTS, Output
from striate.training.loss_choice import FITTING, balanced_weights, choose_loss
from striate.training.losses import Loss, as_logits, hard_labels, predicted_classes

CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # float32, sums of a few dozen terms
WEIGHTS2 = torch.tensor([0.5, 2.0])
WEIGHTS5 = torch.tensor([0.5, 2.0, 1.0, 0.1, 3.0])


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def labels_for(generator: torch.Generator, classes: int) -> torch.Tensor:
    return torch.randint(0, classes, (24,), generator=generator)


def shares_for(generator: torch.Generator, classes: int) -> torch.Tensor:
    return torch.rand(24, classes, generator=generator).softmax(dim=1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS5])
@pytest.mark.parametrize("targets_for", [labels_for, shares_for])
def test_logits_have_torchs_cross_entropy(generator, smoothing, weights, targets_for) -> None:  # type: ignore[no-untyped-def]
    raw, targets = torch.randn(24, 5, generator=generator), targets_for(generator, 5)
    loss = Loss("logits", "cross-entropy", label_smoothing=smoothing, class_weights=weights)
    expected = F.cross_entropy(raw, targets, weights, label_smoothing=smoothing)
    torch.testing.assert_close(loss(raw, targets), expected)


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_losses_of_the_images_have_the_plain_loss_as_their_mean(generator, output) -> None:  # type: ignore[no-untyped-def]
    single = output in ("logit", "probability")
    raw = torch.randn(24, 1 if single else 5, generator=generator)
    raw = {"probability": raw.sigmoid(), "log_probabilities": raw.log_softmax(1)}.get(output, raw)
    labels = labels_for(generator, 2 if single else 5)
    for name in FITTING[output]:
        loss = Loss(output, name, label_smoothing=0.1)
        each = loss.each(raw, labels)
        assert each.shape == (24,)
        torch.testing.assert_close(each.mean(), loss.plain()(raw, labels), **CLOSE)
        torch.testing.assert_close(each[:1].mean(), loss.plain()(raw[:1], labels[:1]), **CLOSE)


@pytest.mark.parametrize("weights", [None, WEIGHTS5])
def test_log_probabilities_have_torchs_nll_and_its_gradient(generator, weights) -> None:  # type: ignore[no-untyped-def]
    scores = torch.randn(24, 5, generator=generator, requires_grad=True)
    labels = labels_for(generator, 5)
    ours = Loss("log_probabilities", "nll", class_weights=weights)(scores.log_softmax(1), labels)
    theirs = F.nll_loss(scores.log_softmax(1), labels, weights)
    torch.testing.assert_close(ours, theirs, **CLOSE)
    gradients = [torch.autograd.grad(value, scores, retain_graph=True)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients, **CLOSE)


def test_mixed_targets_weigh_log_probabilities(generator: torch.Generator) -> None:
    raw, shares = torch.randn(24, 5, generator=generator).log_softmax(1), shares_for(generator, 5)
    expected = -(shares * raw).sum(dim=1).mean()
    torch.testing.assert_close(Loss("log_probabilities", "nll")(raw, shares), expected, **CLOSE)


def test_one_logit_has_torchs_binary_cross_entropy(generator: torch.Generator) -> None:
    raw, labels = 3 * torch.randn(24, 1, generator=generator), labels_for(generator, 2)
    expected = F.binary_cross_entropy_with_logits(raw[:, 0], labels.float())
    torch.testing.assert_close(Loss("logit", "bce")(raw, labels), expected, **CLOSE)


def test_one_logit_takes_mixed_and_smoothed_targets(generator: torch.Generator) -> None:
    raw, shares = 3 * torch.randn(24, 1, generator=generator), shares_for(generator, 2)
    expected = F.binary_cross_entropy_with_logits(raw[:, 0], shares[:, 1] * 0.8 + 0.1)
    torch.testing.assert_close(Loss("logit", "bce", label_smoothing=0.2)(raw, shares), expected, **CLOSE)


def test_one_logit_weighs_classes_as_two_logits_do(generator: torch.Generator) -> None:
    raw, labels = torch.randn(24, 1, generator=generator), labels_for(generator, 2)
    weights = WEIGHTS2[labels]
    sums = F.binary_cross_entropy_with_logits(raw[:, 0], labels.float(), weights, reduction="sum")
    loss = Loss("logit", "bce", class_weights=WEIGHTS2)
    torch.testing.assert_close(loss(raw, labels), sums / weights.sum(), **CLOSE)


def test_probability_has_mean_squared_error(generator: torch.Generator) -> None:
    raw, labels = torch.rand(24, 1, generator=generator), labels_for(generator, 2)
    expected = F.mse_loss(raw[:, 0], labels.float())
    torch.testing.assert_close(Loss("probability", "squared-error")(raw, labels), expected)


def test_squared_error_takes_mixed_smoothed_and_weighted_targets(generator: torch.Generator) -> None:
    raw, shares = torch.rand(24, 1, generator=generator), shares_for(generator, 2)
    weights = shares @ WEIGHTS2
    expected = (weights * (raw[:, 0] - (0.9 * shares[:, 1] + 0.05)) ** 2).sum() / weights.sum()
    loss = Loss("probability", "squared-error", label_smoothing=0.1, class_weights=WEIGHTS2)
    torch.testing.assert_close(loss(raw, shares), expected)


def test_probability_has_binary_cross_entropy_on_request(generator: torch.Generator) -> None:
    raw, labels = torch.rand(24, 1, generator=generator), labels_for(generator, 2)
    expected = F.binary_cross_entropy(raw[:, 0], labels.float())
    torch.testing.assert_close(Loss("probability", "bce")(raw, labels), expected, **CLOSE)


def test_plain_loss_has_no_smoothing_and_no_weights(generator: torch.Generator) -> None:
    raw, labels = torch.randn(24, 5, generator=generator), labels_for(generator, 5)
    loss = Loss("logits", "cross-entropy", label_smoothing=0.3, class_weights=WEIGHTS5).plain()
    torch.testing.assert_close(loss(raw, labels), F.cross_entropy(raw, labels))


@pytest.mark.parametrize("output", OUTPUTS)
def test_auto_takes_the_first_fitting_loss(output: Output) -> None:
    assert choose_loss(output, "auto") == FITTING[output][0]


@pytest.mark.parametrize(
    ("output", "loss", "fitting"),
    [
        ("logits", "nll", "cross-entropy"),
        ("logit", "squared-error", "bce"),
        ("log_probabilities", "bce", "nll"),
        ("probability", "cross-entropy", "squared-error or bce"),
    ],
)
def test_a_loss_that_does_not_fit_names_what_does(output: Output, loss: str, fitting: str) -> None:
    with pytest.raises(UserError, match=f"--loss {loss} does not fit .*use {fitting}, or"):
        choose_loss(output, loss)


def test_balanced_weights_match_sklearn() -> None:
    labels = np.array([0] * 5 + [1] * 30 + [2] * 2)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights(labels, 3), expected, rtol=1e-6)


def test_a_class_without_images_weighs_nothing() -> None:
    assert balanced_weights(np.array([0, 0, 2]), 3)[1] == 0


@pytest.mark.parametrize("output", OUTPUTS)
def test_logits_and_decision_agree_with_the_architecture_room(generator, output) -> None:  # type: ignore[no-untyped-def]
    raw = torch.randn(50, 1 if output in ("logit", "probability") else 4, generator=generator)
    raw = {"probability": raw.sigmoid(), "log_probabilities": raw.log_softmax(1)}.get(output, raw)
    expected = to_logits(raw, output)
    torch.testing.assert_close(as_logits(raw, output), expected)
    assert torch.equal(predicted_classes(raw, output), expected.argmax(dim=1))


def test_a_tie_goes_to_the_first_class() -> None:
    assert predicted_classes(torch.tensor([[0.5]]), "probability").item() == 0
    assert predicted_classes(torch.tensor([[0.0]]), "logit").item() == 0


def test_a_mixed_target_counts_as_its_largest_share() -> None:
    assert hard_labels(torch.tensor([[0.2, 0.8], [0.6, 0.4]])).tolist() == [1, 0]
    assert hard_labels(torch.tensor([3, 1])).tolist() == [3, 1]
