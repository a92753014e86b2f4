"""A U-Net with any encoder of segmentation-models-pytorch, and that encoder's weights."""

from __future__ import annotations

import difflib
from pathlib import Path

import huggingface_hub
import segmentation_models_pytorch as smp
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgeseg.errors import ConfigError, InputNotFoundError, ModelError
from edgeseg_training.networks import SlimUNet

_HUB_FILE = "model.safetensors"


def build_unet(
    encoder: str,
    channels: int,
    outputs: int,
    decoder_channels: tuple[int, ...],
    stages: int,
    top: bool,
) -> smp.Unet:
    """Build a U-Net with random weights.

    Parameters
    ----------
    encoder
        A name of segmentation-models-pytorch.
    channels, outputs
        Maps that go in and come out.
    decoder_channels, stages, top
        See `SlimUNet`.

    Raises
    ------
    ConfigError
        If there is no such encoder, or it cannot have such a decoder.
    """
    known = smp.encoders.get_encoder_names()
    if encoder not in known and not encoder.startswith("tu-"):
        close = difflib.get_close_matches(encoder, known, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise ConfigError(
            f"segmentation-models-pytorch {smp.__version__} has no encoder {encoder!r}{hint}"
        )
    whole = len(decoder_channels) == stages and (stages == 5 or encoder != "mobilenet_v2")
    try:
        if whole and (top or encoder != "mobilenet_v2"):
            return smp.Unet(
                encoder,
                encoder_depth=stages,
                encoder_weights=None,
                in_channels=channels,
                classes=outputs,
                decoder_channels=decoder_channels,
            )
        return SlimUNet(channels, decoder_channels, stages, top, encoder, outputs)
    except (ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"encoder {encoder!r} cannot be built so: {reason}") from error


def load_encoder_weights(network: smp.Unet, encoder: str, source: str, channels: int) -> None:
    """Load an encoder's weights, in place.

    Parameters
    ----------
    encoder
        Its segmentation-models-pytorch name.
    source
        ``imagenet`` (downloaded), ``none``, or a safetensors file with the encoder's own names.
    channels
        Of its input; weights of three colours are summed for one.

    Raises
    ------
    ConfigError
        If the ImageNet weights cannot be had.
    InputNotFoundError, ModelError
        If the file is missing or does not fit.
    """
    if source == "none":
        return
    weights = _imagenet_weights(encoder) if source == "imagenet" else _file_weights(Path(source))
    wanted = network.encoder.state_dict()
    for name, tensor in weights.items():
        # the first convolution: the same response to a gray image repeated over the colours
        first = channels == 1 and name in wanted and tensor.ndim == 4 and tensor.shape[1] == 3
        if first and wanted[name].shape[1] == 1:
            weights[name] = tensor.sum(dim=1, keepdim=True)
    found = {k: v for k, v in weights.items() if k in wanted and v.shape == wanted[k].shape}
    lacking = {k for k in wanted.keys() - found.keys() if not k.endswith("num_batches_tracked")}
    if lacking:
        raise ModelError(f"{source}: not the weights of this encoder ({min(lacking)!r} is missing)")
    network.encoder.load_state_dict(wanted | found)


def _file_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputNotFoundError(
            f"{path}: no such file; encoder_weights is 'imagenet', 'none' or a .safetensors file"
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a safetensors file ({error})") from error


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
