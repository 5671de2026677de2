"""Makes the ONNX files of this folder and their outputs; needs torch and onnxruntime.

    python make_files.py

Each is a small network of random weights in the style of a known library, exported by
PyTorch. `outputs.npz` holds what onnxruntime computes of `observations`.
"""

import pathlib

import numpy as np
import onnxruntime
import torch
from torch import nn

FOLDER = pathlib.Path(__file__).parent


class Nature(nn.Module):
    """Stable-Baselines3's CnnPolicy: stacked frames, channels first, 0 to 255."""

    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(4, 6, 8, 4),
            nn.ReLU(),
            nn.Conv2d(6, 8, 4, 2),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, 1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.linear = nn.Sequential(nn.Linear(8 * 49, 16), nn.ReLU())
        self.action_net = nn.Linear(16, 5)
        self.value_net = nn.Linear(16, 1)

    def forward(self, x):
        hidden = self.linear(self.cnn(x / 255.0))
        return self.action_net(hidden), self.value_net(hidden)


class Residual(nn.Module):
    """A residual block of IMPALA."""

    def __init__(self, channels):
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.conv1(torch.relu(self.conv0(torch.relu(x))))


class Impala(nn.Module):
    """CleanRL's agent for Procgen: channels last, IMPALA."""

    def __init__(self):
        super().__init__()
        layers, before = [], 3
        for channels in (4, 6, 6):
            layers += [
                nn.Conv2d(before, channels, 3, padding=1),
                nn.MaxPool2d(3, 2, padding=1),
                Residual(channels),
                Residual(channels),
            ]
            before = channels
        self.network = nn.Sequential(
            *layers, nn.Flatten(), nn.ReLU(), nn.Linear(6 * 64, 16), nn.ReLU()
        )
        self.actor = nn.Linear(16, 15)
        self.critic = nn.Linear(16, 1)

    def forward(self, x):
        hidden = self.network(x.permute((0, 3, 1, 2)) / 255.0)
        return self.actor(hidden), self.critic(hidden).squeeze(-1)


class Normalized(nn.Module):
    """Normalization, grouped and dilated convolutions, pools, GELU; [0, 1]."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 5, 2, padding=2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3, padding=1, groups=4),
            nn.ReLU(),
            nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
            nn.Conv2d(8, 8, 3, dilation=2),
            nn.LeakyReLU(0.1),
        )
        self.norm = nn.LayerNorm(16)
        self.dense = nn.Linear(16, 16)
        self.actor = nn.Linear(16, 3)
        self.critic = nn.Linear(16, 1)

    def forward(self, x):
        maps = self.body(x)
        pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        hidden = nn.functional.gelu(self.dense(self.norm(pooled)))
        return self.critic(torch.tanh(hidden)), self.actor(hidden)


class Quality(nn.Module):
    """A Q-network with one output."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(1, 4, 4, 4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * 49, 16),
            nn.ReLU(),
            nn.Linear(16, 6),
        )

    def forward(self, x):
        return self.network(x)


NETWORKS = {
    "nature": (Nature, (4, 84, 84), 255.0, ("logits", "value")),
    "impala": (Impala, (64, 64, 3), 255.0, ("logits", "value")),
    "normalized": (Normalized, (3, 48, 40), 1.0, ("critic", "actor")),
    "quality": (Quality, (1, 28, 28), 1.0, ("q_values",)),
}


def main():
    """Writes the files."""
    torch.manual_seed(0)
    arrays = {}
    for name, (make, shape, scale, outputs) in NETWORKS.items():
        network = make()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
        network.eval()
        pixels = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
        inputs = pixels.astype(np.float32) / (255.0 / scale)
        path = FOLDER / f"{name}.onnx"
        torch.onnx.export(
            network,
            (torch.from_numpy(inputs),),
            str(path),
            input_names=["observations"],
            output_names=list(outputs),
            dynamic_axes={"observations": {0: "batch"}},
            dynamo=False,
            opset_version=17,
        )
        session = onnxruntime.InferenceSession(str(path))
        results = session.run(None, {"observations": inputs})
        last = pixels if name == "impala" else pixels.transpose(0, 2, 3, 1)
        arrays[f"{name}/observations"] = last
        for output, result in zip(outputs, results, strict=True):
            arrays[f"{name}/{output}"] = result
    np.savez_compressed(FOLDER / "outputs.npz", **arrays)


if __name__ == "__main__":
    main()
