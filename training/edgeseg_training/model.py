"""The networks: uint8 gray in, logits out, normalisation inside."""

from __future__ import annotations

from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from edgeseg.errors import ConfigError, InputNotFoundError, ModelError
from edgeseg_training.config import TrainConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)
_TOP = "features.18."  # the encoder's last convolution


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
    """

    def __init__(self, network: nn.Module, channels: int, normalization: str) -> None:
        super().__init__()
        self.network = network
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
        logits: Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        return logits.float()


class PlainUNet(nn.Module):
    """The paper's baseline: U-Net (Ronneberger et al. 2015) with batch-norm, 31.0 M parameters."""

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(5)]
        self.down = nn.ModuleList(
            _double_convolution(a, b) for a, b in zip([channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 2, stride=2)
            for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.merge = nn.ModuleList(_double_convolution(2 * b, b) for b in widths[-2::-1])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, 1, h, w); h and w must be multiples of 16."""
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(torch.cat([skip, up(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits


class SlimUNet(smp.Unet):  # type: ignore[misc]
    """A MobileNetV2 U-Net without the parts that cost most for what they give.

    Parameters
    ----------
    channels
        Of the input.
    decoder_channels
        Widths, deepest first. With four of them the decoder ends at half the input's size and the
        logits are upsampled, bilinearly: the outline is smooth and needs no more.
    encoder_top
        Whether to keep the encoder's last convolution, made for a classifier: 320 to 1280
        channels, which the first decoder block then has to read.
    """

    def __init__(self, channels: int, decoder_channels: tuple[int, ...], encoder_top: bool) -> None:
        super().__init__(
            "mobilenet_v2", encoder_weights=None, in_channels=channels, classes=1,
            decoder_channels=(*decoder_channels, 1)[:5],
        )  # fmt: skip
        encoder = self.encoder
        if not encoder_top:
            encoder.features = encoder.features[:-1]
            encoder._out_indexes[-1] = len(encoder.features) - 1
            encoder._out_channels = [*encoder._out_channels[:-1], 320]
        self.decoder = UnetDecoder(
            encoder.out_channels, decoder_channels, n_blocks=len(decoder_channels)
        )
        self.segmentation_head = SegmentationHead(decoder_channels[-1], 1, kernel_size=3)
        self.initialize()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, 1, h, w); h and w must be multiples of 32."""
        logits: Tensor = super().forward(x)
        factor = x.shape[-1] // logits.shape[-1]
        if factor == 1:
            return logits
        return nn.functional.interpolate(
            logits, scale_factor=float(factor), mode="bilinear", align_corners=False
        )


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
    if is_plain(config):
        return SegmentationModel(PlainUNet(channels), channels, config.normalization)
    network: smp.Unet
    if config.encoder_top and len(config.decoder_channels) == 5:
        network = smp.Unet(
            "mobilenet_v2",
            encoder_weights=None,
            in_channels=channels,
            classes=1,
            decoder_channels=config.decoder_channels,
        )
    else:
        network = SlimUNet(channels, config.decoder_channels, config.encoder_top)
    if load_encoder:
        _load_encoder(network, config.encoder_weights, channels)
    return SegmentationModel(network, channels, config.normalization)


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
    unused = ("classifier.",) if len(network.encoder.features) == 19 else ("classifier.", _TOP)
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


def _double_convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in ((channels_in, channels_out), (channels_out, channels_out)):
        layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(True)]
    return nn.Sequential(*layers)
