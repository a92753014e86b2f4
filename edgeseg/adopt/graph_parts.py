"""Values and nodes of an ONNX graph: which are needed, and what they are called.

Bodies of loops and branches are graphs in attributes of their nodes, and may use any value around
them by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

STANDARD_DOMAINS = ("", "ai.onnx")


def keep_only(graph: onnx.GraphProto, output: str) -> None:
    """Drop the nodes and weights that an output does not need."""
    needed, kept = {output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            needed.update(name for inner in _subgraphs(node) for name in _names(inner))
            needed.discard("")  # an optional value that is left out
    kept.reverse()
    for field, values in (
        (graph.node, kept),
        (graph.initializer, [t for t in graph.initializer if t.name in needed]),
        (
            graph.sparse_initializer,
            [t for t in graph.sparse_initializer if t.values.name in needed],
        ),
    ):
        copies = list(values)
        del field[:]
        field.extend(copies)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield every name in a graph, of values and of nodes."""
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield value.name
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)
        for inner in _subgraphs(node):
            yield from _names(inner)


def unused_prefix(graph: onnx.GraphProto) -> str:
    """Return a text that no name in a graph begins with."""
    names = set(_names(graph))
    prefix = "edgeseg_"
    while any(name.startswith(prefix) for name in names):
        prefix = f"{prefix}_"
    return prefix


def rename(graph: onnx.GraphProto, new_names: dict[str, str]) -> None:
    """Rename values, in the bodies of loops and branches too."""
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = new_names.get(value.name, value.name)
    for node in graph.node:
        for field in (node.input, node.output):
            field[:] = [new_names.get(name, name) for name in field]
        for inner in _subgraphs(node):
            rename(inner, new_names)


def drop_unused_imports(model: onnx.ModelProto) -> None:
    """Import the operator sets that nodes and functions use, and no others."""
    used = {_domain(node) for node in _all_nodes(model.graph.node)}
    for function in model.functions:
        used.add(function.domain)
        used.update(_domain(node) for node in _all_nodes(function.node))
    kept = [o for o in model.opset_import if o.domain in used or o.domain in STANDARD_DOMAINS]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _domain(node: onnx.NodeProto) -> str:
    return "" if node.domain in STANDARD_DOMAINS else node.domain


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for inner in _subgraphs(node):
            yield from _all_nodes(inner.node)
