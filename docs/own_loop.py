"""A training loop of your own: loss, schedule, optimizer, logging, translating.

python docs/own_loop.py                       # some three minutes on two CPU cores
transformer-jax translate runs/own < new.en   # what it has saved is read by everything
"""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

import transformer_jax as tj


def word_dropout_loss(config, params, batch, dropout_rng):
    """The paper's loss of a decoder that sees nine of ten of its inputs."""
    if dropout_rng is not None:  # None in evaluation
        dropout_rng, rng = jax.random.split(dropout_rng)
        hidden = jax.random.bernoulli(rng, 0.1, batch.target_inputs.shape)
        inputs = jnp.where(hidden, batch.target_inputs[:, :1], batch.target_inputs)
        batch = batch._replace(target_inputs=inputs)
    return tj.batch_loss(config, params, batch, dropout_rng)


def train(config, workdir, num_steps, log_every):
    """Trains a model, saves it, and returns a translator."""
    mesh, data = tj.make_mesh(config.mesh), tj.prepare(config, workdir)
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, peak_value=2e-3, warmup_steps=num_steps // 4, decay_steps=num_steps
    )
    optimizer = optax.adamw(schedule, b2=0.98, weight_decay=0.01)
    state = tj.init_state(config, mesh, optimizer)
    step = tj.make_train_step(
        config, mesh, loss=word_dropout_loss, schedule=schedule, optimizer=optimizer
    )
    packed = tj.pack_corpus(data.train, config.data, seed=0)
    batches = tj.make_batches(data.train, packed, config.data, seed=0)  # no end
    for number, batch in enumerate(itertools.islice(batches, num_steps), start=1):
        state, metrics = step(state, tj.make_global(batch, mesh))
        if number % log_every == 0:  # Reading a metric waits for the device.
            loss, rate = float(metrics["loss"]), float(metrics["learning_rate"])
            print(f"{number:>6}  loss {loss:.3f} nats a token, rate {rate:.1e}")
    # One of a work directory's checkpoints, so that every command finds it there.
    saved = Path(workdir) / "checkpoints" / str(num_steps)
    tj.save_parameters(saved, config, state.params, data.tokenizer)
    return tj.Translator.from_checkpoint(workdir)


if __name__ == "__main__":
    config = tj.load_config("cldr_en_de")
    translator = train(config, "runs/own", num_steps=1_500, log_every=100)
    print(tj.evaluate("runs/own", progress=False).scores["bleu"])
    print(translator.translate(["Tuesday, 5 March 2024", "twenty-three years ago"]))
