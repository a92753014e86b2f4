"""A model as a config describes it: uint8 gray in, logits out, normalisation inside."""

from __future__ import annotations

import difflib

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from edgeseg.errors import ConfigError
from edgeseg.network.task import Task
from edgeseg_training.config import TrainConfig
from edgeseg_training.ellipse_prior import EllipsePrior
from edgeseg_training.encoders import load_encoder_weights
from edgeseg_training.networks import PlainUNet, SlimUNet, narrow_encoder, quicken_depthwise

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)


class SegmentationModel(nn.Module):
    """A network with its own normalisation.

    ``forward`` takes gray images, (N, 1, h, w), 0 to 255, uint8 or float, and returns logits,
    (N, K, h, w), float32; see `probabilities`.

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
        """Return logits, (N, K, h, w)."""
        x = gray.float() * self.scale + self.offset
        logits: Tensor = self.network(x.contiguous(memory_format=torch.channels_last)).float()
        if self.prior is not None and not self.training:
            logits = self.prior(logits)
        return logits


def build_model(
    config: TrainConfig, task: Task | None = None, load_encoder: bool = True
) -> SegmentationModel:
    """Build the network a config describes; its random weights follow torch's seed.

    Parameters
    ----------
    config
        ``baseline`` as strategy means the plain U-Net whatever the architecture says.
    task
        What it is to answer; a head by default.
    load_encoder
        False where all weights are loaded afterwards.

    Raises
    ------
    ConfigError
        If there is no such encoder, or it cannot have such a decoder.
    InputNotFoundError, ModelError
        If the encoder's weights are missing or do not fit.
    """
    task = task or Task()
    channels = 1 if config.input_mode == "gray" else 3
    # one structure is drawn against none of it, several and the background share each pixel
    outputs = 1 if len(task.structures) == 1 else len(task.classes)
    prior = None
    if config.ellipse_prior:
        prior = EllipsePrior(config.input_height, config.input_width, config.ellipse_prior)
    if is_plain(config):
        network: nn.Module = PlainUNet(channels, outputs)
        return SegmentationModel(network, channels, config.normalization, prior)
    unet = _build_unet(config, channels, outputs)
    if load_encoder:
        load_encoder_weights(unet, config, channels)
    if config.encoder == "mobilenet_v2":
        narrow_encoder(unet.encoder, config.encoder_expansion, config.first_expansion)
        quicken_depthwise(unet.encoder)
    return SegmentationModel(unet, channels, config.normalization, prior)


def _build_unet(config: TrainConfig, channels: int, outputs: int) -> smp.Unet:
    """Build a U-Net with random weights; `ConfigError` if there is none so."""
    encoder = config.encoder
    known = smp.encoders.get_encoder_names()
    if encoder not in known and not encoder.startswith("tu-"):
        close = difflib.get_close_matches(encoder, known, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise ConfigError(
            f"segmentation-models-pytorch {smp.__version__} has no encoder {encoder!r}{hint}"
        )
    widths, stages = config.decoder_channels, config.encoder_stages
    try:
        return SlimUNet(channels, widths, stages, config.encoder_top, encoder, outputs)
    except (ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"encoder {encoder!r} cannot be built so: {reason}") from error


def probabilities(logits: Tensor) -> Tensor:
    """Return the probability of each structure, (N, C, h, w), from a network's logits.

    Of one map its sigmoid; of several the softmax over them and the background, which is the first
    and is left out.
    """
    if logits.shape[1] == 1:
        return torch.sigmoid(logits)
    return torch.softmax(logits, dim=1)[:, 1:]


def is_plain(config: TrainConfig) -> bool:
    """Tell whether a config asks for the plain U-Net, which has no encoder to load or freeze."""
    return config.strategy == "baseline" or config.architecture == "unet-plain"
