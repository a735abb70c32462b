import type { Attribute, Graph, Value } from './graph';
import { formatShape, formatType } from './shapes';
import type { ConstantData } from './types';

/**
 * A graph as text, one line per input, constant, node and output, for goldens and error details. Stable: the same graph gives the same
 * text. Constants show their first values, large ones a checksum, never a path.
 *
 *   graph main opset 21
 *   input  x: float32[batch, 4]
 *   const  w: float32[4, 8] = #1a2b3c4d
 *   h: float32[batch, 8] = MatMul(x, w)
 *   output h
 */
export function printGraph(graph: Graph): string {
  return lines(graph, '').join('\n') + '\n';
}

function lines(graph: Graph, indent: string): string[] {
  const opsets = Object.entries(graph.opsets)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([domain, version]) => `${domain === '' ? '' : `${domain} `}${version}`);
  return [
    `${indent}graph ${graph.name} opset ${opsets.join(', ')}`,
    ...graph.inputs.map((value) => `${indent}input  ${describe(value)}`),
    ...[...graph.constants].map(
      ([value, data]) => `${indent}const  ${value.name}: ${data.dtype}${formatShape(data.shape)} = ${contents(data)}`,
    ),
    ...graph.nodes.flatMap((node) => {
      const plain = Object.entries(node.attributes).filter(([, attribute]) => attribute.kind !== 'graph');
      const bodies = Object.entries(node.attributes).flatMap(([name, attribute]) =>
        attribute.kind === 'graph' ? [[name, attribute.value] as const] : [],
      );
      const attributes = plain.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, attribute]) => ` ${name}=${formatAttribute(attribute)}`);
      const outputs = node.outputs.map((value) => (value === undefined ? '_' : describe(value))).join(', ');
      const inputs = node.inputs.map((value) => value?.name ?? '_').join(', ');
      const op = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
      return [
        `${indent}${outputs} = ${op}(${inputs})${attributes.join('')}`,
        ...bodies.flatMap(([name, body]) => [`${indent}  ${name}:`, ...lines(body, `${indent}    `)]),
      ];
    }),
    ...graph.outputs.map((value) => `${indent}output ${value.name}`),
  ];
}

function describe(value: Value): string {
  return `${value.name}: ${formatType(value.type)}`;
}

function formatAttribute(attribute: Attribute): string {
  switch (attribute.kind) {
    case 'int':
    case 'float':
      return String(attribute.value);
    case 'string':
      return JSON.stringify(attribute.value);
    case 'ints':
    case 'floats':
      return `[${attribute.value.join(', ')}]`;
    case 'strings':
      return JSON.stringify(attribute.value);
    case 'tensor':
      return `${attribute.value.dtype}${formatShape(attribute.value.shape)}${contents(attribute.value)}`;
    case 'graph':
      return attribute.value.name;
    case 'opaque':
      return `(${attribute.value.byteLength} bytes)`;
  }
}

/** First values of a small constant, otherwise a checksum of its bytes. */
function contents(data: ConstantData): string {
  if (data.kind === 'external') return `external ${data.length} bytes at ${data.offset}`;
  const { bytes, dtype } = data;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength <= 64) {
    if (dtype === 'float32') return `{${list(bytes.byteLength / 4, (i) => view.getFloat32(i * 4, true))}}`;
    if (dtype === 'int64') return `{${list(bytes.byteLength / 8, (i) => view.getBigInt64(i * 8, true))}}`;
    if (dtype === 'int32') return `{${list(bytes.byteLength / 4, (i) => view.getInt32(i * 4, true))}}`;
    if (dtype === 'uint8' || dtype === 'bool') return `{${list(bytes.byteLength, (i) => view.getUint8(i))}}`;
  }
  return `#${checksum(bytes).toString(16).padStart(8, '0')}`;
}

function list(count: number, at: (index: number) => number | bigint): string {
  return Array.from({ length: count }, (_, index) => String(at(index))).join(', ');
}

/** FNV-1a, 32 bits: only to distinguish constants in a text. */
function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
