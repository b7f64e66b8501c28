"""Networks that remember: a sequence is its steps, one after the other."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.nn.nets import Linear
from covey.nn.recurrent import GRU, Net, Norm, carries, gates, orthogonal

LENGTH, LANES, SIZE, UNITS = 6, 3, 4, 5


def net(units=UNITS, **settings):
    return Net(jax.random.key(0), (SIZE, 7, 7, 2), units, **settings)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("units", [0, UNITS])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_sequence_is_its_steps(units, normalize):
    model = net(units, normalize=normalize)
    x = jax.random.normal(jax.random.key(1), (LENGTH, LANES, SIZE))
    fresh = jnp.zeros((LENGTH, LANES), bool).at[2, 0].set(True).at[4, 2].set(True)
    begin = jax.random.normal(jax.random.key(2), (LANES, units))
    carries, outputs = jax.jit(lambda *args: model.unroll(*args))(begin, x, fresh)
    carry, step = begin, jax.jit(lambda *args: model(*args))
    for t in range(LENGTH):
        carry = jnp.where(fresh[t][:, None], 0.0, carry)
        carry, output = step(carry, x[t])
        assert np.asarray(output) == pytest.approx(np.asarray(outputs[t]), abs=1e-6)
        assert np.asarray(carry) == pytest.approx(np.asarray(carries[t]), abs=1e-6)


@pytest.mark.parametrize("seeds", [(), (2,)])
def test_gradients_by_hand_are_those_of_its_steps(seeds):
    """Of weights, biases, the first carry and the inputs; under a map over seeds too."""

    def stepped(carried, carry, entered, fresh):
        after = []
        for t in range(LENGTH):
            carry = jnp.where(fresh[t][:, None], 0.0, carry)
            carry = gates(carry, entered[t], carried(carry))
            after.append(carry)
        return jnp.stack(after)

    def drawn(number, *shape):
        return jax.random.normal(jax.random.key(number), (*seeds, *shape))

    carried = Linear(drawn(0, 3 * UNITS, UNITS), drawn(1, 3 * UNITS))
    carry, entered = drawn(2, LANES, UNITS), drawn(3, LENGTH, LANES, 3 * UNITS)
    fresh = jnp.zeros((*seeds, LENGTH, LANES), bool).at[..., 0, 1].set(True).at[..., 3, 2].set(True)
    weight = drawn(4, LENGTH, LANES, UNITS)

    def gradients(unrolled):
        def loss(carried, carry, entered, fresh, weight):
            return (unrolled(carried, carry, entered, fresh) * weight).sum()

        of = jax.grad(loss, (0, 1, 2))
        return jax.jit(jax.vmap(of) if seeds else of)(carried, carry, entered, fresh, weight)

    for by_hand, plain in zip(jax.tree.leaves(gradients(carries)), jax.tree.leaves(gradients(stepped)), strict=True):
        assert np.asarray(by_hand) == pytest.approx(np.asarray(plain), rel=1e-4, abs=1e-5)


def test_the_unit_follows_its_equations():
    draw = np.random.default_rng(0)
    enter, carried = orthogonal(jax.random.key(3), (3 * UNITS, SIZE), (3 * UNITS, UNITS))
    carried = carried._replace(bias=jnp.asarray(draw.normal(size=3 * UNITS), jnp.float32))
    x, h = draw.normal(size=SIZE), draw.normal(size=UNITS)
    entered = np.asarray(enter.weight) @ x
    from_carry = np.asarray(carried.weight) @ h + np.asarray(carried.bias)
    (xr, xz, xn), (hr, hz, hn) = np.split(entered, 3), np.split(from_carry, 3)
    z, n = sigmoid(xz + hz), np.tanh(xn + sigmoid(xr + hr) * hn)
    unit = GRU(enter, carried)
    assert np.asarray(unit.advance(jnp.asarray(h), unit.enter(jnp.asarray(x)))) == pytest.approx(
        (1 - z) * n + z * h, abs=1e-5
    )


def test_weights_start_orthogonal():
    tall, wide, square = (np.asarray(x.weight) for x in orthogonal(jax.random.key(0), (60, 30), (30, 60), (64, 64)))
    assert tall.T @ tall == pytest.approx(np.eye(30), abs=1e-5)
    assert wide @ wide.T == pytest.approx(np.eye(30), abs=1e-5)
    assert square @ square.T == pytest.approx(np.eye(64), abs=1e-5)


def test_layers_start_with_their_gains():
    model = net(0, last=0.01)
    for layer, gain in zip([*model.hidden, model.final], [2**0.5, 2**0.5, 0.01], strict=True):
        assert np.linalg.norm(np.asarray(layer.weight), 2) == pytest.approx(gain, rel=1e-5)


def test_a_norm_centers_and_scales():
    x = jnp.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    found = np.asarray(Norm(jnp.ones(3), jnp.zeros(3))(x))
    assert found.mean(-1) == pytest.approx([0, 0], abs=1e-6)
    assert found.std(-1) == pytest.approx([1, 1], abs=1e-3)
    assert found[0] == pytest.approx(found[1], abs=1e-3)
