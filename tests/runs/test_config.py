"""Configurations: from object to YAML and back, and what is refused on the way."""

from __future__ import annotations

import functools
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from tiny import HostToy, Tiny, tiny

from covey import algorithms, environments
from covey.algorithms.ddpg import DDPG
from covey.core.algorithm import Mixed, Scripted
from covey.core.errors import BadInput
from covey.core.types import Discrete, Spec, Table
from covey.runs import config as configs
from covey.runs.config import Config, Origin
from covey.runs.fields import Unwritable, decode, encode, listed


class Holder(eqx.Module):
    """A value to write."""

    value: object


def again(value, spec=None):
    """`value` through text (a file's worth of YAML) and back."""
    arrays = {}
    text = yaml.safe_dump(encode(Holder(value), spec, arrays))
    return decode(yaml.safe_load(text), spec, arrays).value


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, -0.1, 1e-5, float("inf"), "text", "1e-3", (), (1, (2.5, "x"), None), {}, {"a": {"b": (1,)}}),
        *([1, [2]], Discrete(3), Table({"x": Discrete(2)}), jnp.tanh, environments.make, Holder(Holder(1))),
    ],
    ids=lambda value: getattr(value, "__name__", None) or repr(value),  # the same in every process
)
def test_round_trip(value):
    assert again(value) == value


def test_round_trip_of_arrays():
    for array in (np.arange(3), jnp.ones((2, 2)), jnp.ones(2, jnp.bfloat16), np.float32(0.5), jnp.zeros((0, 3))):
        back = again(array)
        assert (back.shape, back.dtype, isinstance(back, jax.Array)) == (
            array.shape,
            array.dtype,
            isinstance(array, jax.Array),
        )
        np.testing.assert_array_equal(back, array)
    key = again(jax.random.key(5, impl="rbg"))
    assert jax.random.uniform(key) == jax.random.uniform(jax.random.key(5, impl="rbg"))


def test_round_trip_of_a_partial():
    back = again(functools.partial(jnp.clip, 1.5, max=2))
    assert (back.func, back.args, back.keywords) == (jnp.clip, (1.5,), {"max": 2})


def test_unwritable():
    for value in (lambda x: x, object(), {"type": 1}, {1: 2}):
        with pytest.raises(Unwritable):
            encode(value, None, {})


def test_listed_names_what_differs():
    def leaves(value):
        arrays = {}
        return listed(encode(Holder(value), None, arrays), arrays)

    one, two = leaves({"rate": 0.1, "bank": np.arange(3)}), leaves({"rate": 0.1, "bank": np.arange(3) + 1})
    assert [name for name in one if one[name] != two[name]] == [".value.bank"]


def made(id, world="toy/discrete", **settings):
    environment = environments.make(world)
    algorithm = algorithms.make(id, environment)
    return Config(algorithm, environment, Origin(world, {}, id), **settings)


@pytest.mark.parametrize("id", ["maddpg", "att-maddpg", "ps-maddpg", "matd3", "random", "optimal"])
def test_config_round_trip(tmp_path, id):
    config = made(id, steps=1000, seeds=3, evaluate_every=10)
    configs.write(config, tmp_path / "config.yaml")
    back = configs.read(tmp_path / "config.yaml")
    assert configs.fingerprint(back) == configs.fingerprint(config)
    assert configs.settings(back) == configs.settings(config)
    assert eqx.tree_equal(back.algorithm, config.algorithm)


class Plain:
    """An environment that is no record, so that only its options say what it is."""

    def __init__(self, inner):
        self.spec, self.reset, self.step = inner.spec, inner.reset, inner.step


@pytest.mark.parametrize("options", [{"bonus": 0.5}, {}])
def test_options_of_environments_that_cannot_be_written_count(options):
    world = Plain(environments.make("toy/discrete"))
    algorithm = algorithms.make("random", world)
    one, other, again = (
        configs.fingerprint(Config(algorithm, world, Origin("mine:make", given, "random"), steps=1))
        for given in ({"bonus": 0.25, "sizes": (1, 2)}, options, {"sizes": [1, 2], "bonus": 0.25})
    )
    assert one != other
    assert one == again


def test_config_of_objects_round_trip(tmp_path):
    world = environments.make("toy/discrete", bonus=0.25)
    rate = jnp.float32([0.1, 0.2])  # an array where a float could be: it goes aside
    parts = {"a": Tiny(world.spec, ("a",), rate=rate), "b": algorithms.make("optimal", world, groups=("b",))}
    config = Config(Mixed(parts), world, steps=10)
    configs.write(config, tmp_path / "config.yaml")
    assert (tmp_path / "config.npz").exists()
    back = configs.read(tmp_path / "config.yaml")
    assert eqx.tree_equal(back.algorithm, config.algorithm)
    assert back.environment == world
    assert back.algorithm.groups == ("a", "b")


def test_worlds_and_rules_that_cannot_be_written(tmp_path):
    world = HostToy(1)
    configs.write(Config(tiny(world.spec), world), tmp_path / "config.yaml")
    with pytest.raises(BadInput, match="pass it as `environment=`"):
        configs.read(tmp_path / "config.yaml")
    assert configs.read(tmp_path / "config.yaml", world).algorithm == tiny(world.spec)

    world = environments.make("toy/discrete")
    closure = Scripted(world.spec, ("a", "b"), lambda now, key: dict(now.obs))
    configs.write(Config(closure, world), tmp_path / "config.yaml")
    with pytest.raises(BadInput, match="does not hold its algorithm"):
        configs.read(tmp_path / "config.yaml")


def test_config_by_hand(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("environment: {id: toy/discrete, options: {time_limit: 5}}\nalgorithm: maddpg\nsteps: 1e4\n")
    config = configs.read(path)
    assert (config.steps, config.environment.time_limit, config.origin.algorithm) == (10_000, 5, "maddpg")
    path.write_text("environment: toy/discrete\nalgorithm: {id: att-maddpg, preset: paper}\n")
    config = configs.read(path)
    assert config.algorithm == algorithms.make("att-maddpg", config.environment, preset="paper")


GOOD = {"environment": "toy/discrete", "algorithm": "random"}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "is not valid YAML"),
        ("3", "must be a mapping"),
        ({"environment": "toy/discrete"}, "lacks the entry 'algorithm'"),
        (GOOD | {"sed": 1}, "the entry 'sed' is unknown; did you mean 'seed'"),
        (GOOD | {"steps": "many"}, "the entry 'steps' must be a whole number, got 'many'"),
        (GOOD | {"steps": True}, "the entry 'steps' must be a whole number, got True"),
        (GOOD | {"seeds": 0}, "`seeds` must be at least 1"),
        (GOOD | {"chunk": 1.5}, "must be a whole number or nothing"),
        (GOOD | {"format": 2}, "has format 2"),
        (GOOD | {"environment": "toy/discreet"}, "did you mean 'toy/discrete'"),
        (GOOD | {"environment": {"id": "toy/graph", "options": [1]}}, "`options` must be a mapping"),
        (GOOD | {"environment": 3}, "does not hold its environment"),
        (GOOD | {"algorithm": 3}, "does not hold its algorithm"),
        (GOOD | {"algorithm": "randon"}, "did you mean 'random'"),
        (GOOD | {"algorithm": {"object": {"type": "no.module:X"}}}, "names 'no.module:X', code of the module"),
        (GOOD | {"algorithm": {"object": {"type": "os:system"}}}, "names 'os:system', code of the module 'os'"),
        (GOOD | {"algorithm": {"object": {"type": "covey.core.types:Space"}}}, "names 'covey.core.types:Space'"),
        (GOOD | {"algorithm": {"object": {"type": "covey.core.algorithm:Algorithm"}}}, "is not a record"),
        (GOOD | {"algorithm": {"object": {"type": "covey.core.types:Discrete", "n": 2}}}, "not an algorithm but"),
        (GOOD | {"algorithm": {"object": {"type": "covey.core.types:Discrete"}}}, "lacks the field 'n'"),
        (GOOD | {"algorithm": {"object": {"array": "weights"}}}, "the array 'weights' is missing"),
    ],
)
def test_bad_documents(tmp_path, document, words):
    path = tmp_path / "run.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    with pytest.raises(BadInput, match=re.escape(words)):
        configs.read(path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("gama", 0.9, "of DDPG the field 'gama' is unknown; did you mean 'gamma'"),
        ("gamma", "high", "the field 'gamma' of DDPG must be a number, got 'high'"),
        ("width", 2.5, "the field 'width' of DDPG must be a whole number, got 2.5"),
        ("width", 0, "`width` must be at least 1"),
        ("twin", 1, "the field 'twin' of DDPG must be true or false, got 1"),
        ("teammates", "foes", "must be one of 'current', 'replayed', 'joint', got 'foes'"),
        ("groups", 3, "must be a tuple"),
    ],
)
def test_bad_fields(tmp_path, field, value, words):
    path = tmp_path / "run.yaml"
    configs.write(made("maddpg"), path)
    document = yaml.safe_load(path.read_text())
    document["algorithm"]["object"][field] = value
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(BadInput, match=re.escape(words)):
        configs.read(path)


def test_numbers_as_people_write_them(tmp_path):
    path = tmp_path / "run.yaml"
    configs.write(made("maddpg"), path)
    path.write_text(re.sub(r"actor_lr: \S+", "actor_lr: 1e-4", path.read_text()).replace("gamma: 0.95", "gamma: 1"))
    algorithm = configs.read(path).algorithm
    assert isinstance(algorithm, DDPG)
    assert (algorithm.actor_lr, algorithm.gamma) == (1e-4, 1.0)
    assert isinstance(algorithm.gamma, float)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(BadInput, match="cannot be read: no such file"):
        configs.read(tmp_path / "none.yaml")
    path = tmp_path / "run.yaml"
    configs.write(made("random"), path)
    path.with_suffix(".npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BadInput, match="the arrays in"):
        configs.read(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("algorithm: {id: mappo, gamma: 0.9}", "the algorithm has no entry 'gamma', only id, preset, settings, object"),
        ("algorithm: {id: mappo, options: {gamma: 0.9}}", "the algorithm has no entry 'options'"),
        ("algorithm: {id: mappo, presett: paper}", "the algorithm has no entry 'presett'"),
        ("algorithm: {preset: paper}", "does not hold its algorithm"),
        ("algorithm: {id: mappo, preset: 3}", "the algorithm's `preset` must be text, got 3"),
        ("algorithm: {id: mappo, settings: {gama: 0.9}}", "gama"),
        ("algorithm: {id: mappo, settings: {gamma: high}}", "gamma"),
        ("algorithm: {id: mappo, settings: {1: 2}}", "settings"),
        ("algorithm: {id: mappo, settings: 0.9}", "the algorithm's `settings` must be a mapping, got 0.9"),
        ("algorithm: {id: 3}", "does not hold its algorithm"),
        ("algorithm: [mappo]", "does not hold its algorithm"),
        (
            "environment: {id: toy/discrete, time_limit: 3}",
            "the environment has no entry 'time_limit', only id, options",
        ),
        ("environment: {id: toy/discrete, option: {time_limit: 3}}", "the environment has no entry 'option'"),
        ("environment: {id: toy/discrete, options: 3}", "`options` must be a mapping of names, got 3"),
        ("environment: {id: toy/discrete, options: {time-limit: 3}}", "the option 'time-limit' is unknown"),
        ("environment: {id: toy/discrete, options: {time_limit: 3, time_limit: 4}}", "'time_limit' is given twice"),
        ("environment: {options: {time_limit: 3}}", "the environment has no entry 'options', only name, object"),
        ("steps: 100\nsteps: 200", "the name 'steps' is given twice (line 2)"),
        ("steps: 100\n'steps': 200", "the name 'steps' is given twice"),
        ("gamma: 0.9", "the entry 'gamma' is unknown"),
        ("time_limit: 3", "the entry 'time_limit' is unknown"),
    ],
)
def test_settings_that_would_be_dropped(tmp_path, text, words):
    """Whatever a hand-written configuration says is used, or refused in one sentence."""
    rest = {name: value for name, value in GOOD.items() if not text.startswith(name)}
    path = tmp_path / "run.yaml"
    path.write_text(text + "\n" + yaml.safe_dump(rest))
    with pytest.raises(BadInput, match=re.escape(words)):
        configs.read(path)


def test_settings_by_hand(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "environment: toy/discrete\n"
        "algorithm: {id: maddpg, preset: paper, settings: {gamma: 0.9, critic: {width: 32}, replay.capacity: 2e4}}\n"
    )
    algorithm = configs.read(path).algorithm
    assert isinstance(algorithm, DDPG)
    assert (algorithm.gamma, algorithm.critic.width, algorithm.replay.capacity) == (0.9, 32, 20_000)


def test_numbers_of_options_without_types(tmp_path, monkeypatch):
    (tmp_path / "untyped_maker.py").write_text(
        "from covey.environments.toy import discrete\n"
        "def make_env(bonus=0.0, time_limit=8):\n"
        "    assert (bonus, type(bonus), time_limit) == (0.001, float, 5)\n"
        "    return discrete(bonus=bonus, time_limit=time_limit)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "run.yaml"
    path.write_text(
        "environment: {id: 'untyped_maker:make_env', options: {bonus: 1e-3, time_limit: 5}}\n"
        "algorithm: random\n"
        "steps: 1e4\n"
    )
    assert configs.read(path, trust=True).steps == 10_000


def test_spec_is_not_written_but_filled_in(world):
    spec: Spec = world.spec
    tree = encode(tiny(spec), spec, {})
    assert "spec" not in tree
    assert decode(tree, spec, {}) == tiny(spec)
