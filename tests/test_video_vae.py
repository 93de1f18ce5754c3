"""Latent dynamics: causal, a sum over frames, and still where nothing moves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from tiny_runs import vector_vae, write_run

import tfvae
from benchmarks import video as benchmark
from benchmarks.arguments import parse
from tfvae.applications.video.continuation import Continuation
from tfvae.cli import main
from tfvae.errors import UserError
from tfvae.layers.recurrent import ConvGRU
from tfvae.layers.strips import frames_of
from tfvae.layers.warping import warp
from tfvae.objectives import gaussian_kl
from tfvae.serving import signatures

FRAMES, CONTEXT, HEIGHT, WIDTH = 4, 2, 8, 16


def make(channels=1, **options):
    """A small model whose heads, which start at zero, say something."""
    keras.utils.set_random_seed(0)
    model = tfvae.VideoVAE(channels, (4, 8), 2, frames=FRAMES, context=CONTEXT, seed=0, **options)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign_add(0.1 * rng.standard_normal(variable.shape))
    return model


def strips(count=3, height=HEIGHT, width=WIDTH, channels=1):
    return np.random.default_rng(1).random((count, FRAMES * height, width, channels)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(2).standard_normal((3, FRAMES, 2, 2)).astype("float32")


def test_it_comes_back_from_its_config_and_its_file(model, tmp_path):
    assert_config_round_trip(model)
    assert_saves_and_loads(model, tmp_path, strips())
    assert_config_round_trip(ConvGRU(3))


def changed(clips, frame):
    """`clips` with other pixels in `frame`."""
    other = frames_of(clips, FRAMES).numpy()
    other[:, frame] = 1 - other[:, frame]
    return other.reshape(clips.shape)


@pytest.mark.parametrize("frame", range(FRAMES))
def test_no_frame_depends_on_a_later_one(model, noise, frame):
    """The posterior of frame t sees x_{<=t}, its mean is of x_{<t} and z_{<=t}, a prediction is of x_{<=C} alone."""
    images, other = strips(), changed(strips(), frame)
    before, after = (model.infer(x, noise) for x in (images, other))
    for name in ("mean", "log_var", "z", "parameters", "estimate"):
        one, two = (frames_of(outputs[name], FRAMES).numpy() for outputs in (before, after))
        np.testing.assert_array_equal(one[:, :frame], two[:, :frame])
        if name != "estimate" and frame >= CONTEXT:
            assert (one[:, frame:] != two[:, frame:]).any(axis=(0, 2, 3, 4)).all()
    predicted = [frames_of(model.reconstruct(x)["image"], FRAMES).numpy()[:, CONTEXT:] for x in (images, other)]
    assert np.array_equal(*predicted) == (frame >= CONTEXT)


def test_distortion_and_rate_are_sums_over_the_predicted_frames(model):
    images = strips()
    outputs = model(images)
    distortion, rate = model.elbo_terms(images, outputs=outputs)
    kl = model.prior.kl(outputs["mean"], outputs["log_var"])
    np.testing.assert_allclose(rate, kl.numpy().sum(axis=(1, 2, 3)), rtol=1e-5)
    x = frames_of(images, FRAMES).numpy()[:, CONTEXT:]
    mean, log_std, _ = (
        frames_of(part, FRAMES).numpy()[:, CONTEXT:] for part in model.likelihood.parts(outputs["parameters"])
    )
    nats = 0.5 * ((x - mean) / np.exp(log_std)) ** 2 + log_std + 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(distortion, nats.sum(axis=(2, 3, 4)).sum(axis=1), rtol=1e-4)
    of_frames = frames_of(kl, FRAMES).numpy().sum(axis=(2, 3, 4))
    assert (of_frames[:, :CONTEXT] == 0).all() and (of_frames[:, CONTEXT:] > 0).all()


def test_a_standardised_posterior_has_the_rate_of_the_one_against_the_learnt_prior():
    """u = mu + sigma z: KL(q(u) || N(mu, sigma²)) = KL(q(z) || N(0, 1)), by the closed form for two normals."""
    mu, log_sigma, mean, log_var = np.random.default_rng(0).standard_normal((4, 5, 7))
    q_mean, q_std = mu + np.exp(log_sigma) * mean, np.exp(log_sigma + 0.5 * log_var)
    ratio = q_std / np.exp(log_sigma)
    kl = -np.log(ratio) + 0.5 * (ratio**2 + ((q_mean - mu) / np.exp(log_sigma)) ** 2 - 1)
    np.testing.assert_allclose(gaussian_kl(mean, log_var), kl.sum(axis=1), rtol=1e-5)


def test_the_loss_of_the_estimate_is_the_mean_psnr_of_the_frames(model):
    images = strips()
    outputs = model(images)
    errors = (frames_of(outputs["estimate"] - images, FRAMES).numpy()[:, CONTEXT:] ** 2).mean(axis=(2, 3, 4))
    psnr = -10 * np.log10(errors + model.floor)
    expected = -0.5 * HEIGHT * WIDTH * np.log(10) / 10 * psnr.sum(axis=1)
    np.testing.assert_allclose(model.auxiliary_loss(outputs, images), expected, rtol=1e-4)
    np.testing.assert_allclose(outputs["estimate"], model.reconstruct(images)["image"], atol=1e-5)


def test_importance_weights_of_the_prior_itself_are_the_likelihood(noise):
    """An untrained posterior is the prior: then w = p(x|z)."""
    fresh = tfvae.VideoVAE(1, (4, 8), 2, frames=FRAMES, context=CONTEXT, seed=0)
    images = strips()
    expected = fresh.likelihood.log_prob(images, fresh.infer(images, noise)["parameters"])
    np.testing.assert_allclose(fresh.log_weights(images, fresh.encode(images), noise), expected, rtol=1e-5)
    one = fresh.log_weights(images[:1], fresh.encode(images[:1]), noise)  # one image, many draws
    np.testing.assert_allclose(one[0], expected[0], rtol=1e-5)
    assert one.shape == (3,)


def test_what_stands_still_stays_as_it_is():
    """With a closed gate and no flow every frame is the last given one, bit for bit."""
    fresh = tfvae.VideoVAE(3, (4, 8), 2, frames=FRAMES, context=CONTEXT, seed=0)
    fresh.decoder.head.bias.assign(np.where(np.arange(16 * 9) % 9 == 6, -100.0, 0.0))
    images = strips(channels=3)
    predicted = frames_of(fresh.reconstruct(images)["image"], FRAMES).numpy()
    given = frames_of(images, FRAMES).numpy()
    np.testing.assert_array_equal(predicted[:, :CONTEXT], given[:, :CONTEXT])
    for frame in range(CONTEXT, FRAMES):
        np.testing.assert_array_equal(predicted[:, frame], given[:, CONTEXT - 1])


def test_warping_moves_pixels_along_the_flow():
    x = np.random.default_rng(0).random((2, 6, 7, 3)).astype("float32")
    np.testing.assert_array_equal(warp(x, np.zeros((2, 6, 7, 2))), x)
    whole = np.broadcast_to(np.float32([1, -2]), (2, 6, 7, 2))
    np.testing.assert_array_equal(warp(x, whole)[:, :-1, 2:], x[:, 1:, :-2])
    ramp = np.broadcast_to(np.arange(7, dtype=np.float32)[None, None, :, None], (1, 6, 7, 1))
    flow = np.broadcast_to(np.float32([0.3, 0.25]), (1, 6, 7, 2))
    np.testing.assert_allclose(warp(ramp, flow), np.minimum(ramp + 0.25, 6), atol=1e-5)  # linear: exact between pixels


def test_the_gradient_of_a_warp_in_the_flow_is_the_slope_of_the_picture():
    ramp = tf.constant(np.broadcast_to(3 * np.arange(7, dtype=np.float32)[None, :, None, None], (1, 7, 6, 1)))
    flow = tf.Variable(np.full((1, 7, 6, 2), 0.5, np.float32))
    with tf.GradientTape() as tape:
        moved = warp(ramp, flow)
    gradient = tape.gradient(moved, flow).numpy()
    np.testing.assert_allclose(gradient[:, :-1, :, 0], 3.0, rtol=1e-5)
    np.testing.assert_allclose(gradient[..., 1], 0.0, atol=1e-6)


def test_an_update_gate_that_is_closed_keeps_the_state():
    cell = ConvGRU(3)
    state, inputs = (np.random.default_rng(0).standard_normal((1, 4, 4, size)).astype("float32") for size in (3, 2))
    cell(state, inputs)
    cell.gates.bias.assign([0.0] * 3 + [100.0] * 3)
    np.testing.assert_allclose(cell(state, inputs), state, atol=1e-6)
    cell.gates.bias.assign([0.0] * 3 + [-100.0] * 3)
    assert np.abs(cell(state, inputs)).max() <= 1  # the candidate alone, a tanh


def test_a_continuation_is_the_models_prediction_at_odd_sizes_and_goes_on(model):
    images = strips(2, 11, 13)
    given = frames_of(images, FRAMES).numpy()[:, :CONTEXT]
    continuation = Continuation(model)
    far = np.stack(list(continuation(given, 5)), axis=1)
    np.testing.assert_allclose(
        far[:, : FRAMES - CONTEXT], frames_of(model.reconstruct(images)["image"], FRAMES)[:, CONTEXT:], atol=1e-5
    )
    assert far.shape == (2, 5, 11, 13, 1) and far.min() >= 0 and far.max() <= 1
    drawn = [np.stack(list(continuation(given, 3, 1.0, seed)), axis=1) for seed in (7, 7, 8)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any() and (drawn[0][:, 0] != far[:, 0]).any()
    with pytest.raises(ValueError, match="`recent`"):
        next(continuation(given[..., [0, 0, 0]], 1))


def test_its_signature_predicts_what_it_predicts(model, noise):
    found = signatures(model, batch=3, size=(FRAMES * HEIGHT, WIDTH))
    assert set(found) == {"encode", "reconstruct", "continue"}
    predict = found["continue"].traced()
    np.testing.assert_allclose(
        predict(tf.constant(strips()), tf.zeros_like(noise))["image"], model.reconstruct(strips())["image"], atol=1e-5
    )
    drawn = predict(tf.constant(strips()), tf.constant(noise))["image"]
    assert (np.abs(drawn - model.reconstruct(strips())["image"]) > 1e-4).any()


def test_half_precision_stays_inside_the_layers():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        outputs = make()(strips())
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(value.dtype == tf.float32 and np.isfinite(value).all() for value in outputs.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (4,)}, "`widths` must be of 2 levels"),
        ({"context": 4}, "`context` must be from 1 to"),
        ({"floor": 0.0}, "`floor` must be positive"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tfvae.VideoVAE(**{"channels": 1, "widths": (4, 8), "latent_dim": 2, "frames": 4, "context": 2, **options})


def dots(count, side=16, seed=0):
    """A soft dot that moves evenly: strips."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(6, side - 6, (count, 1, 2)) + rng.uniform(-1.5, 1.5, (count, 1, 2)) * np.arange(FRAMES)[:, None]
    down, right = (place[..., axis, None, None] for axis in (0, 1))
    y, x = np.mgrid[:side, :side]
    squared = (y - down) ** 2 + (x - right) ** 2
    return np.exp(-squared / 8).astype("float32").reshape(count, FRAMES * side, side, 1)


@pytest.mark.slow
def test_after_sixty_steps_of_moving_dots_every_predicted_frame_beats_the_last_one():
    keras.utils.set_random_seed(0)
    model = tfvae.VideoVAE(1, (8, 16), 2, frames=FRAMES, context=CONTEXT, seed=0)
    model.compile(keras.optimizers.Adam(4e-3, global_clipnorm=1e3))
    model.fit(dots(960), batch_size=16, epochs=1, verbose=0)
    unseen = dots(64, seed=1)
    predicted, truth = (frames_of(x, FRAMES).numpy() for x in (model.reconstruct(unseen)["image"], unseen))
    ours, copy = (
        -10 * np.log10(np.square(x - truth[:, CONTEXT:]).mean(axis=(2, 3, 4)))
        for x in (predicted[:, CONTEXT:], truth[:, CONTEXT - 1 : CONTEXT])
    )
    assert (ours.mean(axis=0) > copy.mean(axis=0)).all()


MOVING = {"source": "moving_digits", "height": 16, "width": 16, "limit": 200, "frames": FRAMES, "channels": 1}


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "video", model, **MOVING)


def test_the_command_writes_the_film_and_what_follows(run, tmp_path):
    pytest.importorskip("av")
    from tfvae.video import Film

    assert main(["continue", str(run), "--frames", "3", "-o", str(tmp_path / "on.mp4")]) == 0
    assert len(list(Film(tmp_path / "on.mp4").frames())) == CONTEXT + 3
    assert (tmp_path / "on.png").is_file()
    out = tmp_path / "further.mp4"
    assert (
        main(["continue", str(run), str(tmp_path / "on.mp4"), "--frames", "2", "--temperature", "1", "-o", str(out)])
        == 0
    )
    assert len(list(Film(out).frames())) == CONTEXT + 3 + 2


def test_the_command_refuses_runs_of_pictures_and_its_own_film(run, tmp_path, capsys):
    pytest.importorskip("av")
    pictures = write_run(tmp_path / "pictures", vector_vae())
    assert main(["continue", str(pictures)]) == 2
    assert "holds a VAE, which knows single pictures" in capsys.readouterr().err
    assert main(["continue", str(run), "--frames", "0"]) == 2


def test_the_benchmark_compares_ours_with_the_last_frame(run, tmp_path):
    words = [str(run), "--frames", "3", "--samples", "2", "-n", "4", "-o", str(tmp_path / "out.json")]
    facts, picture = benchmark.run(parse("video", "Frames", words))
    assert [row["frame"] for row in facts["rows"]] == [1, 2, 3]
    for row in facts["rows"]:
        np.testing.assert_allclose(row["tfvae_ahead_db"], row["tfvae"] - row["copy"], atol=1e-9)
    assert facts["settings"]["context"] == CONTEXT and facts["settings"]["clips"] == 4
    assert picture.shape[1] > picture.shape[0] / 4 and len(benchmark.table(facts)) == 3 + 2 + 3 + 2
    with pytest.raises(UserError, match="--samples: must be a whole number, 1 or more"):
        parse("video", "Frames", [str(run), "--samples", "0"])


def test_the_psnr_of_a_frame_is_that_of_its_mean_squared_error():
    truth = np.zeros((2, 4, 4, 1))
    np.testing.assert_allclose(benchmark.psnr(np.stack([truth[0] + 0.1, truth[1]]), truth), [20.0, 100.0])
