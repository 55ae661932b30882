"""timm's networks. Imports torch: opened by `open_library` alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import timm
import torch
from timm.data.config import resolve_data_config

from striate.backbones.libraries.library import Weights, fetch
from striate.backbones.preprocessing import Interpolation, Preprocessing
from striate.errors import SpecError, UserError

VERSION: str = timm.__version__
IGNORED: tuple[str, ...] = ()
CLASSES = 1000
"""Outputs of a network that timm would build without a classifier."""
SAFE_FILE = "model.safetensors"
_INTERPOLATIONS = ("bilinear", "bicubic", "lanczos")


def names() -> Sequence[str]:
    """Return the names of all networks, without tags."""
    found: list[str] = timm.list_models()
    return found


def has(name: str) -> bool:
    """Whether timm has a network of that name, with or without a tag; names on the hub do not count."""
    base, _, tag = name.partition(".")
    return bool(timm.is_model(base)) and (not tag or name in timm.list_pretrained(f"{base}.*"))


def arguments(name: str, size: tuple[int, int] | None) -> dict[str, Any]:
    """Return the arguments of `timm.create_model`."""
    config = _config(name)
    chosen: dict[str, Any] = {} if config.num_classes else {"num_classes": CLASSES}
    if size is not None and config.fixed_input_size and size != tuple(config.input_size[1:]):
        chosen["img_size"] = list(size)
    return chosen


def build(name: str, arguments: dict[str, Any]) -> tuple[torch.nn.Module, int]:
    """Return the network with random weights and the number of its outputs."""
    try:
        network: Any = timm.create_model(name, pretrained=False, **arguments)
    except (TypeError, AssertionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        given = arguments or "its defaults"
        raise SpecError(f"timm {VERSION} cannot build {name} with {given}: {reason}") from error
    return network, int(network.num_classes)


def preprocessing(name: str) -> Preprocessing:
    """Return what timm's configuration of the weights says."""
    resolve: Any = resolve_data_config
    config = resolve(pretrained_cfg=_config(name).to_dict())
    known = config["interpolation"] in _INTERPOLATIONS
    _, height, width = config["input_size"]
    return Preprocessing(
        size=(height, width),
        crop_share=config["crop_pct"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=cast("Interpolation", config["interpolation"]) if known else "bicubic",
    )


def pretrained(name: str, arguments: dict[str, Any]) -> Weights:
    """Return timm's weights from the cache of the Hugging Face hub, or by download.

    What is in the cache is read without asking the hub.
    """
    config = _config(name)
    if not (config.hf_hub_id or config.url):
        raise UserError(f"timm has no pretrained weights of {name}. Give --weights FILE or --weights random.")
    from huggingface_hub import constants, try_to_load_from_cache

    cached = try_to_load_from_cache(config.hf_hub_id, SAFE_FILE) if config.hf_hub_id else None
    found = isinstance(cached, str)
    given: dict[str, Any] = {"pretrained_cfg_overlay": {"file": cached}} if found else {}
    source = f"{config.hf_hub_id} on the Hugging Face hub" if config.hf_hub_id else config.url
    url = constants.ENDPOINT if config.hf_hub_id else config.url
    network = fetch(
        name,
        source,
        None if found else url,
        lambda: timm.create_model(name, pretrained=True, **arguments, **given),
    )
    return Weights(network.state_dict(), f"timm {VERSION}, {config.hf_hub_id or config.url}")


def modern(tensor_name: str) -> str:
    """Return the name as it is."""
    return tensor_name


def _config(name: str) -> Any:
    return timm.models.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
