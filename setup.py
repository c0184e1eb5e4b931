"""The packages of the wheel: sleepkd, and the checkout's configs/ as sleepkd.configs. The rest is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["sleepkd", "sleepkd.*"]), "sleepkd.configs", "sleepkd.configs.datasets"],
    package_dir={"sleepkd.configs": "configs"},
)
