"""Keras's own harness, on every registered layer and model: what it asks of its layers holds for ours.

`keras.src.testing` is not public, and comes with Keras.
"""

import keras
import pytest
from keras.src import testing

import tfvae
from tfvae import likelihoods, priors
from tfvae.layers import (
    conditional_gaussian,
    degrader,
    finite_scalar_quantiser,
    gated,
    gdn,
    label_embedding,
    quantiser,
    recurrent,
    resampling,
    residual,
    rounding,
    seeded,
    whole_piece,
)
from tfvae.likelihoods.counted import CountedGaussian
from tfvae.networks import (
    NETWORKS,
    critic,
    gains,
    hyperprior,
    integer_decoder,
    ladder,
    ladder_coders,
    mlp,
    own,
    residual_latent,
    stages,
    style_decoder,
    tone,
    transforms,
    unet,
    video_frames,
)
from tfvae.priors import flow, raster_transformer, two_layer

IMAGE = (2, 8, 8, 3)
MAP = (2, 4, 4, 8)
UP = {"output_shape": (8, 8, 3), "widths": (8, 8), "hidden": 8}
DOWN = {"widths": (8, 8), "hidden": 8}

# Layers of one tensor: class, arguments, shape of the input.
LAYERS = {
    "MLPDown": (mlp.MLPDown, DOWN, IMAGE),
    "MLPUp": (mlp.MLPUp, UP, (2, 5)),
    "TanhMLPDown": (mlp.TanhMLPDown, DOWN, IMAGE),
    "TanhMLPUp": (mlp.TanhMLPUp, UP, (2, 5)),
    "GatedMLPDown": (mlp.GatedMLPDown, DOWN, IMAGE),
    "GatedMLPUp": (mlp.GatedMLPUp, UP, (2, 5)),
    "GatedDense": (gated.GatedDense, {"units": 4}, (2, 5)),
    **{f"{name} down": (network.down, DOWN, IMAGE) for name, network in NETWORKS.items() if network.pyramid},
    **{f"{name} up": (network.up, UP, (2, 5)) for name, network in NETWORKS.items() if network.pyramid},
    "ResidualBlock": (residual.ResidualBlock, {}, MAP),
    "Dropout": (seeded.Dropout, {"rate": 0.5, "seed": 1}, MAP),
    "SubPixelUpsample": (tfvae.layers.SubPixelUpsample, {"filters": 4}, MAP),
    "GDN": (gdn.GDN, {}, MAP),
    "ResizeUpsample": (tfvae.layers.ResizeUpsample, {"filters": 4}, MAP),
    "CropTo": (resampling.CropTo, {"height": 3, "width": 2}, MAP),
    "InceptionBlock": (tfvae.layers.InceptionBlock, {"filters": 8}, MAP),
    "SpectralConv2D": (critic.SpectralConv2D, {"filters": 4, "kernel_size": 3, "padding": "same"}, MAP),
    "Pointwise": (ladder.Pointwise, {"units": 4}, MAP),
    "Bottleneck": (ladder.Bottleneck, {"filters": 6, "inner": 4}, MAP),
    "ResidualBottlenecks": (ladder.ResidualBottlenecks, {"count": 2}, MAP),
    "Rise": (ladder.Rise, {"source": (4, 4, 8), "target": (2, 2, 6)}, MAP),
    "Fall": (ladder.Fall, {"source": (4, 4, 8), "target": (7, 8, 6), "kernel": 3}, MAP),
    "UNet": (unet.UNet, {"widths": (4, 4, 4), "blocks": 1}, IMAGE),
    "Blocks": (unet.Blocks, {"count": 2}, MAP),
    **{stage.__name__: (stage, {"filters": 8}, MAP) for stage in (stages.ConvDown, stages.ConvUp)},
    **{stage.__name__: (stage, {"filters": 8}, MAP) for stage in (stages.InceptionDown, stages.InceptionUp)},
    **{stage.__name__: (stage, {"filters": 8}, MAP) for stage in (stages.ResidualDown, stages.ResidualUp)},
}

TRUNKS = [
    name
    for name, (layer, *_) in LAYERS.items()
    if " " in name or issubclass(layer, (mlp.MLPDown, mlp.MLPUp, unet.UNet))
]

PARTS = {"image_shape": (8, 8, 1), "latent_dim": 2, "widths": (4,)}
FILM = {"channels": 1, "widths": (4, 4), "latent_dim": 2}


def own_encoder():
    return own.OwnEncoder(keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4)]))


def own_decoder():
    network = [keras.Input((2,)), keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1))]
    return own.OwnDecoder(keras.Sequential(network), "bernoulli", (8, 8, 1))


# Everything else that can be saved, as one instance each.
INSTANCES = [
    lambda: tfvae.Encoder(**PARTS),
    lambda: tfvae.Decoder(**PARTS),
    own_encoder,
    own_decoder,
    lambda: ladder.LatentGroup(2),
    lambda: ladder_coders.LadderEncoder(**PARTS, hidden=4),
    lambda: ladder_coders.LadderDecoder(**PARTS, hidden=4),
    lambda: residual_latent.ResidualPosterior(1, 2, 4),
    lambda: residual_latent.ResidualDecoder(1, 2, 4),
    lambda: tone.ToneFeatures(3, "conv", (4, 4), 4),
    lambda: tone.TonePosterior(3, 2, 4),
    lambda: tone.ToneCurve(3, 2, 4, 4),
    lambda: critic.PatchCritic((4, 4)),
    lambda: style_decoder.StyleModulation(2),
    lambda: style_decoder.StyledBlock(2),
    lambda: style_decoder.StyleDecoder(3, (4, 4), 2, 2),
    lambda: video_frames.FrameEncoder(**FILM),
    lambda: video_frames.FrameDecoder(**FILM),
    video_frames.FrameGaussian,
    CountedGaussian,
    lambda: tfvae.layers.GaussianSampler(1),
    lambda: rounding.Uniform(1),
    lambda: gains.Gains(4),
    lambda: hyperprior.FactorisedPrior(2),
    lambda: hyperprior.HyperAnalysis(2, 4),
    lambda: integer_decoder.IntegerHyperDecoder(2, 4, 4),
    lambda: transforms.Analysis(1, (4, 4), 4),
    lambda: transforms.Synthesis(1, (4, 4), 4),
    lambda: tfvae.Codec(1, (4, 4), 4, hyper_dim=2),
    lambda: tfvae.Inspector(1, (4, 4, 4), 2, blocks=1),
    lambda: whole_piece.WholePiece(1),
    lambda: quantiser.VectorQuantiser(8),
    lambda: recurrent.ConvGRU(4),
    lambda: degrader.Degrader(1),
    lambda: finite_scalar_quantiser.FiniteScalarQuantiser((4, 3)),
    lambda: priors.CausalTransformer(8, (2, 2), 8, 1, 2),
    lambda: priors.AutoregressiveMixture((2, 2), 2, 8, 1, 2),
    lambda: raster_transformer.Block(8, 2),
    lambda: priors.GaussianMixture(3),
    lambda: priors.NormalizingFlow(2, 8),
    lambda: flow.AffineCoupling(8),
    lambda: priors.VampPrior(3),
    priors.StandardNormal,
    lambda: two_layer.TwoLayerPrior(3, 2, (4,)),
    lambda: conditional_gaussian.ConditionalGaussian(3, (4,)),
    lambda: tfvae.optimizers.AveragedAdam(1e-3, use_ema=True),
    lambda: tfvae.schedules.LinearBeta(10),
    *[lambda cls=cls: cls() for cls in (*tfvae.bounds.BOUNDS.values(), *tfvae.regularisers.REGULARISERS.values())],
    lambda: tfvae.schedules.CyclicalBeta(10),
    *[lambda name=name: likelihoods.get(name) for name in likelihoods.LIKELIHOODS],
    lambda: label_embedding.LabelEmbedding(3, 2.0),
    lambda: tfvae.VAE.from_shape(**PARTS),
    lambda: tfvae.VAE.from_shape(**PARTS, label_names=range(3)),
    lambda: tfvae.VAE(own_encoder(), own_decoder()),
    lambda: tfvae.Autoencoder.from_shape(**PARTS),
    lambda: tfvae.RegularisedAutoencoder.from_shape(**PARTS, network="mlp"),
    lambda: tfvae.VQVAE.from_shape(**PARTS, codes=8, prior_width=8, prior_depth=1, prior_heads=2),
    lambda: tfvae.HierarchicalVAE.from_shape(**PARTS, network="mlp"),
    lambda: tfvae.TwoLayerVAE.from_shape(**PARTS, top_dim=2, top_widths=(4,)),
    lambda: tfvae.Restorer(1, (4, 4, 4), 2, corruptions=[{"kind": "gaussian"}]),
    lambda: tfvae.Enhancer(1, (4, 4), 2, "conv", 4),
    lambda: tfvae.StyleVAE(3, (4, 4), 2, "gaussian", ["oil", "ink"], critic_widths=(4, 4)),
    lambda: tfvae.VideoVAE(**FILM, frames=3, context=1),
]


class Harness(testing.TestCase):
    def runTest(self):  # noqa: N802 (unittest's name)
        """Only its helpers are used."""


@pytest.fixture
def harness():
    found = Harness()
    found.setUp()
    return found


def layer_test(harness, name, **options):
    layer, arguments, shape = LAYERS[name]
    # Outputs that must not be rounded are float32 under every policy; test_precision looks at these.
    options |= {"supports_masking": None, "run_mixed_precision_check": False}
    harness.run_layer_test(layer, arguments, input_shape=shape, **options)


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")  # by the harness itself
@pytest.mark.parametrize("name", LAYERS)
def test_keras_s_layer_test(harness, name):
    layer_test(harness, name, run_training_check=name not in TRUNKS)


@pytest.mark.slow  # XLA takes its time over whole trunks; test_models.py trains each in a model
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("name", TRUNKS)
def test_keras_s_training_check_of_trunks(harness, name):
    layer_test(harness, name)


@pytest.mark.parametrize("make", INSTANCES)
def test_keras_s_serialisation_test(harness, make):
    harness.run_class_serialization_test(make())


def test_every_registered_class_is_here():
    registered = {cls for name, cls in keras.saving.get_custom_objects().items() if name.startswith("tfvae>")}
    here = {layer for layer, *_ in LAYERS.values()} | {type(make()) for make in INSTANCES}
    assert {cls for cls in registered if cls.__module__.startswith("tfvae.")} <= here
