"""Installs lucid_rl.

Dependencies are chosen so that plain pip resolves them on Python 3.10 to 3.12;
docs/architecture.md has more. Each has an upper bound: the next version that
may change its interface.
"""

import pathlib

import setuptools

_ROOT = pathlib.Path(__file__).parent
_VERSION = {}
exec((_ROOT / "lucid_rl" / "version.py").read_text(), _VERSION)

_INSTALL_REQUIRES = [
    "absl-py>=2.0,<3",
    "docstring-parser>=0.16,<1",
    # Earlier releases let object arrays past an allow-list of classes.
    "joblib>=1.6,<2",
    # Muon needs 3.13, which needs Python 3.11.
    "keras>=3.10,<4",
    "lazy-loader>=0.4,<1",
    "lucid>=0.3.8,<0.4",
    "matplotlib>=3.7,<4",
    "numba>=0.60,<1",
    # procgen and lucid were written for numpy 1.
    "numpy>=1.26,<2",
    "pillow>=10,<14",
    "pooch>=1.8,<2",
    'procgen>=0.10.7,<0.11; python_version < "3.11"',
    'procgen-mirror>=0.10.7,<0.11; python_version >= "3.11"',
    "requests>=2.30,<3",
    "scikit-learn>=1.4,<2",
    "scipy>=1.11,<2",
    "statsmodels>=0.14,<1",
    "tensorboard>=2.16,<3",
    "tensorflow>=2.16,<3",
    "tqdm>=4.66,<5",
    # Reads what has arrived, so that slow servers can be given up.
    "urllib3>=2.2,<3",
]

# What users add for what they do.
_EXTRAS_REQUIRE = {
    # Atari and other games of Gymnasium.
    "gymnasium": [
        "ale-py>=0.10,<1",
        "gymnasium>=1.1,<2",
        "opencv-python-headless>=4.8,<5",
    ],
    # Networks of any framework.
    "onnx": ["onnx>=1.16,<2"],
    # Training on a GPU. jax 0.8 asks for numpy 2, which procgen and lucid do not take.
    "jax": ["jax>=0.4.30,<0.8"],
    # Training and evaluation on several machines.
    "ray": ["ray>=2.9,<3"],
    # Replays as .mp4; as .gif they need nothing more.
    "video": ["imageio-ffmpeg>=0.3,<1"],
}

# Tests, checks and documents; the notebook is executed by nbclient and ipykernel.
_EXTRAS_REQUIRE["dev"] = [
    *(need for extra in _EXTRAS_REQUIRE.values() for need in extra),
    # Carries axe-core, so that the page's accessibility is tested without Node.
    "axe-playwright-python>=0.1.4,<1",
    "hypothesis>=6.100,<7",
    "ipykernel>=6.29,<8",
    "mypy>=1.10,<3",
    "nbclient>=0.10,<1",
    "nbformat>=5.9,<6",
    "pdoc>=14,<17",
    "playwright>=1.45,<2",
    "pytest>=8,<10",
    "pytest-xdist>=3.5,<4",
    "ruff>=0.6,<1",
]

setuptools.setup(
    name="lucid_rl",
    version=_VERSION["__version__"],
    description=(
        "Understanding RL Vision on current TensorFlow: attribution, NMF features, "
        "an interactive interface and model editing for vision-based RL agents."
    ),
    long_description=(_ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    # The scripts come along, for the command `lucid-rl <script>`.
    packages=[
        *setuptools.find_packages(include=["lucid_rl", "lucid_rl.*"]),
        "lucid_rl.scripts",
    ],
    package_dir={"lucid_rl.scripts": "scripts"},
    package_data={"lucid_rl": ["*.pyi", "py.typed", "**/data/*", "**/static/*"]},
    entry_points={"console_scripts": ["lucid-rl = lucid_rl.scripts.cli:main"]},
    python_requires=">=3.10,<3.13",
    install_requires=_INSTALL_REQUIRES,
    extras_require=_EXTRAS_REQUIRE,
)
