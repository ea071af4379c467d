"""One process of several dies or hangs: the others say which, and end."""

import subprocess
import sys

import jax
import pytest
from processes import start
from tiny_runs import one_layer_config, reversed_pairs

from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.devices.lost_processes import is_of_exchange
from transformer_jax.errors import InputError
from transformer_jax.training.train import train

PAIRS = reversed_pairs(200)

PROGRAM = """
import signal, threading, time
from test_lost_process import PAIRS, config
from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.devices import lost_processes
from transformer_jax.errors import ProcessLost
from transformer_jax.training import watchdog
from transformer_jax.training.metrics_file import read_metrics
from transformer_jax.training.train import train
watchdog._SILENT_SECONDS, watchdog._LOOK_SECONDS = 8.0, 1.0
lost_processes._LISTEN_SECONDS = 4.0
workdir, how = sys.argv[5:7]

def fail():
    while len(read_metrics(workdir)) < 6:
        time.sleep(0.05)
    if how == "hangs":
        # It stays behind, until the test ends it.
        time.sleep(2); os.kill(os.getpid(), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGKILL)

save = Checkpoints.save
def save_and_die(self, step, *arguments, **named):
    save(self, step, *arguments, **named)  # It goes on in the background.
    if step == 6:
        os.kill(os.getpid(), signal.SIGKILL)

if rank == 1 and how == "dies saving":
    Checkpoints.save = save_and_die
elif rank == 1:
    threading.Thread(target=fail, daemon=True).start()
try:
    train(config(10**6), workdir, train_pairs=PAIRS, progress=False)
except ProcessLost as error:
    print(error, file=sys.stderr, flush=True)
    os._exit(1)
"""


def config(num_steps: int):
    return one_layer_config(
        training__num_steps=num_steps, training__checkpoint_every_steps=2
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [pytest.param("dies", marks=pytest.mark.long), "dies saving"]
)
def test_a_process_that_dies_is_named_and_the_run_goes_on(how, tmp_path):
    # JAX alone would wait for five minutes.
    first, second = start(
        PROGRAM, tmp_path, how, num_processes=2, num_devices=1, timeout=240
    )
    assert second.returncode == -9
    assert first.returncode == 1
    assert "process 1 has " in first.stderr
    assert "continues from its last checkpoint" in first.stderr
    (step,) = StoredCheckpoints(tmp_path).steps[-1:]
    assert step >= 4
    result = train(config(step + 2), tmp_path, train_pairs=PAIRS, progress=False)
    assert int(result.state.step) == step + 2


@pytest.mark.parametrize(
    ("error", "is_of_it"),
    [
        (ValueError("UNKNOWN: Gloo AllGather failed: Connection closed by peer"), True),
        (InputError("gloo/barrier.txt: line 2 is not UTF-8"), False),
        (FileNotFoundError(2, "No such file", "gloo/barrier.txt"), False),
    ],
)
def test_a_file_is_not_the_exchange_whatever_its_name(error, is_of_it, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert is_of_exchange(error) is is_of_it


WAITING = """
import logging, sys, time
logging.basicConfig(format="%(message)s", stream=sys.stderr)
from transformer_jax.training.watchdog import Watchdog
def a_call_that_hangs():
    time.sleep(3)
watchdog = Watchdog(0.01)
with watchdog.watching():
    watchdog.beat("evaluating", 1200)
    a_call_that_hangs()
"""


@pytest.mark.slow
def test_a_run_that_makes_no_progress_says_where_it_waits():
    ended = subprocess.run(
        [sys.executable, "-c", WAITING], capture_output=True, text=True, check=True
    )
    assert "minutes: evaluating after step 1200; waiting in" in ended.stderr
    assert "in a_call_that_hangs" in ended.stderr
    assert ended.stderr.count("no progress") == 1


ENDED = """
import hashlib, signal, threading, time
from transformer_jax.interruption import Interrupted, handle_signals, leave_process
in_one_call = int(sys.argv[5])
with handle_signals(ends_process=True):
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    try:
        if rank == in_one_call:  # Its main thread does not come to handle a signal.
            hashlib.pbkdf2_hmac("sha256", b"x", b"x", 10**9)
        else:
            time.sleep(60)
    except Interrupted as end:
        leave_process(end.exit_code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("in_one_call", [0, 1])
def test_all_processes_end_in_good_order_wherever_a_signal_finds_them(in_one_call):
    """Also where the primary, which serves the others, or another is gone first."""
    ended = start(ENDED, in_one_call, num_processes=2, num_devices=1, timeout=60)
    assert [process.returncode for process in ended] == [143, 143]
    assert not any("Traceback" in process.stderr for process in ended)
