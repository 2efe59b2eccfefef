"""A peer of bench_extract.py: the standard x-vector in PyTorch, one thread.

    <python with torch> benchmarks/torch_xvector.py <light-file> <rspecifier> \\
        <wspecifier> <min-frames>

Utterance by utterance, as PyTorch toolkits extract. Weights are those of a light file.
Prints the milliseconds of processor an utterance takes without reading and writing.
"""

from __future__ import annotations

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import torch

from dataset.kaldi_table import SequentialReader, TableWriter
from misc.light.light_file import read_light


class StatisticsPooling(torch.nn.Module):
    """Mean and standard deviation over frames: [1, C, T] to [1, 2 C]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(x, dim=2, correction=0)
        return torch.cat([mean, variance.clamp_min(1e-12).sqrt()], dim=1)


def batch_norm(scale: torch.Tensor, shift: torch.Tensor) -> torch.nn.Module:
    """The batch normalisation that comes to this scale and shift."""
    layer = torch.nn.BatchNorm1d(len(scale), eps=0.0)
    layer.weight.data, layer.bias.data = scale, shift
    return layer


def network(path: str) -> torch.nn.Module:
    """The layers of the standard x-vector, up to tdnn6_dense."""
    description, arrays = read_light(path)
    weights = {name: torch.from_numpy(x.copy()) for name, x in arrays.items()}
    layers: list[torch.nn.Module] = []
    for step in description["steps"][
        : description["endpoints"]["tdnn6_dense"]["value"]
    ]:
        found = [
            weights[x["weight"]]
            for x in step["args"]
            if isinstance(x, dict) and "weight" in x
        ]
        if step["op"] == "relu":
            layers.append(torch.nn.ReLU())
        elif step["op"] == "scale":
            layers.append(batch_norm(*found))
        elif step["op"] == "Concatenate":  # the last step of the pooling
            layers.append(StatisticsPooling())
        elif step["op"] == "affine" and isinstance(layers[-1], StatisticsPooling):
            layer: torch.nn.Module = torch.nn.Linear(*found[0].shape)
            layer.weight.data, layer.bias.data = found[0].T.contiguous(), found[1]
            layers.append(layer)
        elif step["op"] in ("convolution", "affine"):
            kernel = found[0] if found[0].ndim == 3 else found[0][None]
            layer = torch.nn.Conv1d(kernel.shape[1], kernel.shape[2], len(kernel))
            layer.weight.data = kernel.permute(2, 1, 0).contiguous()
            layer.bias.data = found[1]
            layers.append(layer)
    return torch.nn.Sequential(*layers).eval()


def main() -> None:
    path, rspecifier, wspecifier, shortest = sys.argv[1:]
    torch.set_num_threads(1)
    net, seconds, number = network(path), 0.0, 0
    with (
        torch.inference_mode(),
        SequentialReader(rspecifier, "matrix") as reader,
        TableWriter(wspecifier, "vector") as writer,
    ):
        for key, features in reader:
            if len(features) < int(shortest):
                continue
            begin = time.process_time()
            embedding = net(torch.from_numpy(features.T[None]))[0].numpy()
            seconds, number = seconds + time.process_time() - begin, number + 1
            writer.write(key, embedding)
    print(f"{1e3 * seconds / number:.2f}")


if __name__ == "__main__":
    main()
