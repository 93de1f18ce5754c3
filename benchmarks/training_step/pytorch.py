"""The same network in PyTorch, trained the way its tutorials do: `TensorDataset`, `DataLoader`, Adam.

Its numbers of weights and multiplications are those of the other sides. Padding differs by a pixel where "same"
padding is uneven, which changes neither. The loss is taken on log-odds, PyTorch's own faster and safer form, and no
running means are kept. Besides PyTorch's default layout there is a side in `channels_last`, which its own guides
recommend for convolutions.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class VAE(nn.Module):
    """Images `(batch, 1, 28, 28)` to the loss: mean over the batch of distortion + rate, nats."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(7 * 7 * 64, 16),
            nn.ReLU(),
        )
        self.mean, self.log_var = nn.Linear(16, 2), nn.Linear(16, 2)
        self.decoder = nn.Sequential(
            nn.Linear(2, 7 * 7 * 64),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3, padding=1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.encoder(images)
        mean, log_var = self.mean(features), self.log_var(features)
        logits = self.decoder(mean + torch.exp(0.5 * log_var) * torch.randn_like(mean))
        distortion = functional.binary_cross_entropy_with_logits(logits, images, reduction="sum")
        rate = 0.5 * torch.sum(mean**2 + torch.exp(log_var) - 1 - log_var)
        return (distortion + rate) / len(images)


class Trainer:
    """A model, its optimiser and a step; `compiled` puts `torch.compile` around the model."""

    def __init__(self, device: str, threads: int, compiled: bool = False, channels_last: bool = False):
        torch.set_num_threads(threads)
        self.device = torch.device(device)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        module: Any = VAE()  # Any: PyTorch's stubs do not know the argument below.
        self.module = module.to(self.device, memory_format=self.layout)
        self.loss = torch.compile(self.module) if compiled else self.module
        self.optimizer = torch.optim.Adam(self.module.parameters())

    def step(self, images: torch.Tensor) -> torch.Tensor:
        """One step on images that may still be elsewhere; returns the loss, on the device."""
        images = images.to(self.device, memory_format=self.layout)
        self.optimizer.zero_grad()
        loss = self.loss(images)
        loss.backward()
        self.optimizer.step()
        return loss
