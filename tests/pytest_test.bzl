"""A test file as a target."""

load("@pypi//:requirements.bzl", "requirement")
load("@rules_python//python:defs.bzl", "py_test")

def pytest_test(file):
    """Declares a test that runs one file under pytest.

    Args:
        file: its path from here; the target's name is that without ".py".
    """
    py_test(
        name = file[:-len(".py")],
        size = "large",
        srcs = [
            file,
            "run_pytest.py",
        ],
        args = ["$(rootpath %s)" % file],
        data = ["//:repository"],
        main = "run_pytest.py",
        deps = [
            ":support",
            requirement("pytest"),
        ],
    )
