"""Makes the files beside it; needs PyTorch (they were made with 2.14).

    python tests/data/torch_files/make_files.py

Networks are written as their programs have them; their parameters are random numbers
that the tests draw again, so that outputs alone need to be kept.
"""

import io
import pathlib
import zipfile

import numpy as np
import torch
from torch import nn
from torch.nn import functional

HERE = pathlib.Path(__file__).parent


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.conv1(torch.relu(self.conv0(torch.relu(x))))


class Sequence(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.res_block0 = Residual(n_out)
        self.res_block1 = Residual(n_out)

    def forward(self, x):
        x = functional.max_pool2d(self.conv(x), kernel_size=3, stride=2, padding=1)
        return self.res_block1(self.res_block0(x))


class Impala(nn.Module):
    """An agent for Procgen in the manner of CleanRL."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(
            *(Sequence(3, 16), Sequence(16, 32), Sequence(32, 32)),
            *(nn.Flatten(), nn.ReLU(), nn.Linear(2048, 256), nn.ReLU()),
        )
        self.actor = nn.Linear(256, 15)
        self.critic = nn.Linear(256, 1)

    def forward(self, x):
        hidden = self.network(x)
        return self.actor(hidden), self.critic(hidden)


class NatureFeatures(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(
            *(nn.Conv2d(3, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten()),
        )
        self.linear = nn.Sequential(nn.Linear(1024, 512), nn.ReLU())

    def forward(self, x):
        return self.linear(self.cnn(x))


class Nature(nn.Module):
    """A policy in the manner of Stable-Baselines3, which lists what is shared twice."""

    def __init__(self):
        super().__init__()
        self.features_extractor = NatureFeatures()
        self.pi_features_extractor = self.features_extractor
        self.action_net = nn.Linear(512, 15)
        self.value_net = nn.Linear(512, 1)

    def forward(self, x):
        hidden = self.features_extractor(x)
        return self.action_net(hidden), self.value_net(hidden)


class Small(nn.Module):
    """Enough convolutions for a network, and few numbers."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*(nn.Conv2d(2, 2, 1) for _ in range(3)))


class Heads(nn.Module):
    """Small agents of many kinds: convolutions, dense layers, heads by name."""

    def __init__(self, body, **heads):
        super().__init__()
        self.body = body
        for name, head in heads.items():
            setattr(self, name, head)

    def forward(self, x):
        hidden = self.body(x)
        logits = self.actor(hidden)
        value = self.critic(hidden)[:, 0] if hasattr(self, "critic") else logits.amax(1)
        return logits, value


def small_impala(n_features, n_channels=3, side=8):
    n_flat = 3 * side**2
    return nn.Sequential(
        *(Sequence(n_channels, 2), Sequence(2, 3), Sequence(3, 3)),
        *(nn.ReLU(), nn.Flatten(), nn.Linear(n_flat, n_features), nn.ReLU()),
    )


def small_nature(n_channels, n_flat, norm=False):
    layers = []
    for n_in, size, stride in ((n_channels, 8, 4), (4, 4, 2), (4, 3, 1)):
        layers += [nn.Conv2d(n_in, 4, size, stride, bias=not norm)]
        layers += [nn.BatchNorm2d(4)] if norm else []
        layers += [nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_flat, 8), nn.ReLU())


def small_agents():
    """Agents by the name of their file, and their observations' shapes."""
    return {
        "ppg": (
            Heads(
                small_impala(8),
                actor=nn.Linear(8, 5),
                critic=nn.Linear(8, 1),
                aux_critic=nn.Linear(8, 1),
            ),
            (64, 64, 3),
        ),
        "dqn": (Heads(small_nature(4, 4 * 7 * 7), actor=nn.Linear(8, 5)), (84, 84, 4)),
        "batch_norm": (
            Heads(
                small_nature(3, 4 * 8 * 8, norm=True),
                actor=nn.Linear(8, 5),
                critic=nn.Linear(8, 1),
            ),
            (96, 96, 3),
        ),
        "own_layers": (
            Heads(
                small_nature(1, 4 * 4 * 4),
                actor=nn.Sequential(
                    *(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 7), nn.Tanh()),
                    nn.Linear(7, 5),
                ),
                critic=nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1)),
            ),
            (64, 64, 1),
        ),
        # Pools of an odd number of pixels: 84, 42, 21, 11.
        "odd_pools": (
            Heads(
                small_impala(8, 12, 11), actor=nn.Linear(8, 5), critic=nn.Linear(8, 1)
            ),
            (84, 84, 12),
        ),
        "bound": (
            Heads(small_impala(4), actor=nn.Linear(4, 5), critic=nn.Linear(4, 1)),
            (64, 64, 3),
        ),
    }


def save_small_agents():
    outputs = {}
    rng = np.random.default_rng(2)
    for name, (agent, shape) in small_agents().items():
        fill(agent)
        for module in agent.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean = torch.as_tensor(rng.normal(size=4)).float()
                module.running_var = torch.as_tensor(rng.uniform(0.5, 2, 4)).float()
        agent.eval()
        observations = rng.integers(0, 256, (2, *shape)).astype(np.uint8)
        pixels = torch.as_tensor(observations).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            logits, value = agent(pixels)
        outputs[f"{name}_observations"] = observations
        outputs[f"{name}_logits"] = logits.numpy()
        outputs[f"{name}_value"] = value.numpy()
        saved = agent.state_dict()
        if name == "ppg":
            saved = nn.DataParallel(agent).state_dict()
        elif name == "dqn":
            saved = {f"_orig_mod.{key}": value for key, value in saved.items()}
        elif name == "bound":
            saved = agent.state_dict  # the parentheses forgotten
        torch.save(saved, HERE / f"{name}.pt")
    np.savez_compressed(HERE / "small_outputs.npz", **outputs)


def fill(module):
    """Draws parameters in their order, as tests/checkpoints/test_from_torch.py does."""
    rng = np.random.default_rng(0)
    for parameter in module.parameters():
        size = np.sqrt(2 / np.prod(parameter.shape[1:])) if parameter.ndim > 1 else 0.1
        values = (size * rng.normal(size=parameter.shape)).astype(np.float32)
        parameter.data = torch.as_tensor(values)


def main():
    observations = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3))
    pixels = torch.as_tensor(observations).permute(0, 3, 1, 2).float() / 255
    outputs = {"observations": observations.astype(np.uint8)}
    for name, module in (("impala_torch", Impala()), ("nature", Nature())):
        fill(module)
        with torch.no_grad():
            logits, value = module(pixels)
        outputs[f"{name}_logits"] = logits.numpy()
        outputs[f"{name}_value"] = value[:, 0].numpy()
    np.savez_compressed(HERE / "outputs.npz", **outputs)

    save_small_agents()
    small = Small()
    optimizer = torch.optim.Adam(small.parameters())
    small.body(torch.ones(1, 2, 1, 1)).sum().backward()
    optimizer.step()
    fill(small)
    states = small.state_dict()
    torch.save(states, HERE / "state_dict.pt")
    torch.save(states, HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(small, HERE / "module.pt")
    kinds = (torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.bool)
    numbers = {str(kind): torch.tensor([[0, 1], [3, -2]]).to(kind) for kind in kinds}
    turned = torch.arange(6.0).reshape(2, 3).T
    training = {
        "agent": {"weights": states},
        "optimizer": optimizer.state_dict(),
        "others": [
            numbers,
            turned,
            turned[1:],
            pathlib.PurePosixPath("a"),
            torch.Size([1]),
        ],
        "step": 7,
    }
    torch.save(training, HERE / "training.pt")
    nested = io.BytesIO()
    torch.save(states, nested)
    with zipfile.ZipFile(HERE / "stable_baselines3.zip", "w") as archive:
        archive.writestr("data", "{}")
        archive.writestr("policy.pth", nested.getvalue())


if __name__ == "__main__":
    main()
