"""Installs lucid_rl.

Dependencies are chosen so that plain pip resolves them on Python 3.10 to 3.12;
the reasons are in docs/dependencies.md.
"""

import pathlib

import setuptools

_ROOT = pathlib.Path(__file__).parent
_VERSION = {}
exec((_ROOT / "lucid_rl" / "version.py").read_text(), _VERSION)

_INSTALL_REQUIRES = [
    "absl-py>=2.0",
    # Earlier releases let object arrays past an allow-list of classes.
    "joblib>=1.6",
    "lucid>=0.3.8",
    "matplotlib>=3.7",
    "numba>=0.60",
    # procgen and lucid were written for numpy 1.
    "numpy>=1.26,<2",
    "pillow>=10",
    "pooch>=1.8",
    'procgen>=0.10.7; python_version < "3.11"',
    'procgen-mirror>=0.10.7; python_version >= "3.11"',
    "scikit-learn>=1.4",
    "scipy>=1.11",
    "statsmodels>=0.14",
    "tensorboard>=2.16",
    "tensorflow>=2.16",
    "tqdm>=4.66",
]

_EXTRAS_REQUIRE = {
    # jax 0.8 asks for numpy 2, which procgen and lucid do not take.
    "jax": ["jax>=0.4.30,<0.8"],
    "ray": ["ray>=2.9"],
    # Replays as .mp4; as .gif they need nothing more.
    "video": ["imageio-ffmpeg>=0.3"],
    "dev": [
        # Carries axe-core, so that the page's accessibility is tested without Node.
        "axe-playwright-python>=0.1.4",
        "hypothesis>=6.100",
        "imageio-ffmpeg>=0.3",
        # The notebook of docs/notebooks, executed from start to end.
        "ipykernel>=6.29",
        "mypy>=1.10",
        "nbclient>=0.10",
        "nbformat>=5.9",
        "playwright>=1.45",
        "pytest>=8",
        "pytest-xdist>=3.5",
        "ruff>=0.6",
    ],
}

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
    packages=setuptools.find_packages(include=["lucid_rl", "lucid_rl.*"]),
    package_data={"lucid_rl": ["py.typed", "**/data/*", "**/static/*"]},
    python_requires=">=3.10,<3.13",
    install_requires=_INSTALL_REQUIRES,
    extras_require=_EXTRAS_REQUIRE,
)
