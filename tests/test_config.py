import pytest

from striate import config
from striate.config import DataConfig, TrainConfig, VerifyConfig
from striate.errors import UserError


def make(**settings):
    return config.make(TrainConfig, {"data": "digits"} | settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"modle": "vgg6"}, "unknown setting 'modle': did you mean 'model'?"),
        ({"schedule": "onecycle"}, "unknown schedule 'onecycle': did you mean 'one-cycle'?"),
        ({"augment": "flip"}, "unknown augment 'flip': did you mean 'flip-crop'?"),
        ({"class_weights": "ballanced"}, "unknown class-weights 'ballanced': did you mean 'balanced'?"),
        ({"lr": "fast"}, "lr is 'fast': expected a valid number"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": "inf"}, "lr: expected a finite number"),
        ({"lr": -1}, "lr is -1: expected a number greater than 0"),
        ({"epochs": 0}, "epochs is 0: expected a number greater than or equal to 1"),
        ({"epochs": 1.5}, "epochs is 1.5: expected a valid integer"),
        ({"fraction": 1.5}, "fraction is 1.5: expected a number less than or equal to 1"),
        ({"weight_decay": float("inf")}, "weight-decay: expected a finite number"),
        ({"model_options": {"dropout": float("nan")}}, "model-options: expected a finite number"),
        ({"mixup": 0.2, "cutmix": 1.0}, "mixup and cutmix exclude each other"),
        ({"nesterov": True}, "nesterov is a form of sgd's momentum"),
        ({"permute_pixels": 0, "augment": "photo"}, "permute-pixels leaves no picture"),
        ({"early_stopping": 3, "best_by": "last"}, "best-by last chooses none; leave one out"),
        ({"goal": 75}, "goal is 75: expected a number less than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(settings, text):
    with pytest.raises(UserError) as caught:
        make(**settings)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_texts_of_the_command_line_become_numbers():
    made = make(lr="0.01", epochs="3", optimizer="sgd", nesterov="true", classes=["4", "9"])
    assert (made.lr, made.epochs, made.nesterov, made.classes) == (0.01, 3, True, ("4", "9"))


def test_settings_survive_their_file(tmp_path):
    written = make(model="custom-cnn", model_options={"dropout": 0.5}, classes=("NA", "001"), lr="auto")
    path = tmp_path / "config.yaml"
    config.write(path, written)
    assert config.make(TrainConfig, config.read(path)) == written


@pytest.mark.parametrize(
    ("content", "text"),
    [("lr: [", "is not valid YAML"), ("- a list", "holds no settings"), ("", "holds no settings")],
)
def test_a_broken_settings_file_is_refused(tmp_path, content, text):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=text):
        config.read(path)


def test_a_settings_file_runs_no_code(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"data: !!python/object/apply:pathlib.Path.touch [{tmp_path / 'canary'}]")
    with pytest.raises(UserError, match="is not valid YAML"):
        config.read(path)
    assert not (tmp_path / "canary").exists()


def test_the_data_part_holds_the_settings_of_the_data():
    data = make(fraction=0.5, seed=7, epochs=3).data_config()
    assert data == config.make(DataConfig, {"data": "digits", "fraction": 0.5, "seed": 7})


def test_missing_data_is_told_in_words():
    with pytest.raises(UserError, match=r"^data is missing: expected folder, \.zip"):
        config.make(TrainConfig, {})


def test_what_is_wrong_with_a_settings_file_is_told_in_one_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("model: [1, 2")
    with pytest.raises(UserError) as caught:
        config.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("classes", ["3, 8,", ("3", "8"), ["3", "8"]])
def test_classes_may_be_one_text(classes: object) -> None:
    for kind in (DataConfig, TrainConfig, VerifyConfig):
        assert config.make(kind, {"data": "digits", "classes": classes}).classes == ("3", "8")
