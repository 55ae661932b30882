"""Training on the engine: the same path as torch's, the best epoch kept, divergence explained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from striate import engine
from striate.architectures import build, copy_weights
from striate.engine import layers
from striate.engine.fit import clip_gradients, first_not_finite
from striate.engine.losses import FITTING, as_logits, predicted_classes
from striate.schemas import OUTPUTS
from striate.training.losses import Loss as TorchLoss
from striate.training.losses import as_logits as torch_logits
from striate.training.losses import predicted_classes as torch_predicted

EXACT = 1e-9
"""float64: the same sums in another order, over a few steps."""

SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    return (images.reshape(-1, *SHAPE) / 16).astype(np.float32), labels


def net(seed: int = 0) -> engine.Network:
    return build("simple-cnn", SHAPE, 10, "numpy", seed=seed)


def doubled(network: engine.Network) -> engine.Network:
    return network.map_arrays(lambda array: array.astype(np.float64))


def test_training_takes_the_same_path_as_torch(digits):
    images, labels = digits[0][:256].astype(np.float64), digits[1][:256]
    ours, theirs = doubled(net()), build("simple-cnn", SHAPE, 10).double()
    samples = engine.Samples(images, labels, 64, seed=4)
    optimizer = engine.SGD(ours.parameters(), 0.1, 0.9, weight_decay=1e-3)
    reference = torch.optim.SGD(theirs.parameters(), 0.1, 0.9, weight_decay=1e-3)
    history = engine.fit(ours, samples, epochs=3, optimizer=optimizer)
    for epoch in range(3):
        total = 0.0
        for batch in samples.epoch(epoch):
            loss = torch.nn.functional.cross_entropy(
                theirs(torch.from_numpy(batch.inputs)), torch.from_numpy(batch.labels)
            )
            reference.zero_grad()
            loss.backward()
            reference.step()
            total += loss.item() * len(batch.labels)
        assert history.epochs[epoch]["train_loss"] == pytest.approx(total / 256, rel=EXACT)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value, rtol=0, atol=EXACT)


def test_digits_are_learned_and_the_best_epoch_is_kept(digits):
    images, labels = digits
    train, val = engine.Samples(images[:1400], labels[:1400]), engine.Samples(images[1400:], labels[1400:])
    network = net()
    seen = []
    history = engine.fit(
        network,
        train,
        val,
        epochs=8,
        optimizer=engine.Adam(network.parameters(), 2e-2),
        on_epoch=lambda row: seen.append((row, network.state_dict())),
    )
    losses = [row["val_loss"] for row in history.epochs]
    assert history.best_epoch == 1 + int(np.argmin(losses)) < 8  # so fast that it overshoots in the end
    assert history.epochs[history.best_epoch - 1]["val_accuracy"] > 0.9
    assert [row for row, _ in seen] == history.epochs
    for name, values in network.state_dict().items():
        np.testing.assert_array_equal(values, seen[history.best_epoch - 1][1][name])
    assert not network.training


def test_a_training_repeats_to_the_bit(digits):
    outcomes = []
    for _ in range(2):
        network = build("custom-cnn", (1, 16, 16), 10, "numpy", seed=1)  # with dropout
        samples = engine.Samples(np.repeat(np.repeat(digits[0][:96], 2, 2), 2, 3), digits[1][:96], 32)
        optimizer = engine.AdamW(network.parameters(), 1e-3)
        history = engine.fit(network, samples, epochs=2, optimizer=optimizer, seed=3)
        outcomes.append((history.epochs, network.state_dict()))
    assert outcomes[0][0] == outcomes[1][0]
    for name, values in outcomes[0][1].items():
        np.testing.assert_array_equal(values, outcomes[1][1][name])


def test_the_rate_of_every_step_is_the_schedules(digits):
    network, rates = net(), []
    samples = engine.Samples(digits[0][:100], digits[1][:100], 40)

    def rate(step: int) -> float:
        rates.append(step)
        return 0.1 / (step + 1)

    history = engine.fit(network, samples, epochs=2, optimizer=engine.SGD(network.parameters()), rate=rate)
    assert rates == list(range(6))
    assert [row["lr"] for row in history.epochs] == [0.1 / 3, 0.1 / 6]


def test_divergence_names_the_layer_where_it_begins(digits):
    network = net()
    samples = engine.Samples(digits[0][:64], digits[1][:64], 64)
    with pytest.raises(engine.NotFiniteError, match=r"epoch 2, step 1 .* the output of conv2"):
        engine.fit(network, samples, epochs=9, optimizer=engine.SGD(network.parameters(), 1e30))


def test_a_validation_loss_that_is_not_finite_stops_the_training(digits):
    network, images = net(), digits[0][:64].copy()
    images[5, 0, 3, 3] = np.nan
    train, val = (
        engine.Samples(digits[0][:64], digits[1][:64], 64),
        engine.Samples(images, digits[1][:64], 64),
    )
    with pytest.raises(engine.NotFiniteError, match=r"validation loss .* is in the images"):
        engine.fit(network, train, val, epochs=2, optimizer=engine.SGD(network.parameters(), 0.1))


@pytest.mark.parametrize("validated", [False, True])
def test_weights_that_are_not_finite_after_an_epoch_are_named_and_never_returned(digits, validated):
    generator = np.random.default_rng(0)
    network = engine.Network(
        {"flatten": layers.Flatten(), "linear": layers.Linear(64, 10, generator=generator)}
    )
    samples = engine.Samples(digits[0][:64] * 100, digits[1][:64], 64)
    optimizer = engine.SGD(network.parameters(), 1e38)
    with pytest.raises(engine.NotFiniteError, match=r"linear\.weight"):
        engine.fit(network, samples, samples if validated else None, epochs=1, optimizer=optimizer)


def test_a_batch_of_weight_0_is_explained(digits):
    network = net()
    weights = np.ones(10, np.float32)
    weights[3] = 0
    few = engine.Samples(digits[0][:4], np.full(4, 3), 4)
    with pytest.raises(engine.NotFiniteError, match="all images of this batch are of classes with weight 0"):
        engine.fit(
            network,
            few,
            epochs=1,
            optimizer=engine.SGD(network.parameters()),
            loss=engine.Loss(class_weights=weights),
        )


def test_shares_of_classes_with_weight_0_weigh_nothing_only_where_they_divide():
    weights = np.array([1.0, 0.0])
    second, both = np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])
    squared = engine.Loss("probability", "squared-error", class_weights=weights)
    assert squared.weighs_nothing(second)
    assert not squared.weighs_nothing(both)
    assert squared.weighs_nothing(np.array([1, 1]))
    assert not squared.weighs_nothing(np.array([1, 0]))
    assert not engine.Loss(class_weights=weights).weighs_nothing(second)
    assert not engine.Loss().weighs_nothing(np.array([1]))


@pytest.mark.parametrize(
    ("n", "batch_size", "shuffle", "sizes"),
    [(9, 4, True, [4, 5]), (9, 4, False, [4, 4, 1]), (1, 4, True, [1]), (3, 1, True, [1, 1, 1])],
)
def test_a_last_batch_of_one_joins_the_one_before_in_training(n, batch_size, shuffle, sizes):
    samples = engine.Samples(np.zeros((n, 2)), np.arange(n), batch_size, shuffle=shuffle)
    batches = list(samples.epoch(0))
    assert [len(batch.labels) for batch in batches] == sizes
    assert len(samples) == len(sizes)
    assert sorted(label for batch in batches for label in batch.labels) == list(range(n))


def test_normalisation_trains_although_one_image_is_over_and_refuses_one_with_a_remedy(digits):
    generator = np.random.default_rng(0)
    network = engine.Network(
        [layers.Flatten(), layers.BatchNorm1d(64), layers.Linear(64, 10, generator=generator)]
    )
    optimizer = engine.SGD(network.parameters())
    engine.fit(network, engine.Samples(digits[0][:9], digits[1][:9], 4), epochs=1, optimizer=optimizer)
    in_order = engine.Samples(digits[0][:9], digits[1][:9], 4, shuffle=False)
    with pytest.raises(ValueError, match=r"got shape \(1, 64\); give at least two images .*evaluate"):
        engine.fit(network, in_order, epochs=1, optimizer=optimizer)


def test_a_trained_network_gives_the_gradient_of_its_input_again(digits):
    network = net()
    samples = engine.Samples(digits[0][:64], digits[1][:64], 64)
    engine.fit(network, samples, epochs=1, optimizer=engine.SGD(network.parameters(), 0.1))
    x = digits[0][:2]
    assert network.backward(np.ones_like(network.forward(x))).shape == x.shape


def test_the_first_value_that_is_not_finite_is_found_in_images_weights_outputs(digits):
    network, x = net(), digits[0][:2].copy()
    assert first_not_finite(network, x) == "the loss itself"
    network.parameters()["conv2.bias"].value[1] = 3e38
    network.parameters()["linear1.weight"].value[:] = 10
    with np.errstate(over="ignore"):
        assert first_not_finite(network, x) == "the output of linear1"
    network.parameters()["conv2.weight"].value[0, 0, 0, 0] = np.nan
    assert first_not_finite(network, x) == "conv2.weight"
    x[0, 0, 0, 0] = np.inf
    assert first_not_finite(network, x) == "the images"


def test_gradients_are_clipped_as_by_torch():
    ours, theirs = net(), build("simple-cnn", SHAPE, 10)
    generator = np.random.default_rng(0)
    own = ours.parameters()
    for name, parameter in theirs.named_parameters():
        grad = generator.normal(size=tuple(parameter.shape)).astype(np.float32)
        own[name].grad, parameter.grad = grad.copy(), torch.from_numpy(grad.copy())
    clip_gradients(own, 1.5)
    torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.5)
    for name, parameter in theirs.named_parameters():
        np.testing.assert_allclose(own[name].grad, parameter.grad, rtol=1e-5)


CASES = [(output, name) for output, names in FITTING.items() for name in names]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(("output", "name"), CASES)
def test_every_loss_and_its_gradient_equal_those_of_the_torch_path(output, name, mixed, weighted):
    generator = np.random.default_rng(7)
    classes = 2 if output in ("logit", "probability") else 4
    raw = generator.normal(size=(9, 1 if classes == 2 else classes))
    if output == "probability":
        raw = 1 / (1 + np.exp(-3 * raw))
        raw[0], raw[1] = 0.0, 1.0  # clipped where a logarithm is taken
    if output == "log_probabilities":
        raw = torch.log_softmax(torch.from_numpy(raw), 1).numpy()
    targets = generator.integers(0, classes, 9)
    if mixed:
        targets = generator.dirichlet(np.ones(classes), 9)
    weights = np.arange(1.0, classes + 1) if weighted else None
    class_weights = None if weights is None else torch.from_numpy(weights)
    ours = engine.Loss(output, name, 0.1, weights)
    theirs = TorchLoss(output, name, label_smoothing=0.1, class_weights=class_weights)
    tensor = torch.from_numpy(raw.copy()).requires_grad_()
    expected = theirs(tensor, torch.from_numpy(targets))
    expected.backward()
    assert float(ours.forward(raw, targets)) == pytest.approx(expected.item(), rel=EXACT)
    np.testing.assert_allclose(ours.backward(raw, targets), tensor.grad, rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(as_logits(raw, output), torch_logits(torch.from_numpy(raw), output))
    np.testing.assert_array_equal(
        predicted_classes(raw, output), torch_predicted(torch.from_numpy(raw), output)
    )


def test_losses_fit_every_kind_of_output():
    assert set(FITTING) == set(OUTPUTS)
    with pytest.raises(ValueError, match="name: expected nll for log_probabilities, got 'bce'"):
        engine.Loss("log_probabilities", "bce")


def test_weights_of_a_trained_engine_predict_the_same_in_torch(digits):
    network, other = net(), build("simple-cnn", SHAPE, 10, seed=9)
    samples = engine.Samples(digits[0][:200], digits[1][:200])
    engine.fit(network, samples, epochs=1, optimizer=engine.SGD(network.parameters(), 0.1))
    copy_weights(network, other)
    with torch.inference_mode():
        expected = other.eval()(torch.from_numpy(digits[0][200:230]))
    np.testing.assert_allclose(network.predict(digits[0][200:230]), expected, atol=1e-5)
