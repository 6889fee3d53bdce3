"""Tensors of the Open Inference Protocol: JSON, and binary data behind it.

Binary data are little-endian, row major, without gaps, in the order in which the JSON names their tensors.
Source: "Open Inference Protocol (V2)" and "Binary Tensor Data Extension", kserve.github.io.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field, ValidationError
from pydantic_core import from_json

from serve.problems import BadInputError, ProblemError
from sigflow.config import Config

BINARY = "application/octet-stream"  # JSON with binary data behind it
JSON_BYTES = "Inference-Header-Content-Length"  # the header that says how long the JSON in front of binary data is
FLOATS = {"FP32": "<f4", "FP64": "<f8", "FP16": "<f2"}
INTEGERS = {"INT64": "<i8", "INT32": "<i4"}
Name = Annotated[str, Field(max_length=200)]
Size = Annotated[int, Field(strict=True, gt=0, le=2**31)]


class _Open(Config):
    """Clients and extensions add fields of their own, which are passed over."""

    model_config = ConfigDict(extra="ignore")


class InputParameters(_Open):
    """`binary_data_size`: bytes of the tensor behind the JSON."""

    binary_data_size: int | None = Field(default=None, strict=True, ge=0, le=2**62)
    shared_memory_region: Any = Field(default=None, description="not read: send the data")


class InputTensor(_Open):
    """`data`: all values, flat or nested as `shape` is; null and NaN are missing. None: they are binary."""

    name: Name
    shape: tuple[Size, ...] = Field(min_length=1, max_length=8)
    datatype: Name
    parameters: InputParameters | None = None
    data: list[Any] | None = None


class OutputParameters(_Open):
    """`binary_data`: whether it is answered behind the JSON, whatever `binary_data_output` says."""

    binary_data: bool | None = None
    shared_memory_region: Any = Field(default=None, description="not written: take the data")
    classification: Any = Field(default=None, description="not known: ask for the output `label`")


class RequestedOutput(_Open):
    """An output by its name."""

    name: Name
    parameters: OutputParameters | None = None


class RequestParameters(_Open):
    """`binary_data_output`: whether outputs are answered behind the JSON."""

    binary_data_output: bool | None = None


class InferRequest(_Open):
    """`outputs`: none means `probs`."""

    id: str | None = Field(default=None, max_length=1000)
    parameters: RequestParameters | None = None
    inputs: tuple[InputTensor, ...] = Field(min_length=1, max_length=64)
    outputs: tuple[RequestedOutput, ...] | None = Field(default=None, max_length=64)


class OutputTensor(Config):
    """`data`: all values, row major; none where `binary_data_size` of `parameters` says what is behind the JSON."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int] | None = None
    data: list[float] | list[str] | None = None


class InferResponse(Config):
    """Answers in the order of the rows."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class Given(NamedTuple):
    """An input, and its binary data if it has any."""

    tensor: InputTensor
    binary: memoryview | None


def read_request(body: bytes, json_bytes: str | None) -> tuple[InferRequest, dict[str, Given]]:
    """What is asked, and the inputs by name, of which nothing is unpacked yet.

    Args:
        json_bytes: the header `JSON_BYTES`; None: the whole body is JSON.

    Raises:
        ProblemError: 400, the body is not laid out as header and JSON say; 422, it makes no sense.
    """
    size = _json_size(body, json_bytes)
    request = _parse(body[:size])
    data, given = memoryview(body)[size:], dict[str, Given]()
    sizes = [each.parameters.binary_data_size if each.parameters else None for each in request.inputs]
    if sum(each or 0 for each in sizes) != len(data):
        raise ProblemError(
            400,
            f"binary_data_size of all inputs is not what follows the JSON, {len(data)} bytes; check {JSON_BYTES} too",
        )
    for tensor, count in zip(request.inputs, sizes, strict=True):
        if tensor.name in given:
            raise BadInputError(f"input {tensor.name!r} is given twice")
        if tensor.parameters and tensor.parameters.shared_memory_region is not None:
            raise BadInputError(f"{tensor.name}: shared memory is not read; send the data")
        if (tensor.data is None) == (count is None):
            raise BadInputError(f"{tensor.name}: give either 'data' or the parameter 'binary_data_size'")
        given[tensor.name] = Given(tensor, None if count is None else data[:count])
        data = data[count or 0 :]
    return request, given


def _json_size(body: bytes, json_bytes: str | None) -> int:
    if json_bytes is None:
        return len(body)
    if not json_bytes.isdecimal() or len(json_bytes) > 12 or int(json_bytes) > len(body):
        raise ProblemError(400, f"{JSON_BYTES} must be the bytes of JSON in a body of {len(body)} bytes")
    return int(json_bytes)


def _parse(text: bytes) -> InferRequest:
    try:
        return InferRequest.model_validate(from_json(text))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise BadInputError(f"{'.'.join(str(part) for part in first['loc']) or 'body'}: {first['msg']}") from error
    except ValueError as error:  # also where lists are nested too deeply
        raise ProblemError(400, f"the body is no JSON: {error}") from error


def values(given: Given, dtypes: Mapping[str, str]) -> np.ndarray:
    """The input's values in its shape; nothing larger than what was sent is made.

    Args:
        dtypes: numpy's names of the datatypes that are read.

    Raises:
        BadInputError: another datatype, more or fewer values than the shape has, or values that are no numbers.
    """
    tensor = given.tensor
    if tensor.datatype not in dtypes:
        raise BadInputError(f"{tensor.name}: datatype {tensor.datatype!r} is not read; send {' or '.join(dtypes)}")
    dtype, count = np.dtype(dtypes[tensor.datatype]), math.prod(tensor.shape)
    if given.binary is not None:
        if len(given.binary) != count * dtype.itemsize:
            raise BadInputError(
                f"{tensor.name}: {len(given.binary)} bytes, but its shape and datatype take {count * dtype.itemsize}"
            )
        return np.frombuffer(given.binary, dtype).reshape(tensor.shape)
    # As objects first: numpy would read text as numbers, and make an array of text as wide as the longest.
    array = np.array(tensor.data, object)
    if array.shape not in ((count,), tensor.shape):
        raise BadInputError(f"{tensor.name}: 'data' is neither a flat list of {count} numbers nor nested as its shape")
    allowed = {int} if dtype.kind == "i" else {int, float, type(None)}
    try:
        if not set(map(type, array.ravel().tolist())) <= allowed:
            raise TypeError
        with np.errstate(over="ignore"):
            return array.astype(dtype).reshape(tensor.shape)
    except (TypeError, OverflowError) as error:
        raise BadInputError(f"{tensor.name}: 'data' has values that are no {tensor.datatype}") from error


def write_response(
    response: InferResponse, tensors: Mapping[str, np.ndarray | Sequence[str]], binary: Mapping[str, bool]
) -> tuple[bytes, int]:
    """The body, and how much of it is JSON.

    Args:
        response: with outputs that lack their data.
        tensors: the data of each output: float32, or text.
        binary: whether an output's data come behind the JSON.
    """
    outputs, behind = [], []
    for output in response.outputs:
        tensor = tensors[output.name]
        if binary[output.name]:
            behind.append(_bytes(tensor))
            change: dict[str, Any] = {"parameters": {"binary_data_size": len(behind[-1])}}
        else:
            change = {"data": tensor.ravel().tolist() if isinstance(tensor, np.ndarray) else list(tensor)}
        outputs.append(output.model_copy(update=change))
    text = response.model_copy(update={"outputs": outputs}).model_dump_json(exclude_none=True).encode()
    return b"".join([text, *behind]), len(text)


def _bytes(tensor: np.ndarray | Sequence[str]) -> bytes:
    if isinstance(tensor, np.ndarray):
        return tensor.astype("<f4").tobytes()
    texts = [text.encode() for text in tensor]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
