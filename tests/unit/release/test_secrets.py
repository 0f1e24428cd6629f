"""Every planted secret is found, whatever file it stands in; what only looks like one is let pass."""

import base64
import json
import random
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from yulan.release.gate.secrets import secrets_in

UP, LOW, DIGITS = string.ascii_uppercase, string.ascii_lowercase, string.digits
MIXED = UP + LOW + DIGITS


def draw(alphabet: str, length: int, lot: random.Random) -> str:
    """A value with each kind of character of its alphabet, so that no draw is a word."""
    while True:
        made = "".join(lot.choice(alphabet) for _ in range(length))
        if all(any(c in kind for c in made) for kind in (UP, LOW, DIGITS) if set(kind) & set(alphabet)):
            return made


def notebook(line: str) -> str:
    return json.dumps({"cells": [{"cell_type": "code", "source": [line + "\n"], "outputs": []}]})


def web(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


# Each is drawn when the test runs: no file of this project holds what looks like a secret.
Plant = Callable[[random.Random], str]
PLANTS: dict[str, Plant] = {
    "hub token": lambda r: f"HF_TOKEN=hf_{draw(MIXED, 34, r)}",
    "hub token in code": lambda r: f"login(token='hf_{draw(MIXED, 34, r)}')",
    "hub token in a card": lambda r: f"Use `hf_{draw(MIXED, 34, r)}` to download.",
    "hub token in .git/config": lambda r: f"\turl = https://user:hf_{draw(MIXED, 34, r)}@huggingface.co/a/b",
    "only a token in .git/config": lambda r: f"\turl = https://{draw(LOW + DIGITS, 40, r)}@git.example.org/a/b",
    "header in .git/config": lambda r: f"\textraheader = AUTHORIZATION: basic {web(draw(MIXED, 30, r))}",
    "GitHub": lambda r: f"GH=ghp_{draw(MIXED, 36, r)}",
    "GitHub, fine-grained": lambda r: f"x: github_pat_{draw(MIXED, 22, r)}_{draw(MIXED, 59, r)}",
    "GitLab": lambda r: f"glpat-{draw(MIXED, 20, r)}",
    "AWS id": lambda r: f"AKIA{draw(UP + DIGITS, 16, r)}",
    "AWS secret": lambda r: f"aws_secret_access_key = {draw(MIXED + '/+', 40, r)}",
    "AWS secret in JSON": lambda r: json.dumps({"SecretAccessKey": draw(MIXED + "/+", 40, r)}),
    "Google": lambda r: f"key={'AIza'}{draw(MIXED + '_-', 35, r)}",
    "Azure": lambda r: f"AccountKey={base64.b64encode(r.randbytes(64)).decode()}",
    "Azure address": lambda r: f"https://x.example.net/a?sv=2024&sig={draw(MIXED, 43, r)}%3D",
    "presigned address": lambda r: f"https://b.example.com/k?X-Amz-Signature={draw('0123456789abcdef', 64, r)}",
    "OpenAI": lambda r: f"sk-proj-{draw(MIXED, 48, r)}",
    "Anthropic": lambda r: f"sk-ant-api03-{draw(MIXED + '-_', 80, r)}",
    "Slack": lambda r: f"xoxb-{draw(DIGITS, 12, r)}-{draw(DIGITS, 12, r)}-{draw(MIXED, 24, r)}",
    "npm": lambda r: f"npm_{draw(MIXED, 36, r)}",
    "PyPI": lambda r: f"pypi-AgEIcHlwaS5vcmc{draw(MIXED, 80, r)}",
    "Weights and Biases": lambda r: f"WANDB_API_KEY: {draw('0123456789abcdef', 40, r)}",
    "Kaggle": lambda r: json.dumps({"username": "someone", "key": draw("0123456789abcdef", 32, r)}),
    "MLflow user in its address": lambda r: f"tracking_uri: https://someone:{draw(MIXED, 12, r)}@mlflow.example.org",
    "MLflow store": lambda r: f"postgresql+psycopg2://mlflow:{draw(MIXED, 9, r)}@db:5432/mlflow",
    "MLflow password": lambda r: f"export MLFLOW_TRACKING_PASSWORD={draw(MIXED, 12, r)}",
    "MLflow token": lambda r: f"MLFLOW_TRACKING_TOKEN={draw(MIXED, 32, r)}",
    "private key": lambda r: "-----BEGIN PRIVATE KEY-----",
    "private key in JSON": lambda r: json.dumps({"private_key": "-----BEGIN EC PRIVATE KEY-----\nMHc"}),
    "ssh key": lambda r: "-----BEGIN OPENSSH PRIVATE KEY-----",
    "PuTTY key": lambda r: "PuTTY-User-Key-File-3: ssh-ed25519",
    "JSON web key": lambda r: json.dumps({"kty": "EC", "crv": "P-256", "d": draw(MIXED + "-_", 43, r)}),
    "bearer": lambda r: f'-H "Authorization: Bearer {draw(MIXED, 24, r)}"',
    "JSON web token": lambda r: ".".join([web({"alg": "HS256"}), web({"sub": draw(MIXED, 9, r)}), draw(MIXED, 43, r)]),
    "netrc": lambda r: f"machine huggingface.co login someone password {draw(MIXED, 20, r)}",
    "on a command line": lambda r: f"yulan publish --token {draw(MIXED, 24, r)}",
    "in YAML": lambda r: f"api_key: {draw(LOW + DIGITS, 32, r)}",
    "in JSON": lambda r: json.dumps({"client_secret": draw(MIXED, 24, r)}),
    "in a notebook": lambda r: notebook(f'client.secret_key = "{draw(MIXED, 24, r)}"'),
    "hub token in a notebook": lambda r: notebook(f"!huggingface-cli login --token hf_{draw(MIXED, 34, r)}"),
    "without a name": lambda r: f'connect("db", "{draw(MIXED, 44, r)}")',
    "far into a long line": lambda r: "a " * 9_000 + f"hf_{draw(MIXED, 34, r)}" + " b" * 9_000,
    "a password that was chosen": lambda r: f"password: 'Sommer{r.randrange(2000, 2030)}!'",
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_secret_is_found(name: str):
    lot = random.Random(name)
    missed = [line for line in (PLANTS[name](lot) for _ in range(10)) if not list(secrets_in([line]))]
    assert not missed


HARMLESS = [
    '"eos_token": "<|endoftext|>", "pad_token": null, "bos_token_id": 1',
    '"tokenizer": "' + "2e52ce3d0936ae1f02e207ea05005a7a1ec6dac4177937e483867301d4d459d7" + '"',
    '{"path": "model.safetensors", "sha256": "' + "ab" * 32 + '", "size": 10}',
    "tokens: 109_000_000_000",
    "token_digest: " + "0123456789abcdef" * 4,
    "secret: ${HF_TOKEN}",
    "token=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "password: your-password-here1",
    "Set HF_TOKEN, or give --token-file FILE.",
    "author = {Yi-Wen Hu and Huatong Song}, year = {2024}",
    "authority: https://spdx.org/licenses/CC-BY-SA-4.0.html",
    "https://huggingface.co/datasets/yulan-nano/YuLan-Nano-data/resolve/main/README.md",
    "phase-03-short-step-000320,320,81920,phase-03-short-step-000320",
    "token 1024 of a window, secret of its success",
    "the password must have 12 characters",
    "passwords are 8 or more",
    "M 10.25,30.5 C 11.2,13.4 15.1,16.0 17.9,18.75",
    "Secret Agent 007 returns in 1997",
    'api_key: "<your key>"',
    "sk-learn 1.9.1, scikit-learn",
    "import secrets; token = secrets.token_urlsafe(32)",
    "commit 1f3870be274f6c49b3e31a0c6728957f3f1b4b2c",
]


@pytest.mark.parametrize("line", HARMLESS)
def test_what_only_looks_like_one_passes(line: str):
    assert not list(secrets_in([line]))


def test_the_scanner_alone_lacks_what_the_rules_of_entropy_add():
    """How many of the planted forms the list of detect-secrets knows: the reason for the rest."""
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import transient_settings

    from yulan.release.gate.secrets import PLUGINS

    with transient_settings({"plugins_used": [{"name": name} for name in PLUGINS]}):
        known = [name for name, plant in PLANTS.items() if list(scan_line(plant(random.Random(name))))]
    assert 0 < len(known) < len(PLANTS) / 2, known


def test_a_file_is_text_by_what_it_holds_and_a_binary_one_is_asked_what_it_says_of_itself(tmp_path: Path):
    from yulan.release.gate.bundle import Bundle
    from yulan.release.gate.judge import RULES, rule_on

    rule = next(each for each in RULES if each.id == "no-secrets")
    token = "hf_" + draw(MIXED, 34, random.Random(1))
    plants = {
        "run.ipynb": notebook(f"x = '{token}'").encode(),
        ".git/config": f"[remote]\n\turl = https://a:{token}@huggingface.co/a".encode(),
        "settings.toml": f"key = '{token}'\n".encode(),
        "mlflow.log": f"uri https://a:{token}@mlflow.example.org\n".encode(),
        "utf16.txt": f"token {token}\n".encode("utf-16"),
        "model.safetensors": b"\x40\0\0\0\0\0\0\0" + json.dumps({"__metadata__": {"login": token}}).encode() + b"\0" * 99,
    }
    for name, data in plants.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "noise.bin").write_bytes(random.Random(2).randbytes(200_000))
    told = rule_on(rule, Bundle(path=tmp_path)).evidence
    assert {row.split(":")[0].split(" ")[0] for row in told} == set(plants)
