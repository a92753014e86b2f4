"""A model as a config describes it: uint8 gray in, logits out, normalisation inside."""

from __future__ import annotations

from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgeseg.errors import ConfigError, InputNotFoundError, ModelError
from edgeseg_training.config import TrainConfig
from edgeseg_training.ellipse_prior import EllipsePrior
from edgeseg_training.networks import PlainUNet, SlimUNet, narrow_encoder, quicken_depthwise

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)


class SegmentationModel(nn.Module):
    """A network with its own normalisation.

    ``forward`` takes gray images, (N, 1, h, w), 0 to 255, uint8 or float, and returns logits,
    (N, 1, h, w), float32.

    Parameters
    ----------
    network
        Takes normalised images with ``channels`` channels.
    channels
        1 (gray) or 3 (the gray image repeated).
    normalization
        ``unit``: x / 255, as the paper; ``imagenet``: then mean and SD of ImageNet, averaged over
        the colours for a gray network.
    prior
        Takes and returns logits; applied in evaluation mode only.
    """

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        normalization: str,
        prior: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.prior = prior
        self.channels = channels
        mean, sd = torch.zeros(3), torch.ones(3)
        if normalization == "imagenet":
            mean, sd = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_SD)
        if channels == 1:
            mean, sd = mean.mean(0, keepdim=True), sd.mean(0, keepdim=True)
        # x / 255 - mean, over sd, as one multiplication and one addition
        self.register_buffer("scale", (1 / (255 * sd)).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("offset", (-mean / sd).view(1, -1, 1, 1), persistent=False)
        self.scale: Tensor
        self.offset: Tensor

    def forward(self, gray: Tensor) -> Tensor:
        """Return logits, (N, 1, h, w)."""
        x = gray.float() * self.scale + self.offset
        logits: Tensor = self.network(x.contiguous(memory_format=torch.channels_last)).float()
        if self.prior is not None and not self.training:
            logits = self.prior(logits)
        return logits


def build_model(config: TrainConfig, load_encoder: bool = True) -> SegmentationModel:
    """Build the network a config describes; its random weights follow torch's seed.

    Parameters
    ----------
    config
        ``baseline`` as strategy means the plain U-Net whatever the architecture says.
    load_encoder
        False where all weights are loaded afterwards.

    Raises
    ------
    InputNotFoundError, ModelError
        If the encoder's weights are missing or do not fit.
    """
    channels = 1 if config.input_mode == "gray" else 3
    prior = None
    if config.ellipse_prior:
        prior = EllipsePrior(config.input_height, config.input_width, config.ellipse_prior)
    if is_plain(config):
        return SegmentationModel(PlainUNet(channels), channels, config.normalization, prior)
    network: smp.Unet
    if config.encoder_top and config.encoder_stages == len(config.decoder_channels) == 5:
        network = smp.Unet(
            "mobilenet_v2",
            encoder_weights=None,
            in_channels=channels,
            classes=1,
            decoder_channels=config.decoder_channels,
        )
    else:
        network = SlimUNet(
            channels, config.decoder_channels, config.encoder_stages, config.encoder_top
        )
    if load_encoder:
        _load_encoder(network, config.encoder_weights, channels)
    narrow_encoder(network.encoder, config.encoder_expansion, config.first_expansion)
    quicken_depthwise(network.encoder)
    return SegmentationModel(network, channels, config.normalization, prior)


def is_plain(config: TrainConfig) -> bool:
    """Tell whether a config asks for the plain U-Net, which has no encoder to load or freeze."""
    return config.strategy == "baseline" or config.architecture == "unet-plain"


def _load_encoder(network: smp.Unet, source: str, channels: int) -> None:
    if source == "none":
        return
    weights = _imagenet_weights() if source == "imagenet" else _file_weights(Path(source))
    first = "features.0.0.weight"
    if first not in weights:
        raise ModelError(f"{source}: no {first!r} in it; expected torchvision's MobileNetV2 names")
    if channels == 1:
        # the same response to a gray image repeated over the colours
        weights[first] = weights[first].sum(dim=1, keepdim=True)
    wanted = set(network.encoder.state_dict())
    left_out = range(len(network.encoder.features), 19)  # blocks a slimmer encoder does without
    unused = ("classifier.", *(f"features.{i}." for i in left_out))
    found = {k: v for k, v in weights.items() if not k.startswith(unused)}
    lacking = {k for k in wanted - set(found) if not k.endswith("num_batches_tracked")}
    if lacking or set(found) - wanted:
        odd = sorted(lacking or set(found) - wanted)[0]
        raise ModelError(f"{source}: not the weights of a MobileNetV2 encoder ({odd!r})")
    found |= {k: v for k, v in network.encoder.state_dict().items() if k not in found}
    network.encoder.load_state_dict(found)


def _file_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputNotFoundError(
            f"{path}: no such file; encoder_weights is 'imagenet', 'none' or a .safetensors file"
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a safetensors file ({error})") from error


def _imagenet_weights() -> dict[str, Tensor]:
    try:
        encoder = smp.encoders.get_encoder("mobilenet_v2", weights="imagenet")
    except Exception as error:
        # The hub's client raises errors of many kinds when it cannot be reached.
        raise ConfigError(
            f"the ImageNet weights could not be downloaded ({type(error).__name__}); give "
            "--encoder-weights FILE.safetensors with torchvision's MobileNetV2, or none"
        ) from error
    return dict(encoder.state_dict())
