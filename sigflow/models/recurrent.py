"""A recurrent layer that trains as torch's LSTM and exports as one ONNX LSTM node.

torch.onnx traces `nn.LSTM` with a fixed number of frames in some situations; a symbolic node cannot freeze.
Shape suffixes: B batch, T frames, D directions, H hidden, F features.
"""

from contextlib import nullcontext

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sigflow.features.geometry import take_frames


class LSTM(nn.Module):
    """One layer, forward or both ways; the backward pass starts at each clip's own last frame.

    Initialised as Keras does (Xavier input, orthogonal recurrent, forget bias 1).
    """

    def __init__(self, size_in: int, hidden: int, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.hidden = hidden
        self.ahead = nn.LSTM(size_in, hidden, batch_first=True)
        self.back = nn.LSTM(size_in, hidden, batch_first=True) if bidirectional else None
        for layer in self._layers():
            for name, weight in layer.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(weight)
                elif name.startswith("weight_hh"):
                    for gate in weight.chunk(4):
                        nn.init.orthogonal_(gate)
                else:
                    nn.init.zeros_(weight)
                if name == "bias_ih_l0":
                    nn.init.ones_(weight[hidden : 2 * hidden])

    def forward(self, x_BTF: Float[Tensor, "B T F"], lengths_B: Int[Tensor, " B"]) -> Float[Tensor, "B T _DH"]:
        """Outputs of every frame; those at and beyond `lengths_B` mean nothing (zero when bidirectional)."""
        if torch.onnx.is_in_onnx_export():
            return self._symbolic(x_BTF, lengths_B)
        # Under autocast oneDNN has no bfloat16 LSTM for most CPUs, and raises an error; GPUs have one.
        on_cpu = x_BTF.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False) if on_cpu else nullcontext():
            return self._run(x_BTF.float() if on_cpu else x_BTF, lengths_B)

    def _run(self, x_BTF: Float[Tensor, "B T F"], lengths_B: Int[Tensor, " B"]) -> Float[Tensor, "B T _DH"]:
        ahead: Tensor = self.ahead(x_BTF)[0]
        if self.back is None:
            return ahead
        number_T = torch.arange(x_BTF.shape[1], device=x_BTF.device)
        valid_BT = number_T < lengths_B[:, None]
        reverse_BT = torch.where(valid_BT, lengths_B[:, None] - 1 - number_T, number_T)
        back = take_frames(self.back(take_frames(x_BTF, reverse_BT))[0], reverse_BT)
        return torch.cat([ahead, back], -1) * valid_BT[:, :, None].to(x_BTF.dtype)

    def _layers(self) -> list[nn.LSTM]:
        return [self.ahead] if self.back is None else [self.ahead, self.back]

    def _symbolic(self, x_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        batch, frames = x_BTF.shape[:2]
        layers = self._layers()
        weights = [dict(layer.named_parameters()) for layer in layers]
        stacked = [
            torch.stack([_onnx_gates(weight["weight_ih_l0"]) for weight in weights]),
            torch.stack([_onnx_gates(weight["weight_hh_l0"]) for weight in weights]),
            torch.stack(
                [torch.cat([_onnx_gates(weight[name]) for name in ("bias_ih_l0", "bias_hh_l0")]) for weight in weights]
            ),
        ]
        lengths = [lengths_B.to(torch.int32)] if self.back is not None else []
        out_TDBH: Tensor = torch.onnx.ops.symbolic(
            "LSTM", [x_BTF.transpose(0, 1), *stacked, *lengths],
            attrs={"hidden_size": self.hidden, "direction": "forward" if self.back is None else "bidirectional"},
            dtype=x_BTF.dtype, shape=(frames, len(layers), batch, self.hidden), version=20,
        )  # fmt: skip
        return out_TDBH.permute(2, 0, 1, 3).reshape(batch, frames, len(layers) * self.hidden)


def _onnx_gates(weight: Tensor) -> Tensor:
    """torch's gate order (input, forget, cell, output) to ONNX's (input, output, forget, cell)."""
    size = weight.shape[0] // 4
    return torch.cat([weight[:size], weight[3 * size :], weight[size : 3 * size]])
