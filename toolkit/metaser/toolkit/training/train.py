"""Meta-training: the loop, from the first episode to the best checkpoint.

Run `metaser train CONFIG.toml`, or in N processes, on GPUs or CPUs,
`accelerate launch --multi_gpu --num_processes N -m metaser.toolkit.training.train CONFIG.toml`. With `--cpu` Accelerate
starts several processes only through MPI; with `--multi_gpu` it uses torchrun.
Letters: B clips of an episode, M of them support, R queries, E embedding size, C classes.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaser.runtime.errors import MetaserError, WorkError
from metaser.runtime.system.interrupts import INTERRUPTED, interrupts_as_requests
from metaser.toolkit.config import Config, load_config
from metaser.toolkit.model.frame_dropping import embed_thinned
from metaser.toolkit.model.spec_augment import masked
from metaser.toolkit.seeding import Purpose, generator, seed_dropout
from metaser.toolkit.torch_threads import set_threads
from metaser.toolkit.training.adversary import reversal_strength
from metaser.toolkit.training.batches import EpisodeBatch, prefetch
from metaser.toolkit.training.freezing import set_training_mode
from metaser.toolkit.training.logs import TrainingLog
from metaser.toolkit.training.losses import accuracy, distillation_loss, prototype_loss
from metaser.toolkit.training.run import BEST, TrainingRun, prepare_run
from metaser.toolkit.training.schedule import lr_factor, set_lrs

AUTOCAST = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def train(config: Config, notify: Callable[[str], None], *, resume: bool = False) -> Path:
    """Train, and return the folder of the best checkpoint, `out/best`; without validation the last one.

    With `resume` a run continues from its state, bit-exact on a CPU; without a state it starts from the beginning.
    `notify` receives the lines for the user.

    Raises:
        KeyboardInterrupt: Ctrl-C; the state is saved first.
        MetaserError: the settings, clips, backbone or device cannot be used, or the loss is not finite.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):  # the CPU generator; nothing else uses a GPU's generator during training
        try:
            set_threads(config.threads)
            run = prepare_run(config, notify, resume=resume)
            quiet = not run.processes.is_main
            with TrainingLog(config.out, config.steps, run.progress.step, notify, quiet=quiet) as log:
                _log_start(run, log)
                with interrupts_as_requests(signal.SIGINT) as interrupted:
                    _loop(run, log, interrupted)
        finally:
            torch.set_num_threads(threads)
    return config.out / BEST


def _loop(run: TrainingRun, log: TrainingLog, interrupted: Callable[[], bool]) -> None:
    """Run episodes, steps, validations and saves until the end, early stopping or Ctrl-C."""
    config, progress = run.config, run.progress
    steps = range(progress.step, config.steps)
    batches = prefetch(run.maker.make, (index for step in steps for index in run.own_episodes(step)), config.workers)
    set_training_mode(run.network, config.freeze)
    for step in steps:
        if 0 < config.validation.patience <= progress.since_best:
            log.notify(f"stopped early: no better result in {progress.since_best} validations")
            break
        began = time.perf_counter()
        episodes = [next(batches) for _ in run.own_episodes(step)]
        waited_s = time.perf_counter() - began
        stop = _step(run, episodes, step, log, waited_s, stop=interrupted())
        validated = _due(config, step, config.validation.every)
        if validated:
            _validate(run, log)
        if stop or validated or _due(config, step, config.save_every):
            run.save_state()
        if stop:
            log.notify(f"stopped by Ctrl-C after step {step + 1} of {config.steps}; --resume continues from there")
            batches.close()
            raise KeyboardInterrupt
    if run.validator is None:
        run.save_best()
    else:
        if not config.steps:
            _validate(run, log)
        log.notify(f"best: {100 * progress.best:.1f} % at step {progress.best_step}, in {config.out / BEST}")
    batches.close()


def _step(  # noqa: PLR0913 # what a step works with, and what its log line says of it
    run: TrainingRun, episodes: Sequence[EpisodeBatch], step: int, log: TrainingLog, waited_s: float, *, stop: bool
) -> bool:
    """Run one optimiser step; return whether any process was asked to stop."""
    began = time.perf_counter()
    config, device = run.config, run.processes.device
    set_lrs(run.optimiser, lr_factor(config, step))
    sums = torch.zeros(5, dtype=torch.float64, device=device)
    sums[-1] = stop
    for episode in episodes:
        loss, figures = episode_loss(run, episode.to(device), step / config.steps)
        run.scaler.scale(loss / config.optimiser.gradient_accumulation).backward()
        sums[:-1] += figures / config.optimiser.gradient_accumulation
    loss_sum, correct, domain_loss, domain_accuracy, stops = run.processes.sum(sums).tolist()
    if not math.isfinite(loss_sum + domain_loss):
        raise WorkError(f"the loss is not finite at step {step + 1} of {config.steps}: lower the rates in [optimiser]")
    run.processes.sum_gradients(run.parameters)
    run.scaler.unscale_(run.optimiser)
    norm = nn.utils.clip_grad_norm_(run.parameters, config.optimiser.max_grad_norm or math.inf)
    run.scaler.step(run.optimiser)
    run.scaler.update()
    if run.ema is not None:
        run.ema.update_parameters(run.network)
    run.optimiser.zero_grad()
    run.progress.step = step + 1
    others = {"domain_loss": domain_loss, "domain_accuracy": domain_accuracy} if run.discriminator else {}
    log.write(
        "step", step=step + 1, episodes=(step + 1) * config.optimiser.gradient_accumulation, loss=loss_sum,
        accuracy=correct,
        **others, scale=float(run.network.head.scale.detach()), gradient_norm=float(norm),
        lr_factor=lr_factor(config, step), seconds=time.perf_counter() - began, waited_s=waited_s,
        **_gpu_memory(device),
    )  # fmt: skip
    log.advance(step + 1, f"loss {loss_sum:.3f}, accuracy {100 * correct:.0f} %")
    return bool(stops)


def _gpu_memory(device: torch.device) -> dict[str, float]:
    """Peak GPU memory of this process's tensors, in GiB; empty on a CPU."""
    if device.type != "cuda":
        return {}
    return {"peak_gpu_gib": torch.cuda.max_memory_allocated(device) / 1024**3}


def episode_loss(run: TrainingRun, episode: EpisodeBatch, at: float) -> tuple[Tensor, Tensor]:
    """The loss of one episode, and [4] metrics: class loss and accuracy, domain loss and accuracy.

    `at` is the progress of the run, 0 to 1.
    """
    config, network = run.config, run.network
    seed_dropout(config.seed, episode.index)
    rng = generator(config.seed, Purpose.MASKS, episode.index)
    precision = AUTOCAST[config.precision]
    with (
        torch.autocast(run.processes.device.type, dtype=precision, enabled=precision != torch.float32),
        _masked(run, episode, rng),
    ):
        embeddings = _embed(run, episode, rng)  # [B, E]
    embeddings = embeddings.float()
    class_loss, class_accuracy = prototype_loss(
        embeddings, episode, network.head.scale, symmetric_loss=config.episodes.symmetric_loss
    )
    figures_of_class = (class_loss, class_accuracy)
    if share := config.distil.weight:
        assert run.wanted is not None
        class_loss = (1 - share) * class_loss + share * distillation_loss(embeddings, run.wanted[episode.rows])
    label_loss = torch.zeros_like(class_loss)
    if run.classifier is not None:
        label_loss = config.optimiser.classification_weight * F.cross_entropy(
            run.classifier(embeddings), episode.labels
        )
    domain_loss, domain_accuracy = torch.zeros_like(class_loss), torch.zeros_like(class_loss)
    if run.discriminator is not None:
        guesses = run.discriminator(embeddings, reversal_strength(config.adversary, at))  # [B, domains]
        domain_loss = F.cross_entropy(guesses, episode.domains)
        domain_accuracy = accuracy(guesses, episode.domains)
    figures = torch.stack([*figures_of_class, domain_loss, domain_accuracy])
    return class_loss + domain_loss + label_loss, figures.detach().double()


def _embed(run: TrainingRun, episode: EpisodeBatch, rng: np.random.Generator) -> Tensor:
    share, variants = run.config.augment.frame_keep_ratio, run.config.freeze.variants
    if share < 1 or variants:
        start = run.config.freeze.layers if variants else 0
        return embed_thinned(run.network, (episode.clips, episode.lengths), share, rng, start)
    return run.network.embed(episode.clips, episode.lengths)


def _masked(run: TrainingRun, episode: EpisodeBatch, rng: np.random.Generator) -> AbstractContextManager[None]:
    """SpecAugment, unless the stored variants already include it."""
    if run.config.freeze.variants:
        return nullcontext()
    return masked(run.network.backbone, episode.lengths.tolist(), run.config.augment, rng)


def _validate(run: TrainingRun, log: TrainingLog) -> None:
    """Validate, and save the network if it is the best so far."""
    if run.validator is None:
        return
    progress = run.progress
    found = run.validator.accuracy(run.kept)
    set_training_mode(run.network, run.config.freeze)
    progress.since_best += 1
    if found.mean > progress.best:
        progress.best, progress.best_step, progress.since_best = found.mean, progress.step, 0
        run.save_best()
    log.write("validation", step=progress.step, accuracy=found.mean, low=found.low, high=found.high)
    log.notify(
        f"step {progress.step} of {run.config.steps}: validation {100 * found.mean:.1f} ± "
        f"{100 * (found.high - found.mean):.1f} %{', the best so far' if progress.since_best == 0 else ''}"
    )


def _log_start(run: TrainingRun, log: TrainingLog) -> None:
    stores = (run.material.training_clips, run.material.validation_clips)
    log.write(
        "start",
        step=run.progress.step,
        training_clips=len(stores[0].utterances),
        validation_clips=len(stores[1].utterances),
        trained_parameters=sum(parameter.numel() for parameter in run.parameters),
        processes=run.processes.count,
        device=str(run.processes.device),
        left_out=[f"{problem.path.name}: {problem.reason}" for problem in run.material.problems],
    )
    log.notify(
        f"{len(stores[0].utterances)} training clips, {len(stores[1].utterances)} validation clips; "
        f"steps {run.progress.step} to {run.config.steps} on {run.processes.device}, processes: {run.processes.count}"
    )


def _due(config: Config, step: int, every: int) -> bool:
    """Whether this step completes a multiple of `every` episodes, or the run."""
    count = config.optimiser.gradient_accumulation
    return every > 0 and ((step + 1) * count // every > step * count // every or step + 1 == config.steps)


def main() -> int:
    """Command line of `accelerate launch -m metaser.toolkit.training.train`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="metaser.toolkit.training.train", description="Meta-train from a TOML file.")
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument("--resume", action="store_true", help="continue the run in `out` from its last saved state")
    arguments = parser.parse_args()
    try:
        train(load_config(arguments.config), _write, resume=arguments.resume)
    except KeyboardInterrupt:
        return INTERRUPTED
    except MetaserError as error:
        _write(f"metaser: {error}")
        return error.exit_code
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    return 0


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
