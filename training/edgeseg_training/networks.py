"""The networks themselves: normalised images in, logits out."""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual, MobileNetV2


class PlainUNet(nn.Module):
    """The paper's baseline: U-Net (Ronneberger et al. 2015) with batch-norm, 31.0 M parameters."""

    def __init__(self, channels: int = 3, outputs: int = 1, width: int = 64) -> None:
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
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, K, h, w); h and w must be multiples of 16."""
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(torch.cat([skip, up(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits


class SlimUNet(smp.Unet):  # type: ignore[misc]
    """A U-Net that may do without the parts that cost most for what they give.

    Parameters
    ----------
    channels
        Of the input.
    decoder_channels
        Widths, deepest first: one for each encoder stage, or one less. With one less the decoder
        ends at half the input's size and the logits are upsampled, bilinearly: the outline is
        smooth and needs no more.
    encoder_stages
        5, or 4 to leave out the deepest stage (stride 32).
    encoder_top
        Whether to keep the last convolution of a whole encoder, made for a classifier: 320 to 1280
        channels, which the first decoder block then has to read. Of MobileNetV2 alone.
    name
        Encoder, as segmentation-models-pytorch calls it.
    outputs
        Maps of logits.
    """

    def __init__(
        self,
        channels: int,
        decoder_channels: tuple[int, ...],
        encoder_stages: int = 5,
        encoder_top: bool = False,
        name: str = "mobilenet_v2",
        outputs: int = 1,
    ) -> None:
        cuts = name == "mobilenet_v2" and (encoder_stages == 4 or not encoder_top)
        depth = 5 if cuts else encoder_stages
        whole = len(decoder_channels) == depth and not cuts
        super().__init__(
            name, encoder_depth=depth, encoder_weights=None, in_channels=channels, classes=outputs,
            decoder_channels=decoder_channels if whole else (16,) * depth,
        )  # fmt: skip
        if whole:
            return
        encoder = self.encoder
        if cuts and encoder_stages == 4:
            encoder.features = encoder.features[: encoder._out_indexes[-2] + 1]
            encoder._out_indexes = encoder._out_indexes[:-1]
            encoder._out_channels = encoder._out_channels[:-1]
            encoder._depth = 4
        elif cuts:
            encoder.features = encoder.features[:-1]
            encoder._out_indexes[-1] = len(encoder.features) - 1
            encoder._out_channels = [*encoder._out_channels[:-1], 320]
        self.decoder = UnetDecoder(
            encoder.out_channels, decoder_channels, n_blocks=len(decoder_channels)
        )
        self.segmentation_head = SegmentationHead(decoder_channels[-1], outputs, kernel_size=3)
        self.initialize()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, K, h, w); h and w must be multiples of 32."""
        logits: Tensor = super().forward(x)
        factor = x.shape[-1] // logits.shape[-1]
        if factor == 1:
            return logits
        return nn.functional.interpolate(
            logits, scale_factor=float(factor), mode="bilinear", align_corners=False
        )


class StridedDepthwise(nn.Conv2d):
    """A strided depthwise convolution that is float32 within bfloat16 steps on a CPU.

    oneDNN's backward pass of it is slower in bfloat16 than in float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x, in x's precision."""
        if x.dtype == torch.float32 or x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


def quicken_depthwise(encoder: nn.Module) -> None:
    """Turn an encoder's strided depthwise convolutions into `StridedDepthwise`, weights kept."""
    for module in encoder.modules():
        if type(module) is nn.Conv2d and module.groups > 1 and module.stride != (1, 1):
            module.__class__ = StridedDepthwise


def narrow_encoder(encoder: MobileNetV2, expansion: int, first_expansion: int = 6) -> None:
    """Keep the strongest hidden channels of each inverted residual, in place.

    MobileNetV2 widens each block's input six times (Sandler et al. 2018). A hidden channel's
    strength is the size of what it adds to the block's output: its batch-norm scale after the
    depthwise convolution times the norm of the weights that read it.

    Parameters
    ----------
    encoder
        A MobileNetV2, with the weights it starts from.
    expansion, first_expansion
        Hidden channels for each input channel, 1 to 6. The second caps the first block that widens,
        whose activations, at half the input's size, are the largest of all.
    """
    # the stem and the first block do not widen
    widening = [b for b in encoder.features if isinstance(b, InvertedResidual) and len(b.conv) == 4]
    for block in widening:
        (expand, expand_norm, _), (depthwise, depthwise_norm, _), project, _ = block.conv
        factor = min(expansion, first_expansion) if block is widening[0] else expansion
        count = expand.in_channels * factor
        if count == expand.out_channels:
            continue
        strength = depthwise_norm.weight.abs() * project.weight.flatten(1).norm(dim=0)
        kept = strength.detach().argsort(descending=True)[:count].sort().values
        for module in (expand, expand_norm, depthwise, depthwise_norm):
            for name in ("weight", "bias", "running_mean", "running_var"):
                _keep(module, name, kept, dim=0)
        _keep(project, "weight", kept, dim=1)
        expand.out_channels = depthwise.in_channels = depthwise.out_channels = len(kept)
        depthwise.groups = project.in_channels = len(kept)
        expand_norm.num_features = depthwise_norm.num_features = len(kept)


def _keep(module: nn.Module, name: str, kept: Tensor, dim: int) -> None:
    tensor = getattr(module, name, None)
    if tensor is None:
        return
    smaller = tensor.detach().index_select(dim, kept).clone()
    setattr(module, name, nn.Parameter(smaller) if isinstance(tensor, nn.Parameter) else smaller)


def _double_convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in ((channels_in, channels_out), (channels_out, channels_out)):
        layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(True)]
    return nn.Sequential(*layers)
