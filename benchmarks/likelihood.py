"""`python -m benchmarks likelihood`: importance-sampled likelihood, compared with pythae's on the same weights.

The model is the one both sides can hold: a dense encoder 784-512-16, a Bernoulli decoder 16-512-784. It is trained by
us for a few epochs on binarised images, so that it has a real posterior, and its weights are copied into pythae's `VAE`
with pythae's own default networks. Then:

- values: pythae's `get_nll` draws the noise that ours draws (its `_sample_gauss` is given it), so that the two
  values differ by rounding only; and once more with its own noise, so that they differ by the Monte Carlo error;
- speed: both estimate the same images in turns, A B C, A B C, … after a round that warms up. pythae is timed as its
  defaults are (100 draws at once, which it encodes anew for each), and with all draws at once and no gradients kept.
  The tracing of our graph, a second once a model, falls into the round that warms up.

A figure is the median over the rounds of the ratio within a round; the load of the machine is part of the result.
Where others use the machine, PyTorch's threads wait for each other, and the ratio flatters us: then `taskset -c 0`
gives every side one thread, and the processor time, which counts no waiting for others, stands beside the rate.
"""

import argparse
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from benchmarks.measuring import OURS, in_range, machine, progress, publish, spread
from tfvae.errors import UserError

LATENT, HIDDEN, SIDE = 16, 512, 28
SEED = 0


def main(options: argparse.Namespace) -> None:
    """Runs the comparison, prints the table, and writes `-o`."""
    if not (find_spec("pythae") and find_spec("torch")):
        raise UserError("pythae is needed: pip install torch, then pip install --no-deps pythae pydantic imageio.")
    facts = run(options.data, options.count, options.k, options.epochs, options.rounds)
    publish(facts, table(facts), options.words, options.out)


def run(source: str, count: int, k: int, epochs: int, rounds: int) -> dict[str, Any]:
    """The facts: the machine, the values of both sides, and the speed of every side."""
    import numpy as np
    import torch

    from benchmarks.measuring import Contender, alternate, cores

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    torch.set_num_threads(cores())
    progress(f"training on {source}")
    ours, images, config = trained(source, count, epochs)
    theirs, pixels = pythae_model(ours), torch.from_numpy(binarised(images, config))
    turns: dict[str, Callable[[], float]] = {
        OURS: lambda: our_values(ours, images, config, k).mean(),
        "pythae get_nll, as it is": lambda: -theirs.get_nll(pixels, k),
        "pythae get_nll, batch_size=k, no_grad": lambda: -without_gradients(theirs, pixels, k),
    }
    found: dict[str, list[float]] = {name: [] for name in turns}
    processor: dict[str, list[float]] = {name: [] for name in turns}

    def timed(name: str) -> Callable[[], float]:
        def turn() -> float:
            started, processor_started = time.perf_counter(), time.process_time()
            found[name].append(float(turns[name]()))
            processor[name].append(1000 * (time.process_time() - processor_started) / len(images))
            return len(images) / (time.perf_counter() - started)

        return turn

    rates = alternate([Contender(name, "nll", timed(name)) for name in turns], rounds, progress)
    progress("")
    busy = {name: np.array(values[1:]) for name, values in processor.items()}  # without the round that warms up
    mine, same_noise = our_values(ours, images, config, k), pythae_values(theirs, pixels, k, our_noise(ours, pixels, k))
    return {
        **machine(("keras", "numpy", "torch", "pythae")),
        "cores": cores(),
        "load_at_start": load,
        "settings": {"data": source, "images": len(images), "k": k, "epochs": epochs, "rounds": rounds},
        "nats": {
            OURS: float(mine.mean()),
            "pythae, our noise": float(same_noise.mean()),
            "largest difference of one image, same noise": float(np.abs(mine - same_noise).max()),
            **{f"{name}, own noise": values for name, values in found.items() if name != OURS},
        },
        "images_per_second": [
            {"name": name, **spread(rates[:, place]), "rounds": rates[:, place].tolist()}
            | {"tfvae_is": spread(rates[:, 0] / rates[:, place])}
            | {"processor_ms_per_image": spread(busy[name]), "tfvae_needs_less": spread(busy[name] / busy[OURS])}
            for place, name in enumerate(turns)
        ],
    }


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text."""
    settings, nats = facts["settings"], facts["nats"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"{facts['cpu']}, {facts['cores']} cores, load {facts['load_at_start']:.1f} at the start; {versions}",
        f"{settings['images']} binarised images of {settings['data']}, k = {settings['k']}; median of "
        f"{settings['rounds']} alternating rounds (lowest – highest)",
        "",
        f"{'':40}{'images/s':>10}   {'tfvae is':26}{'processor ms/image':>20}   tfvae needs less by",
    ]
    for row in facts["images_per_second"]:
        faster, less = (f"{in_range(row[name], '.2f')} ×" for name in ("tfvae_is", "tfvae_needs_less"))
        busy = row["processor_ms_per_image"]["median"]
        lines.append(f"  {row['name']:38}{row['median']:10,.1f}   {faster:26}{busy:20.2f}   {less}")
    lines += ["", "-log p(x), nats per image:"]
    for name, value in nats.items():
        shown = f"{value:.5f}" if isinstance(value, float) else ", ".join(f"{one:.3f}" for one in value)
        lines.append(f"  {name:50}{shown}")
    return lines


def trained(source: str, count: int, epochs: int) -> tuple[Any, Any, Any]:
    """Our model after a few epochs, the held-out images it is measured on, and how they are prepared."""
    import keras
    import numpy as np

    import tfvae
    from tfvae.data import DataConfig, load, steps_per_epoch, training_batches

    config = DataConfig(source=source, height=SIDE, width=SIDE, channels=1, binarize=True, test=count)
    splits = load(config, seed=SEED)
    keras.utils.set_random_seed(SEED)
    shape: dict[str, Any] = {
        "image_shape": (SIDE, SIDE, 1),
        "latent_dim": LATENT,
        "network": "mlp",
        "widths": (HIDDEN,),
    }
    model = tfvae.VAE(tfvae.Encoder(**shape), tfvae.Decoder(**shape), seed=SEED)
    model.compile(keras.optimizers.Adam(1e-3))
    batches = training_batches(splits.train, 128, seed=SEED, config=config)
    model.fit(batches, steps_per_epoch=steps_per_epoch(splits.train, 128), epochs=epochs, shuffle=False, verbose=0)
    drawn = np.random.default_rng(SEED).permutation(len(splits.test))[:count]
    return model, splits.test.take(np.sort(drawn)), config


def pythae_model(ours: Any) -> Any:
    """pythae's `VAE` with its default networks and our weights."""
    import numpy as np
    import torch
    from pythae.models import VAE, VAEConfig

    shape = (1, SIDE, SIDE)
    model = VAE(VAEConfig(input_dim=shape, latent_dim=LATENT, reconstruction_loss="bce"))
    kernel, bias, head, head_bias = (variable.numpy() for variable in ours.encoder.trainable_variables)
    # Our encoder sees pixels less one half.
    bias = bias - 0.5 * kernel.sum(axis=0)
    encoder, decoder = model.encoder, model.decoder
    layers = {
        encoder.layers[0][0]: (kernel, bias),
        encoder.embedding: (head[:, :LATENT], head_bias[:LATENT]),
        encoder.log_var: (head[:, LATENT:], head_bias[LATENT:]),
    }
    up, up_bias, out, out_bias = (variable.numpy() for variable in ours.decoder.trainable_variables)
    layers |= {decoder.layers[0][0]: (up, up_bias), decoder.layers[1][0]: (out, out_bias)}
    with torch.no_grad():
        for layer, (weight, offset) in layers.items():
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight.T)))
            layer.bias.copy_(torch.from_numpy(offset))
    return model.eval()


def binarised(images: Any, config: Any) -> Any:
    """The pixels that ours is measured on, float32 `(n, 1, 28, 28)`."""
    import numpy as np

    from tfvae.data import evaluation_batches

    batches = [batch.numpy() for batch in evaluation_batches(images, 64, seed=SEED, config=config)]
    return np.ascontiguousarray(np.concatenate(batches).transpose(0, 3, 1, 2))


def our_values(model: Any, images: Any, config: Any, k: int) -> Any:
    """Our estimate for each image, nats, `(n,)`."""
    from tfvae.evaluation import marginal_likelihood

    return marginal_likelihood(model, images, data_config=config, k=k, seed=SEED).nll


def our_noise(model: Any, pixels: Any, k: int) -> Any:
    """The noise of `our_values`, float32 `(n, k, latent)`."""
    import numpy as np

    from tfvae.evaluation.marginal import noise_key, samples_at_once

    encoded = model.encode(pixels.numpy().transpose(0, 2, 3, 1))
    most = samples_at_once(k, SIDE, SIDE)

    def of_image(index: int) -> Any:
        starts = range(0, k, most)
        return np.concatenate(
            [
                model.posterior_noise(encoded, min(most, k - start), noise_key(SEED, index, number)).numpy()
                for number, start in enumerate(starts)
            ]
        )

    return np.stack([of_image(index) for index in range(len(pixels))])


def without_gradients(model: Any, pixels: Any, k: int) -> float:
    """pythae's value with all draws at once and no graph of gradients: log p(x), whatever its name says."""
    import torch

    with torch.no_grad():
        return model.get_nll(pixels, k, batch_size=k)


def pythae_values(model: Any, pixels: Any, k: int, noise: Any) -> Any:
    """pythae's -log p(x) of each image, its noise replaced by this, `(n,)`."""
    import numpy as np
    import torch

    values = []
    for index in range(len(pixels)):
        given = torch.from_numpy(noise[index])
        model._sample_gauss = lambda mean, std, given=given: (mean + given * std, given)
        values.append(-without_gradients(model, pixels[index : index + 1], k))
    del model._sample_gauss
    return np.array(values)
