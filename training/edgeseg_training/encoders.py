"""The weights of any encoder of segmentation-models-pytorch."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import segmentation_models_pytorch as smp
from torch import Tensor

from edgeseg.errors import ConfigError, InputNotFoundError, ModelError
from edgeseg_training.config import TrainConfig
from edgeseg_training.record import read_weights

_HUB_FILE = "model.safetensors"


def load_encoder_weights(network: smp.Unet, config: TrainConfig, channels: int) -> None:
    """Load an encoder's weights, in place: ImageNet's, none, or those of a safetensors file.

    The file has the encoder's own names. Weights of three colours are summed for one of
    ``channels``.

    Raises
    ------
    ConfigError
        If the ImageNet weights cannot be had.
    InputNotFoundError, ModelError
        If the file is missing or does not fit.
    """
    source = config.encoder_weights
    if source == "none":
        return
    path = Path(source)
    if source != "imagenet" and not path.is_file():
        raise InputNotFoundError(
            f"{path}: no such file; encoder_weights is 'imagenet', 'none' or a .safetensors file"
        )
    download = source == "imagenet"
    weights = _imagenet_weights(config.encoder) if download else read_weights(path)[0]
    wanted = network.encoder.state_dict()
    for name, tensor in weights.items():
        # the first convolution: the same response to a gray image repeated over the colours
        if (
            channels == 1
            and name in wanted
            and tensor.shape[1:2] == (3,) != wanted[name].shape[1:2]
        ):
            weights[name] = tensor.sum(dim=1, keepdim=True)
    found = {k: v for k, v in weights.items() if k in wanted and v.shape == wanted[k].shape}
    lacking = {k for k in wanted.keys() - found.keys() if not k.endswith("num_batches_tracked")}
    if lacking:
        raise ModelError(f"{source}: not the weights of this encoder ({min(lacking)!r} is missing)")
    network.encoder.load_state_dict(wanted | found)


def _imagenet_weights(name: str) -> dict[str, Tensor]:
    about = smp.encoders.encoders.get(name, {}).get("pretrained_settings", {}).get("imagenet", {})
    repository, revision = about.get("repo_id"), about.get("revision")
    url = huggingface_hub.hf_hub_url(repository, _HUB_FILE, revision=revision) if about else ""
    try:
        if url and not huggingface_hub.try_to_load_from_cache(
            repository, _HUB_FILE, revision=revision
        ):
            huggingface_hub.get_hf_file_metadata(url)  # a download tries for half a minute
        encoder = smp.encoders.get_encoder(name, weights="imagenet")
    except Exception as error:
        # The hub's client raises errors of many kinds when it cannot be reached.
        raise ConfigError(
            f"the ImageNet weights of {name} could not be downloaded ({type(error).__name__}). On "
            f"a computer with internet get {url or f'{name} of timm as {_HUB_FILE}'}, copy it to "
            "this one, anywhere, and pass --encoder-weights FILE; or start from a bundled model "
            "with --init hc18-nano, or from random weights with --encoder-weights none"
        ) from error
    return dict(encoder.state_dict())
