"""Right answers: the golden request sent to a node, and the photograph's face where it must be."""

from pathlib import Path

import grpc

from node.admin.failures import Failure
from node.admin.inference import InferenceClient, Input, Tensor, raw_tensor, same
from node.admin.model_folder import Source, add_golden

TIMEOUT_S = 2.0
"""The deadline of a request, as the independent client's."""

FACE = (178, 65, 91, 111)
"""x, y, width and height of the face in the photograph, in its pixels."""

IOU_MIN = 0.5


class GoldenRequest:
    """One of the model's golden requests, to be asked of any node."""

    def __init__(self, folder: Path) -> None:
        source = Source("model", [])
        add_golden(source, folder)
        case = source.golden[0]
        paths = [one.path for one in source.files]
        self._inputs = [
            Input(one.name, one.datatype, raw_tensor(paths[one.file], one.datatype, one.shape))
            for one in case.inputs
        ]
        self._outputs: dict[str, Tensor] = {
            one.name: raw_tensor(paths[one.file], one.datatype, one.shape) for one in case.outputs
        }
        self._tolerance = (source.tolerance_absolute, source.tolerance_relative)

    def right(self, service: str, address: str) -> bool:
        """Whether the node at `address` answers, and right."""
        return not self.wrong(service, address)

    def wrong(self, service: str, address: str) -> str:
        """What is wrong with the answer of the node at `address`; "" if nothing is."""
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(address, options) as channel:
            try:
                answer = InferenceClient(channel, address, TIMEOUT_S).infer(service, self._inputs)
            except Failure as failure:
                return str(failure)
        different = [
            name
            for name, golden in self._outputs.items()
            if name not in answer.outputs
            or not same(answer.outputs[name], golden, *self._tolerance)
        ]
        return f"version {answer.version}: outputs {different} are wrong" if different else ""


def overlap(box: tuple[float, float, float, float], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    wide = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    high = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    both = max(wide, 0) * max(high, 0)
    return both / (box[2] * box[3] + other[2] * other[3] - both)
