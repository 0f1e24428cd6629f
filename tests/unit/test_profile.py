from pathlib import Path

import pytest
import yaml

from yulan.errors import RecipeError
from yulan.layout import shipped
from yulan.profile import load_profile


def test_an_unknown_profile_gets_the_nearest_name():
    with pytest.raises(RecipeError, match=r"profiles: no profile named 'cpu2'\. Did you mean 'cpu-2'\?"):
        load_profile("cpu2")


def test_a_profile_of_ones_own_is_a_file(tmp_path: Path):
    raw = yaml.safe_load((shipped("profiles") / "cpu-2.yaml").read_text()) | {"threads": 3}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
    assert load_profile(str(tmp_path / "mine.yaml")).threads == 3


def test_an_unknown_key_of_a_profile_is_pointed_at(tmp_path: Path):
    raw = yaml.safe_load((shipped("profiles") / "cpu-2.yaml").read_text()) | {"learning_rate": 1}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(RecipeError, match="unknown key 'learning_rate'"):
        load_profile(str(tmp_path / "mine.yaml"))
