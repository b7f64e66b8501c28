"""Every algorithm in environments of JaxMARL, and what a run in one reports."""

from __future__ import annotations

import json
from functools import partial
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import covey
from covey import algorithms
from covey.algorithms import ALIASES, SELF_PLAY
from covey.core import loop
from covey.environments import make
from covey.testing import laws

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("jaxmarl") is None, reason="JaxMARL is not installed: `make test-jaxmarl`"),
]


@pytest.mark.parametrize("id", [id for id in ALIASES if id != "lamarl"])  # SMAX has no rule to guide it
def test_every_algorithm_learns_from_battles(id):
    """Until its first update, after which all parameters are finite; deaths and legal actions come with SMAX."""
    environment = make("jaxmarl:smax/3m")
    pair = laws.Pair(algorithms.make(id, environment), environment, seeds=1, lanes=2)
    run = pair.after(pair.idle + 1)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(pair.parameters(run.agent)))


def test_both_sides_of_a_battle():
    environment = make("jaxmarl:SMAX/3m")
    algorithm = algorithms.make(f"{SELF_PLAY}ippo", environment)
    run = jax.eval_shape(partial(loop.start, environment, algorithm, lanes=2), jax.random.split(jax.random.key(0), 1))
    jax.eval_shape(partial(loop.chunk, environment, algorithm), run, jax.ShapeDtypeStruct((), "int32"))


@pytest.mark.parametrize("law", [laws.law_dead, laws.law_split_chunks, laws.law_alone], ids=lambda law: law.__name__)
def test_laws(law):
    environment = make("jaxmarl:smax/3m")
    algorithm = algorithms.make("ippo", environment)
    law(laws.Pair(algorithm, environment))


def test_a_run_reports_battles_that_were_won(tmp_path):
    given: dict[str, Any] = {"steps": 512, "envs": 4, "episodes": 4, "quiet": True}
    small = {"horizon": 128, "width": 8, "minibatches": 1, "epochs": 1}
    covey.train("ippo", "jaxmarl:smax/3m", out=tmp_path / "run", settings=small, **given)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "world/won" in json.dumps(summary)
    policy = covey.load(tmp_path / "run")
    assert policy.environment.spec.name == "jaxmarl:smax/3m"
    more = {**given, "steps": 1024}
    covey.train("ippo", "jaxmarl:smax/3m", out=tmp_path / "run", resume=True, settings=small, **more)
