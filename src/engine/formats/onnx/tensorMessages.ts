import { byteLength, type DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { NodeProto, TensorProto } from './generated/onnx';
import { isStandard } from './walk';

/** Handling of TensorProto messages while a model is edited. */

/** Fields that give the location of a tensor's values. */
const dataKeys = [
  'rawData',
  'floatData',
  'int32Data',
  'int64Data',
  'uint64Data',
  'doubleData',
  'stringData',
  'externalData',
  'dataLocation',
] as const satisfies readonly (keyof TensorProto)[];

/** Copies the data fields of one message to another. An unset field is an inherited default: it is removed. */
export function copyData(from: TensorProto, to: TensorProto): void {
  for (const key of dataKeys) {
    if (Object.hasOwn(from, key)) Object.assign(to, { [key]: from[key] });
    else delete (to as Partial<TensorProto>)[key];
  }
}

/** The tensor of a Constant node; undefined for other nodes and for constants given as plain numbers. */
export function constantTensor(node: NodeProto): TensorProto | undefined {
  if (node.opType !== 'Constant' || !isStandard(node)) return undefined;
  return node.attribute.find((attribute) => attribute.name === 'value')?.t;
}

/** Joins pieces into one array of the size that type and shape require. Throws `invalid-argument` if they do not match. */
export async function joinPieces(
  dtype: DType,
  shape: readonly number[],
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Uint8Array> {
  if (dtype === 'string') {
    const texts: Uint8Array[] = [];
    for await (const piece of pieces) texts.push(piece);
    return Buffer.concat(texts);
  }
  const bytes = new Uint8Array(byteLength(dtype, shape));
  let written = 0;
  for await (const piece of pieces) {
    if (written + piece.byteLength <= bytes.byteLength) bytes.set(piece, written);
    written += piece.byteLength;
  }
  if (written !== bytes.byteLength)
    throw new LoomweightError('invalid-argument', `A ${dtype}[${shape.join(', ')}] has ${bytes.byteLength} bytes, got ${written}.`, {
      expected: bytes.byteLength,
      actual: written,
    });
  return bytes;
}
