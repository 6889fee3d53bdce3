"""If these fail, a served LSTM gives other numbers than the one that was trained, or reads padding."""

import io

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from sigflow.models.recurrent import LSTM


class Layers(nn.Module):
    """Several layers in one graph, because each export takes seconds."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((5, 8, False), (5, 1, False), (5, 8, True), (5, 3, True))
        self.layers = nn.ModuleList(LSTM(size, hidden, bidirectional=both) for size, hidden, both in sizes)

    def forward(self, x_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, ...]:
        return tuple(layer(x_BTF, lengths_B) for layer in self.layers)


@pytest.fixture(scope="module")
def layers() -> Layers:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Layers()
        for parameter in model.parameters():  # biases too: the initial ones would hide exchanged gates
            nn.init.normal_(parameter, std=0.5)
    return model.eval()


@pytest.fixture(scope="module")
def session(layers: Layers) -> onnxruntime.InferenceSession:
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames")
    program = torch.onnx.export(
        layers, (torch.randn(2, 9, 5), torch.tensor([9, 4])), input_names=["x", "lengths"],
        output_names=[f"out{i}" for i in range(4)], dynamic_shapes=({0: batch, 1: frames}, {0: batch}),
        dynamo=True, opset_version=20, verbose=False,
    )  # fmt: skip
    assert program is not None
    stream = io.BytesIO()
    onnx.save(program.model_proto, stream)
    return onnxruntime.InferenceSession(stream.getvalue(), providers=["CPUExecutionProvider"])


@pytest.mark.filterwarnings("ignore")  # the exporter's remarks on its own internals
@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 30), (2, 9), (7, 16), (32, 120)])
def test_the_onnx_node_gives_torchs_numbers_at_every_size(
    layers: Layers, session: onnxruntime.InferenceSession, batch: int, frames: int
) -> None:
    generator = torch.Generator().manual_seed(frames)
    x_BTF = torch.randn(batch, frames, 5, generator=generator)
    lengths_B = torch.randint(1, frames + 1, (batch,), generator=generator)
    lengths_B[0] = frames
    with torch.no_grad():
        expected = layers(x_BTF, lengths_B)
    got = session.run(None, {"x": x_BTF.numpy(), "lengths": lengths_B.numpy()})
    valid_BT = np.arange(frames) < lengths_B.numpy()[:, None]
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert np.allclose(a[valid_BT], b.numpy()[valid_BT], atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_each_layer_is_one_node_that_cannot_freeze_the_number_of_frames(session: onnxruntime.InferenceSession) -> None:
    assert [value.shape for value in session.get_inputs()] == [["batch", "frames", 5], ["batch"]]
    assert session.get_outputs()[0].shape[:2] != [2, 9]


def test_both_ways_is_torchs_bidirectional_lstm_with_packed_sequences() -> None:
    layer = LSTM(4, 6, bidirectional=True)
    reference = nn.LSTM(4, 6, batch_first=True, bidirectional=True)
    assert layer.back is not None
    reference.load_state_dict(
        dict(layer.ahead.state_dict()) | {f"{name}_reverse": weight for name, weight in layer.back.state_dict().items()}
    )
    x_BTF, lengths_B = torch.randn(3, 8, 4), torch.tensor([8, 1, 5])
    packed = nn.utils.rnn.pack_padded_sequence(x_BTF, lengths_B, batch_first=True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    assert torch.allclose(layer(x_BTF, lengths_B), expected, atol=1e-6)


@pytest.mark.parametrize("both", [False, True])
def test_padding_never_reaches_the_frames_before_it(both: bool) -> None:
    layer = LSTM(3, 4, bidirectional=both)
    x_BTF, lengths_B = torch.randn(2, 6, 3), torch.tensor([4, 6])
    padded = torch.cat([x_BTF, torch.full((2, 5, 3), 1e6)], 1)
    padded[0, 4:] = -1e6
    out, alone = layer(padded, lengths_B), layer(x_BTF[:1, :4], lengths_B[:1])
    assert torch.allclose(out[0, :4], alone[0], atol=1e-6)
    assert torch.allclose(out[1, :6], layer(x_BTF[1:], lengths_B[1:])[0], atol=1e-6)


def test_weights_start_as_in_keras() -> None:
    layer = LSTM(10, 7, bidirectional=True)
    assert layer.back is not None
    for one in (layer.ahead, layer.back):
        weights = one.state_dict()
        bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]
        assert bias.tolist() == [0.0] * 7 + [1.0] * 7 + [0.0] * 14  # the forget gate starts open
        assert float(weights["weight_ih_l0"].abs().max()) <= (6 / (10 + 28)) ** 0.5
        for gate in weights["weight_hh_l0"].chunk(4):
            assert torch.allclose(gate @ gate.T, torch.eye(7), atol=1e-5)
