"""The settings of a training run: validated once, written to `config.yaml`, read back to repeat the run."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator, model_validator

from striate.schemas import Fit, Views
from striate.settings import check_alone, make, read, write

__all__ = [
    "DataConfig",
    "TrainConfig",
    "TransferConfig",
    "VerifyConfig",
    "check_alone",
    "located",
    "make",
    "read",
    "write",
]


class DataConfig(BaseModel):
    """Which images, split how, and how they enter the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field(description="folder, .zip, .csv, or the name of a data set")
    data_root: str | None = Field(None, description="folder in which named data sets lie")
    fraction: float | None = Field(None, gt=0, le=1, description="share of the images to train on")
    val_fraction: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share carved for validation; 0: none, and the last epoch is kept",
    )
    test_fraction: float | None = Field(
        None, gt=0, lt=1, description="share carved for the test split where none is given (0.15)"
    )
    classes: tuple[str, ...] | None = Field(None, description="only these classes, separated by commas")
    exclude: str | None = Field(None, description="CSV file of images to leave out, as an audit saves it")
    relabel: str | None = Field(None, description="CSV file of images with another class, likewise")
    group_by: str | None = Field(
        None, description="images that share it stay in one split: column of the CSV, or pattern on paths"
    )
    permute_pixels: int | None = Field(
        None, ge=0, description="seed of one fixed permutation of the pixels of every image"
    )
    normalize: Literal["auto", "none", "dataset", "imagenet", "half"] = Field(
        "auto", description="mean and deviation of images; 'auto': the pretrained network's, else the data's"
    )
    image_size: int | None = Field(None, ge=1, le=4096, description="side of the input in pixels")
    channels: Literal["auto", "grey", "rgb"] = Field("auto", description="channels of the input")
    fit: Fit = Field("squash", description="how an image that is not square becomes square")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of splits, weights, order and augmentation")
    split_seed: int | None = Field(
        None, ge=0, lt=2**32, description="seed of the splits alone; by default --seed's"
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _read_classes(cls, value: object) -> object:
        """Take one text, `"3,8"`, apart at its commas."""
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())


class TransferConfig(BaseModel):
    """Which network, with which weights and head, and what of it learns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        "auto",
        description="network of the zoo, of torchvision or timm, lite0, or path of a net.yaml; auto: for "
        "photos lite0 with features, for small images mynet",
    )
    model_options: dict[str, Any] = Field({}, description="option of the network, key=value; repeatable")
    first_layer: Literal["learned", "whitening"] = Field(
        "learned",
        description="whitening: the kernels of the first convolution are computed from training images so "
        "that their outputs are uncorrelated, and stay",
    )
    strategy: Literal["auto", "scratch", "head", "features", "partial", "norm", "full"] = Field(
        "auto",
        description="scratch: all, from random weights; head: a new head; features: the same, on features "
        "computed once; partial: all but the first layers; norm: head and normalisation; full: all",
    )
    weights: str = Field(
        "auto",
        description="weights to begin with: pretrained, random, or a file (safetensors or a state dict); "
        "auto: pretrained where there are such",
    )
    head: Literal["last", "average", "flatten"] = Field(
        "last",
        description="the new head stands in place of the last layer, or on the averaged or flattened "
        "feature maps",
    )
    first_head: Literal["random", "features"] = Field(
        "random",
        description="how the new head begins: random, or as what --strategy features would end with",
    )
    head_hidden: int | None = Field(
        None, ge=1, le=65_536, description="units of a hidden layer in the new head"
    )
    head_dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the last layer of the new head")
    head_output: Literal["logits", "logit"] = Field(
        "logits", description="logits: one for each class; logit: one for two classes"
    )
    freeze: str | None = Field(
        None,
        description="partial: share of the tensors (0.75) or the module (layer3, features.10, 6) below which "
        "all is frozen (0.75)",
    )
    first_lr: float = Field(
        0.1, gt=0, le=1, description="full: learning rate of the first layers as a share of the head's"
    )
    head_epochs: int = Field(0, ge=0, description="full: epochs at first in which the head alone learns")
    unfreeze_epochs: int = Field(
        0, ge=0, description="full: epochs after these over which the other layers join, the last first"
    )
    feature_views: Views = Field(
        "one",
        description="features: averaged over the image and its mirror image (flip), its enlarged corners "
        "(crops), or both, in training and prediction",
    )

    @field_validator("freeze", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _options_of_the_strategy(self) -> Self:
        belongs = {"freeze": "partial", "first_lr": "full", "head_epochs": "full", "unfreeze_epochs": "full"}
        for name, strategy in belongs.items():
            given = getattr(self, name) != type(self).model_fields[name].default
            if given and self.strategy != strategy:
                option = name.replace("_", "-")
                raise ValueError(
                    f"{option} is an option of --strategy {strategy}, not of {self.strategy}; "
                    "choose that, or leave it out"
                )
        return self


class TrainConfig(TransferConfig, DataConfig):
    """Everything that determines a training run."""

    recipe: str | None = Field(
        None,
        description="settings that go well together: fast, photos-scratch, or a YAML file; other options "
        "come first",
    )
    target: float | None = Field(
        None, gt=0, le=1, description="recipe: accuracy that decides how much is trained, such as 0.94"
    )
    sizes: str | None = Field(
        None,
        description="sides in pixels at which training images enter, each for as many epochs: 64,96,128; the "
        "last is that of the input",
    )
    hard_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the training images that the last epoch passes over, those with the largest "
        "loss; the first epoch passes over all, and the share falls evenly; 1: always all",
    )
    epochs: int = Field(20, ge=1, description="passes over the training images")
    batch_size: int = Field(64, ge=1, description="images a step")
    lr: PositiveFloat | Literal["auto"] = Field(3e-3, description="peak learning rate; 'auto': search")
    bias_lr: PositiveFloat | None = Field(
        None, description="sgd, muon: peak learning rate of biases; by default that of the other weights"
    )
    optimizer: Literal["sgd", "adam", "adamw", "muon"] = Field(
        "adamw", description="update rule; muon: orthogonal updates of convolutions, sgd for the rest"
    )
    muon_sgd_lr: PositiveFloat = Field(
        0.01, description="muon: peak learning rate of what is neither a convolution nor a bias"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd and muon")
    nesterov: bool = Field(False, description="Nesterov's form of momentum, for sgd")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty (sgd, adam) or decoupled decay (adamw)")
    schedule: Literal["constant", "step", "plateau", "cosine", "linear", "one-cycle"] = Field(
        "one-cycle", description="how the learning rate changes"
    )
    step_epochs: int = Field(5, ge=1, description="step: epochs between two reductions")
    step_factor: float = Field(0.2, gt=0, lt=1, description="step, plateau: factor of a reduction")
    patience: int = Field(3, ge=1, description="plateau: epochs without improvement before a reduction")
    warmup_epochs: float = Field(
        0.0, ge=0, description="epochs of linear rise to the learning rate (one-cycle: 0 means 30 % of them)"
    )

    loss: Literal["auto", "cross-entropy", "nll", "bce", "squared-error"] = Field(
        "auto", description="loss; 'auto' follows from what the network puts out"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of a target spread over all classes")
    class_weights: Literal["none", "balanced"] = Field("none", description="weigh rare classes up")
    augment: Literal[
        "none", "shift", "flip-crop", "alternate", "alternate-cutout", "writing", "photo", "trivial"
    ] = Field("none", description="augmentation")
    mixup: float = Field(0.0, ge=0, description="alpha of mixup's Beta(alpha, alpha); 0: off")
    cutmix: float = Field(0.0, ge=0, description="alpha of cutmix's Beta(alpha, alpha); 0: off")
    clip_grad: float | None = Field(None, gt=0, description="largest norm of the gradient")
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share that a step leaves of a moving average of the weights, such as 0.995; the average "
        "is validated and kept; 0: none",
    )

    early_stopping: int | None = Field(None, ge=1, description="end after so many epochs without gain")
    best_by: Literal["val_loss", "val_accuracy", "last"] = Field(
        "val_loss", description="what the epoch whose weights are kept is best by; last: none is chosen"
    )
    engine: Literal["torch", "numpy", "cupy"] = Field(
        "torch", description="what computes: PyTorch, or the glass box in NumPy or on a GPU"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where PyTorch computes")
    precision: Literal["auto", "32", "bf16"] = Field("auto", description="float32, or bfloat16 autocast")
    memory_format: Literal["auto", "contiguous", "channels-last"] = Field(
        "auto", description="layout in memory"
    )
    num_workers: int | None = Field(None, ge=0, description="threads that decode large images")
    keep_pixels: bool = Field(
        False, description="decode large images once and keep them on disk at the size of the input"
    )
    tensorboard: bool = Field(False, description="write TensorBoard events")
    audit: bool = Field(True, description="look for copies, leaks and shortcuts in the data")
    figures: bool = Field(True, description="write figures at print size; the report has its own")
    test_views: Literal["one", "flip", "shift", "flip-shift"] = Field(
        "one",
        description="also measure test accuracy with logits averaged over the image, its mirror image (flip) "
        "and shifts by a pixel (shift)",
    )
    goal: float | None = Field(None, gt=0, le=1, description="accuracy drawn as a line in the curves")

    @field_validator("*")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        numbers = value.values() if isinstance(value, dict) else (value,)
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise ValueError(f"expected a finite number, got {value}")
        return value

    @field_validator("sizes")
    @classmethod
    def _ascending(cls, value: str | None) -> str | None:
        if value is not None and not _are_ascending(value.split(",")):
            raise ValueError(f"expected rising sides in pixels, as in 64,96,128; got {value!r}")
        return value

    @model_validator(mode="after")
    def _one_mixing(self) -> Self:
        if self.mixup and self.cutmix:
            raise ValueError("mixup and cutmix exclude each other; choose one")
        return self

    @model_validator(mode="after")
    def _losses_of_single_images(self) -> Self:
        if self.hard_share < 1 and (self.mixup or self.cutmix):
            raise ValueError(
                "hard-share goes by the loss of each image, and mixup and cutmix blend images; choose one"
            )
        return self

    @model_validator(mode="after")
    def _stopped_by_a_choice(self) -> Self:
        if self.early_stopping is not None and self.best_by == "last":
            raise ValueError(
                "early-stopping counts epochs after the best one, and best-by last chooses none; "
                "leave one out, or say --best-by val_loss"
            )
        return self

    @model_validator(mode="after")
    def _nesterov_with_sgd(self) -> Self:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise ValueError("nesterov is a form of sgd's momentum; choose --optimizer sgd, or leave it out")
        return self

    @model_validator(mode="after")
    def _target_with_a_recipe(self) -> Self:
        if self.target is not None and self.recipe is None:
            raise ValueError("target is an option of --recipe; choose one, or draw a line with --goal")
        return self

    @model_validator(mode="after")
    def _warm_up_within_the_training(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup-epochs is {self.warmup_epochs:g}, but training has {self.epochs} epochs; "
                "choose fewer for the warm-up"
            )
        return self

    @model_validator(mode="after")
    def _rates_with_their_optimizer(self) -> Self:
        if self.bias_lr is not None and self.optimizer not in ("sgd", "muon"):
            raise ValueError(
                f"bias-lr counts with sgd and muon, not with {self.optimizer}; choose one, or leave it out"
            )
        if self.optimizer == "muon" and self.strategy == "full":
            raise ValueError("muon has no rates that fall from layer to layer; choose another --optimizer")
        return self

    @model_validator(mode="after")
    def _unfrozen_within_the_training(self) -> Self:
        if (self.head_epochs or self.unfreeze_epochs) and (
            self.head_epochs + self.unfreeze_epochs >= self.epochs
        ):
            raise ValueError(
                f"head-epochs and unfreeze-epochs are {self.head_epochs + self.unfreeze_epochs} together, "
                f"but training has {self.epochs} epochs; choose fewer, so that everything learns in the last"
            )
        return self

    @model_validator(mode="after")
    def _permuted_as_they_are(self) -> Self:
        if self.permute_pixels is not None and self.augment != "none":
            raise ValueError(
                "permute-pixels leaves no picture that augmentation could shift or turn; choose one"
            )
        return self

    def data_config(self) -> DataConfig:
        """The part that says which images enter and how."""
        return DataConfig(**{name: getattr(self, name) for name in DataConfig.model_fields})


class VerifyConfig(DataConfig):
    """What a comparison of the two engines is made with."""

    data: str = Field("", description="folder, .zip, .csv, or the name of a data set")
    model_options: dict[str, Any] = Field({}, description="option of the network, key=value; repeatable")
    batch_size: int = Field(32, ge=2, description="images a step")
    steps: int = Field(10, ge=0, description="steps of training")
    dtype: Literal["float64", "float32"] = Field("float64", description="what both engines compute in")
    tolerance: PositiveFloat | None = Field(
        None, description="largest relative difference in a layer (float64: 1e-10, float32: 1e-4)"
    )
    optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="update rule")
    lr: float = Field(1e-3, gt=0, allow_inf_nan=False, description="learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")


def _are_ascending(texts: list[str]) -> bool:
    """Whether these are whole numbers above 0, each larger than the one before."""
    if not all(text.strip().isdecimal() for text in texts):
        return False
    numbers = [int(text) for text in texts]
    return numbers[0] > 0 and all(first < second for first, second in itertools.pairwise(numbers))


def located(name: str) -> str:
    """Return `name` as an absolute path if it is the path of something, else as it is."""
    path = Path(name)
    return str(path.resolve()) if path.exists() else name
