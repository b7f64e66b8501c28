"""At play: a prior that heads for its goal beats chance, one that flees does not, and rewards tell them apart."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms.prior import Prior
from covey.authored.encoding import encode
from covey.authored.functions import Authored
from covey.authored.limits import Limits
from covey.authored.program_reader import read_program
from covey.authored.refusal import Refused
from covey.authored.rule import as_rule
from covey.authored.trial import demand_useful, trial
from covey.runs.evaluate import evaluate


def authored(contract, sign=1.0, near=1.0):
    """A prior that goes to (or from) the nearest landmark, and a reward within `near` of one."""
    names = [field.name for field in contract.view]

    def prior(*values):
        gap = 10.0 * values[names.index("landmarks")]
        distance = jnp.sqrt((gap**2).sum(-1) + 1e-12)
        return [sign * gap[distance.argmin()] * jnp.minimum(1.0, 0.25 / distance.min())]

    def reward(*values):
        distance = jnp.sqrt((values[names.index("landmarks")] ** 2).sum(-1)) * 10.0
        return [jnp.where((distance.min() < near) == (near > 0), 1.0, 0.0)]

    shapes = [jax.ShapeDtypeStruct(kind.shape, kind.dtype) for kind in contract.inputs]
    traced = {"prior_policy": prior, "reward": reward}
    documents = {name: encode(jax.make_jaxpr(function)(*shapes)) for name, function in traced.items()}
    programs = {name: read_program(document, Limits()) for name, document in documents.items()}
    return Authored(contract, documents, programs, ())


@pytest.fixture(scope="module")
def found(navigation, contract):
    return trial(navigation, authored(contract), jax.random.key(0), lanes=32)


def test_a_good_prior_is_useful(found):
    assert found.prior_return > found.random_return + 0.5
    assert found.prior_reward > found.random_reward
    assert found.preferred > 0.9
    assert found.prior_measures["distance"] < found.random_measures["distance"]
    demand_useful(found)


USELESS = {
    "a prior that flees": ({"sign": -1.0}, "it has to beat it"),
    "a reward for everybody": ({"near": 20.0}, "ask for more"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("how", "words"), USELESS.values(), ids=USELESS)
def test_what_is_not_useful(how, words, navigation, contract):
    found = trial(navigation, authored(contract, **how), jax.random.key(0), lanes=32)
    with pytest.raises(Refused, match=words) as caught:
        demand_useful(found)
    assert caught.value.gate == "G6"


def test_a_reward_that_prefers_chance(found):
    with pytest.raises(Refused, match="prefers the prior"):
        demand_useful(found._replace(preferred=0.2))


def test_the_prior_is_a_rule_that_plays_and_guides(navigation, contract):
    """As good as the environment's own greedy rule, which it repeats; and a learner's prior."""
    rule = as_rule(authored(contract), navigation.spec)
    own = navigation.rules()["greedy-pursuit"]()
    key = jax.random.key(0)
    found, wanted = (
        evaluate(navigation, x, (), key, episodes=8).values["return/agent/mean_agent"] for x in (rule, own)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    _, now = navigation.reset(key)
    prior = Prior(policy=rule).with_guide(lambda name: own, ("agent",))
    advice, _ = jax.jit(lambda now: prior.act(navigation.spec, ("agent",), prior.memory(key), now, key, 0))(now)
    assert advice["agent"].shape == (3, 2)
