"""What every model must hold: the same numbers in an exported graph, alone, in company and padded.

Shape suffixes: B batch, N frames, F features.
"""

import io
import logging
import warnings
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

_SIZES = ((1, 1), (1, 7), (2, 30), (3, 64), (8, 31), (16, 120))  # batch, frames


class Batch(NamedTuple):
    """What a model is called with."""

    x_BNF: Tensor
    lengths_B: Tensor
    seen_BN: Tensor


def draw(batch: int, frames: int, size: int, seed: int = 0) -> Batch:
    """Clips of random length with unseen frames, NaN beyond; the first is full length, nothing is seen in the last."""
    generator = torch.Generator().manual_seed(seed)
    lengths_B = torch.randint(1, frames + 1, (batch,), generator=generator)
    lengths_B[0] = frames
    beyond_BN = torch.arange(frames) >= lengths_B[:, None]
    seen_BN = ~beyond_BN & (torch.rand(batch, frames, generator=generator) < 0.8)
    seen_BN[-1] &= batch == 1
    x_BNF = torch.randn(batch, frames, size, generator=generator) * seen_BN[:, :, None]
    x_BNF[beyond_BN] = float("nan")
    return Batch(x_BNF, lengths_B, seen_BN)


def settle(model: nn.Module, size: int) -> nn.Module:
    """The model ready to predict, with running statistics that are not those it was born with."""
    model.train()
    for seed in range(3):
        model(*draw(6, 12, size, seed))
    return model.eval()


def check_parity(model: nn.Module, size: int) -> float:
    """Export with dynamic batch and frames; the largest difference of a logit over six sizes, asserted <= 1e-4."""
    settle(model, size)
    session = onnxruntime.InferenceSession(_export(model, size), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    worst = 0.0
    for batch, frames in _SIZES:
        clips = draw(batch, frames, size, seed=frames)
        feed = dict(zip(("x", "lengths", "seen"), (part.numpy() for part in clips), strict=True))
        given = session.run(["logits"], {name: feed[name] for name in names})[0]
        with torch.no_grad():
            expected = model(*clips).numpy()
        if expected.ndim == 3:  # beyond a clip's end there is no answer
            valid_BN = np.arange(frames) < clips.lengths_B.numpy()[:, None]
            given, expected = given[valid_BN], expected[valid_BN]
        assert np.isfinite(given).all()
        assert given.shape == expected.shape
        worst = max(worst, float(np.abs(given - expected).max()))
    assert worst <= 1e-4
    return worst


def check_company(model: nn.Module, size: int) -> float:
    """The largest change of a clip's logits when it is alone without padding, or padded with anything at all."""
    settle(model, size)
    worst = 0.0
    for batch, frames in ((5, 13), (4, 1), (3, 40)):
        clips = draw(batch, frames, size, seed=frames)
        longer = Batch(
            torch.cat([clips.x_BNF, torch.full((batch, 9, size), 1e9)], 1),
            clips.lengths_B,
            torch.cat([clips.seen_BN, torch.zeros(batch, 9, dtype=torch.bool)], 1),
        )
        with torch.no_grad():
            together, padded = model(*clips), model(*longer)
            for row, length in enumerate(clips.lengths_B.tolist()):
                alone = model(
                    clips.x_BNF[row : row + 1, :length], torch.tensor([length]), clips.seen_BN[row : row + 1, :length]
                )[0]
                assert alone.isfinite().all()
                for other in (together[row], padded[row]):
                    end = length if other.ndim == 2 else None
                    worst = max(worst, float((other[:end] - alone).abs().max()))
    assert worst <= 1e-5
    return worst


def check_gradients(model: nn.Module, size: int) -> None:
    """Every parameter learns, and nothing that is not finite comes out of padding or of clips with nothing seen."""
    model.train()
    clips = draw(12, 14, size)
    logits = model(*clips)
    valid = torch.arange(14) < clips.lengths_B[:, None] if logits.ndim == 3 else torch.ones(12, dtype=torch.bool)
    target = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    (logits - target)[valid].square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def check_learns(model: nn.Module, size: int, steps: int = 60) -> float:
    """Eight random clips of three classes are learnt by heart; the last loss."""
    model.train()
    clips = draw(8, 10, size, seed=3)
    target_B = torch.arange(8) % 3
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine threads wait for each other, ten times as long as they compute
    for _ in range(steps):
        logits = model(*clips)
        if logits.ndim == 3:
            logits = logits[:, 0]
        loss = nn.functional.cross_entropy(logits, target_B)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.set_num_threads(threads)
    model.eval()
    with torch.no_grad():
        answer = model(*clips)
    assert float(loss.detach()) < 0.1
    assert answer.isfinite().all()
    return float(loss.detach())


def count(model: nn.Module) -> int:
    """Parameters, in torch's counting."""
    return sum(parameter.numel() for parameter in model.parameters())


def _export(model: nn.Module, size: int) -> bytes:
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames")
    for noisy in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's remarks on its own internals
        program = torch.onnx.export(
            model, tuple(draw(2, 16, size)), input_names=["x", "lengths", "seen"], output_names=["logits"],
            dynamic_shapes=({0: batch, 1: frames}, {0: batch}, {0: batch, 1: frames}),
            dynamo=True, opset_version=20, verbose=False,
        )  # fmt: skip
    assert program is not None
    stream = io.BytesIO()
    onnx.save(program.model_proto, stream)
    return stream.getvalue()
