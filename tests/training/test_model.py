from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import save_file

from edgeseg import zoo
from edgeseg.errors import ConfigError, InputNotFoundError, ModelError, ModelNotFoundError
from edgeseg.network.task import Task
from edgeseg.phantom.head import make_phantom
from edgeseg.segmenter import Segmenter
from edgeseg_training import strategies
from edgeseg_training.checkpoint import load_trained
from edgeseg_training.config import TrainConfig, load_config
from edgeseg_training.model import SegmentationModel, build_model, probabilities
from edgeseg_training.module import TrainingModule
from edgeseg_training.networks import StridedDepthwise, narrow_encoder, quicken_depthwise
from edgeseg_training.own_weights import measure_batchnorms

NANO = Path(__file__).parents[2] / "training" / "hc18-nano.toml"


def save_encoder(model: SegmentationModel, folder: Path) -> Path:
    path = folder / "encoder.safetensors"
    save_file({k: v.contiguous() for k, v in model.network.encoder.state_dict().items()}, path)
    return path


def test_a_gray_encoder_answers_as_the_rgb_one_to_gray(tiny: TrainConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    rgb = build_model(tiny.updated({"input_mode": "rgb", "normalization": "unit"})).eval()
    path = save_encoder(rgb, tmp_path)
    gray = build_model(tiny.updated({"encoder_weights": str(path)})).eval()
    x = torch.randint(0, 255, (1, 1, 64, 96)) / 255
    with torch.inference_mode():
        ours = gray.network.encoder(x)
        theirs = rgb.network.encoder(x.expand(-1, 3, -1, -1))
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_normalisation_is_that_of_imagenet() -> None:
    model = SegmentationModel(torch.nn.Identity(), 3, "imagenet")
    white = model(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8))
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(white[0, :, 0, 0], expected)
    unit = SegmentationModel(torch.nn.Identity(), 1, "unit")
    assert unit(torch.full((1, 1, 2, 2), 51, dtype=torch.uint8)).mean() == pytest.approx(0.2)


def test_files_that_are_not_the_encoder_s_are_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    absent, text, other = (tmp_path / name for name in ("absent", "text", "other"))
    text.write_text("no")
    save_file({"a": torch.zeros(1)}, other)
    for path, error, reason in (
        (absent, InputNotFoundError, "no such file"),
        (text, ModelError, "not a safetensors file"),
        (other, ModelError, r"features\.0\.0\.weight"),
    ):
        with pytest.raises(error, match=reason):
            build_model(tiny.updated({"encoder_weights": str(path)}))


@pytest.mark.parametrize(("widths", "top"), [("16,16,8,8,8", True), ("16,16,8,8", False)])
def test_slimmer_networks_answer_at_the_input_s_size(
    tiny: TrainConfig, tmp_path: Path, widths: str, top: bool
) -> None:
    whole = build_model(tiny)
    path = save_encoder(whole, tmp_path)
    values = {"decoder_channels": widths, "encoder_top": top, "encoder_weights": str(path)}
    model = build_model(tiny.updated(values)).eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, 1, 64, 96)).shape == (2, 1, 64, 96)
    blocks = model.network.decoder.blocks
    assert len(blocks) == len(widths.split(","))
    assert blocks[0].conv1[0].in_channels == (1280 if top else 320) + 96
    # the encoder is the same one, up to where it ends
    ours, theirs = model.network.encoder.state_dict(), whole.network.encoder.state_dict()
    assert set(ours) <= set(theirs)
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key])


def test_half_size_logits_are_upsampled_about_the_same_centre(tiny: TrainConfig) -> None:
    """A map upsampled off its centre would shift every outline by a part of a pixel."""
    model = build_model(tiny.updated({"decoder_channels": "16,16,8,8"})).eval()
    columns = torch.arange(48).expand(1, 8, 32, 48).float()
    head = model.network.segmentation_head[0]
    head.weight.data.zero_()
    head.weight.data[0, 0, 1, 1] = 1
    head.bias.data.zero_()
    model.network.decoder.register_forward_hook(lambda *_: columns)
    with torch.inference_mode():
        logits = model(torch.zeros(1, 1, 64, 96))[0, 0, 30]
    # pixel i of 96 lies at (i + 0.5) / 2 - 0.5 of 48
    expected = (torch.arange(96) + 0.5) / 2 - 0.5
    torch.testing.assert_close(logits[2:-2], expected[2:-2])


def test_narrowing_keeps_the_strongest_channels_as_they_were(tiny: TrainConfig) -> None:
    """Where the weak half adds nothing, the narrow encoder answers as the whole one does."""
    torch.manual_seed(0)
    encoder = build_model(tiny).network.encoder.eval()
    for block in encoder.features[2:18]:
        depthwise_norm, project = block.conv[1][1], block.conv[2]
        weak = torch.randperm(project.in_channels)[: project.in_channels // 2]
        depthwise_norm.bias.data.uniform_(0.1, 0.5)
        project.weight.data[:, weak] = 0
    x = torch.randn(1, 1, 64, 96)
    with torch.inference_mode():
        before = encoder(x)
        narrow_encoder(encoder, 3)
        after = encoder(x)
    for a, b in zip(after[1:], before[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert encoder.features[2].conv[1][0].groups == 48
    blocks = build_model(tiny.updated({"first_expansion": 3})).network.encoder.features
    assert [block.conv[1][0].groups for block in blocks[2:5]] == [48, 144, 144]


def test_a_narrow_network_trains_every_weight_it_has(tiny: TrainConfig) -> None:
    values = {"encoder_expansion": 2, "encoder_stages": 4, "decoder_channels": "16,8,8"}
    model = build_model(tiny.updated(values))
    assert len(model.network.encoder.features) == 14
    assert model.network.decoder.blocks[0].conv1[0].in_channels == 96 + 32
    logits = model(torch.rand(2, 1, 64, 96) * 255)
    assert logits.shape == (2, 1, 64, 96)
    logits.mean().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_strided_depthwise_convolutions_do_their_arithmetic_in_float32() -> None:
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, bias=False)
    x = torch.randn(2, 8, 12, 12).bfloat16()
    exact = plain(x.float())
    layers = torch.nn.Sequential(plain, torch.nn.Conv2d(8, 8, 3, stride=2))
    quicken_depthwise(layers)
    assert [type(layer) for layer in layers] == [StridedDepthwise, torch.nn.Conv2d]
    with torch.autocast("cpu", torch.bfloat16):
        y = layers[0](x)
    assert y.dtype == torch.bfloat16
    # one rounding of the result, none of the weights
    torch.testing.assert_close(y, exact.bfloat16(), rtol=0, atol=0)
    y.float().square().sum().backward()
    assert plain.weight.grad is not None and plain.weight.grad.dtype == torch.float32


# arXiv 2307.09067: its table in millions, the authors' notebook to the unit
PAPER_COUNTS = {
    "full": 6_628_945,
    "encoder": 2_223_872,
    "decoder": 4_405_073,
    "decoder-0": 3_761_152,
    "decoder-0-1": 4_240_896,
    "decoder-0-1-2": 4_365_568,
    "decoder-2-3-4": 164_032,
    "decoder-4": 6_976,
}


def test_trainable_parameters_are_the_paper_s() -> None:
    recipe = Path(__file__).parents[2] / "training" / "paper.toml"
    paper = load_config(recipe).updated({"encoder_weights": "none"})
    for strategy, count in PAPER_COUNTS.items():
        assert strategies.apply(build_model(paper).network, strategy) == count
    network = build_model(paper.updated({"strategy": "baseline"})).network
    assert strategies.apply(network, "baseline") == pytest.approx(31.0e6, rel=0.005)


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batchnorms_move_where_a_recipe_says_so(tiny: TrainConfig, frozen: bool) -> None:
    config = tiny.updated({"strategy": "decoder", "freeze_batchnorm_statistics": frozen})
    module = TrainingModule(config, Task(), 1, []).train()
    before = {k: v.clone() for k, v in module.model.state_dict().items()}
    module.model(torch.randint(0, 255, (4, 1, 64, 96), dtype=torch.uint8))
    moved = {k for k, v in module.model.state_dict().items() if not torch.equal(v, before[k])}
    assert any("decoder" in name for name in moved)
    assert any("encoder" in name for name in moved) is not frozen


def test_a_strategy_that_is_unknown_or_not_for_a_network_is_refused(tiny: TrainConfig) -> None:
    network = build_model(tiny.updated({"decoder_channels": "16,16,8,8"})).network
    trained = strategies.apply(network, "decoder")
    heads = sum(p.numel() for p in network.segmentation_head.parameters())
    assert trained == heads + sum(p.numel() for p in network.decoder.parameters())
    plain = build_model(tiny.updated({"architecture": "unet-plain"})).network
    for refusing, strategy, reason in (
        (network, "decoder-4", "trains D4, which this decoder lacks"),
        (plain, "decoder", "needs a network with an encoder"),
    ):
        with pytest.raises(ConfigError, match=reason):
            strategies.apply(refusing, strategy)


def test_a_bundled_model_s_parts_answer_as_it_does_in_training_too() -> None:
    module = TrainingModule(load_config(NANO).updated({"init": "hc18-nano"}), Task(), 1, [])
    assert "taken from hc18-nano: encoder, decoder; starting anew" in module.origin
    graph = onnx.load(zoo.find("hc18-nano").path).graph
    stored = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    name, head = "model.network.segmentation_head.0", module.model.network.segmentation_head[0]
    head.weight.data = stored[f"{name}.weight"].flip(2, 3).transpose(0, 1)
    head.bias.data = stored[f"{name}.bias"]
    images = [make_phantom(i, height=128, width=192).image for i in range(4)]
    gray = torch.stack([torch.from_numpy(image)[None] for image in images])
    expected = torch.from_numpy(Segmenter("hc18-nano", threads=1).infer(gray.numpy()))
    with torch.no_grad():
        before = probabilities(module.model.eval()(gray))
        measure_batchnorms(module.model, gray)
        after = probabilities(module.model(gray))
        in_training = probabilities(module.model.train()(gray))
    for found in (before, after):
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)
    assert ((in_training > 0.5) == (expected > 0.5)).float().mean() > 0.99


def test_of_a_run_all_parts_that_fit_are_taken(trained: Path) -> None:
    source = load_trained(trained)
    config = source.config.updated({"init": str(trained)})
    module = TrainingModule(config, Task("regions", ("background", "a", "b")), 1, [])
    assert module.origin.endswith("does not fit: segmentation_head")
    ours, theirs = (each.network.decoder.state_dict() for each in (module.model, source.model))
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def test_own_weights_that_do_not_fit_are_refused() -> None:
    wide, unit = {"encoder_expansion": 6}, {"normalization": "unit"}
    for source, values, error, reason in (
        ("hc18-nano", wide, ModelError, "encoder does not fit.*recipe"),
        ("hc18-nano", unit, ModelError, "normalised otherwise"),
        ("hc18-edge-int8", {}, ModelError, "8-bit models cannot be taken"),
        ("hc18-nana", {}, ModelNotFoundError, "did you mean 'hc18-nano'"),
    ):
        with pytest.raises(error, match=reason):
            TrainingModule(load_config(NANO).updated({"init": source} | values), Task(), 1, [])


def test_a_run_of_any_number_of_steps_has_a_cycle(tiny: TrainConfig) -> None:
    for steps in range(1, 8):
        TrainingModule(tiny.updated({"epochs": steps}), Task(), 1, []).configure_optimizers()
