"""covey's own source texts give what the environments' rules and rewards give, in every view."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import covey
from covey.authored.contract import contract_of, there
from covey.authored.functions import read_authored
from covey.authored.gates import trace_in_cage
from covey.authored.handwritten import SOURCES
from covey.authored.limits import Limits
from covey.authored.report import Report
from covey.environments.assembly.rewards import reward
from covey.environments.assembly.rules import prior
from covey.environments.assembly.sensing import views
from covey.environments.navigation import Navigation
from covey.environments.plane import GreedyPursuit


def traced(environment, isolated):
    contract = contract_of(environment)
    report = Report(contract.environment, contract.name)
    document = trace_in_cage(SOURCES[contract.environment], contract, Limits(), isolated, report)
    return read_authored(document, contract)


def random_fields(environment, count, scale, seed=0):
    """Observations of `count` agents by field, with entries that are not there (zeros)."""
    (group,) = environment.spec.groups.values()
    rng = np.random.default_rng(seed)
    fields = {}
    for field in group.obs:
        rows = rng.normal(0.0, scale, (count, *field.shape))
        here = rng.random((count, *field.shape[:-1], 1)) < 0.7
        fields[field.name] = jnp.asarray(np.where(here, rows, 0.0), jnp.float32)
    return fields


def also(**options):
    return pytest.param(options, marks=pytest.mark.slow)


@pytest.mark.parametrize("options", [{}, also(robots=5, collision_radius=0.2, tolerance=0.3)])
def test_assembly(options, isolated):
    environment = covey.make("assembly", **options)
    own = traced(environment, isolated)
    fields = random_fields(environment, 4_000, 0.15)
    (group,) = environment.spec.groups.values()
    seen = fields | there(group, fields)
    view, p = views(fields), environment.constants()
    found = jax.vmap(own.prior_policy)(seen)
    wanted = jax.vmap(prior, (0, None))(view, p["avoid"])
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert np.mean(np.abs(wanted) < 1.0) > 0.02
    found, goals = jax.vmap(own.reward)(seen)
    wanted = jax.vmap(lambda view: reward(view, p["avoid"], p["reach"], p["tolerance"], "llm"))(view)
    np.testing.assert_array_equal(found, wanted)
    assert 0 < np.mean(wanted) < 1
    np.testing.assert_array_equal(found, goals["apart"] * goals["centered"] * goals["entered"])


@pytest.mark.parametrize("options", [{}, also(agents=5, landmarks=2, unit=3.0, speed=1.0), also(agents=1)])
def test_navigation(options, isolated):
    environment: Navigation = covey.make("navigation", **options)
    own = traced(environment, isolated)
    fields = random_fields(environment, 2_000, 0.2)
    (group,) = environment.spec.groups.values()
    obs = jnp.concatenate([fields[field.name].reshape(2_000, -1) for field in group.obs], axis=1)
    rule = GreedyPursuit(environment.speed, environment.unit, environment.spec, "agent", "landmarks")

    class Now:
        def __init__(self, obs):
            self.obs = {"agent": obs}

    wanted = rule(Now(obs), None)["agent"]  # type: ignore[arg-type]
    np.testing.assert_allclose(jax.vmap(own.prior_policy)(fields), wanted, atol=1e-5)
    found, goals = jax.vmap(own.reward)(fields)
    near = np.linalg.norm(environment.unit * fields["landmarks"], axis=-1).min(1) <= environment.speed
    np.testing.assert_array_equal(goals["covered"], near)
    np.testing.assert_array_equal(found, goals["covered"] * goals["alone"])


def test_constants_are_those_of_the_environment():
    assert covey.make("assembly").constants() == {"avoid": 0.2, "reach": 0.4, "tolerance": 0.05}
    assert covey.make("navigation", unit=2.0).constants() == {"speed": 0.25, "unit": 2.0}
