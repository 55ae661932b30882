import numpy as np
import pytest
import torch

from striate.architectures import to_logits
from striate.errors import UserError

RAW = np.random.default_rng(0).normal(size=(6, 1)).astype(np.float32)


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_softmax_of_a_logit_is_its_sigmoid():
    logits = to_logits(RAW, "logit")
    np.testing.assert_allclose(softmax(logits)[:, 1], 1 / (1 + np.exp(-RAW[:, 0])), rtol=1e-6)
    assert logits.dtype == np.float32


def test_softmax_of_a_probability_is_itself():
    probability = 1 / (1 + np.exp(-RAW))
    np.testing.assert_allclose(softmax(to_logits(probability, "probability"))[:, 1:], probability, rtol=1e-5)


def test_certain_probabilities_stay_finite_and_decided():
    logits = to_logits(np.array([[0.0], [1.0]], np.float32), "probability")
    assert np.isfinite(logits).all()
    assert list(logits.argmax(axis=1)) == [0, 1]


@pytest.mark.parametrize("output", ["logits", "log_probabilities"])
def test_one_output_a_class_stays_as_it_is(output):
    raw = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    assert to_logits(raw, output) is raw


@pytest.mark.parametrize("output", ["logits", "log_probabilities", "logit", "probability"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_torch_and_numpy_agree(output, dtype):
    raw = torch.from_numpy(1 / (1 + np.exp(-RAW))).to(dtype)
    logits = to_logits(raw, output)
    assert isinstance(logits, torch.Tensor)
    assert logits.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    array = raw.double().numpy() if dtype == torch.float64 else raw.float().numpy()
    np.testing.assert_allclose(logits.numpy(), to_logits(array, output), rtol=1e-5, atol=1e-6)


def test_gradients_pass_through_in_torch():
    raw = torch.zeros(3, 1, requires_grad=True)
    to_logits(raw, "logit")[:, 1].sum().backward()
    assert torch.equal(raw.grad, torch.ones(3, 1))


def test_not_a_number_is_not_hidden():
    assert np.isnan(to_logits(np.array([[np.nan]], np.float32), "probability")).all()


def test_wrong_raw_outputs_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(N, K\)"):
        to_logits(np.zeros(3), "logits")
    with pytest.raises(ValueError, match=r"\(3, 2\); expected \(N, 1\) for output 'logit'"):
        to_logits(np.zeros((3, 2)), "logit")
    with pytest.raises(ValueError, match="did you mean 'logit'"):
        to_logits(np.zeros((3, 2)), "logitz")
    with pytest.raises(UserError, match=r"a list of \d; expected one tensor \(N, K\)"):
        to_logits([[1.0]], "logit")
