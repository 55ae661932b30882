import pytest

from striate.errors import BundleError, StriateError, TrainingError, UserError, nearest, unknown_name


def test_nearest_finds_a_misspelt_name_and_nothing_far_off():
    assert nearest("custm-cnn", ["custom-cnn", "simple-cnn", "vgg6"]) == "custom-cnn"
    assert nearest("Cosine", ["cosine", "step"]) == "cosine"
    assert nearest("zzz", ["cosine", "step"]) is None


def test_unknown_name_lists_the_known_ones_and_asks_only_about_a_close_one():
    text = unknown_name("schedule", "cosin", ["step", "cosine"])
    assert text == "unknown schedule 'cosin': did you mean 'cosine'? Known: cosine, step."
    assert unknown_name("schedule", "qqq", ["step"]) == "unknown schedule 'qqq'. Known: step."


@pytest.mark.parametrize(("error", "status"), [(UserError, 2), (BundleError, 2), (TrainingError, 1)])
def test_a_users_mistake_ends_with_2_and_a_failure_with_1(error, status):
    assert issubclass(error, StriateError)
    assert error.exit_status == status


def test_a_users_mistake_is_a_value_error_for_callers():
    assert issubclass(UserError, ValueError)
    assert not issubclass(TrainingError, ValueError)
