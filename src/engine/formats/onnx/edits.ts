import type { DType } from '../../../protocol/dtypes';
import { create } from '@bufbuild/protobuf';
import { byteLength } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { Attribute } from '../../graph/graph';
import { encodeAttribute, encodeTensor, withoutTrailing } from './encodeModel';
import { NodeProtoSchema, type NodeProto, type TensorProto } from './generated/onnx';
import type { ValueUse } from './modelIndex';

/** A weight of a model that is being edited: an initialiser of the main graph, or the output of one of its Constant nodes. */
export interface EditableWeight {
  /** Name of the value that nodes consume. */
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Nodes that consume it, including those in bodies. */
  readonly uses: readonly ValueUse[];
  /** True if it is also an output of its graph: the main graph, or the body that it is in. */
  readonly isOutput: boolean;
}

/** New values: whole, or pieces that are requested when the file is written. */
export type NewWeight =
  | { readonly dtype: DType; readonly shape: readonly number[]; readonly bytes: Uint8Array }
  | { readonly dtype: DType; readonly shape: readonly number[]; readonly pieces: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array> };

/** A node to insert, by names of values. Empty names are omitted inputs. */
export interface NewNode {
  readonly op: string;
  readonly domain?: string;
  readonly name?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** Options for writing an edited model. `auto` (default) moves weights to `<path>_data` if the file would exceed 1 GiB. */
export interface WriteEditedOptions {
  readonly externalData?: 'never' | 'auto' | 'always';
}

/** The message of a new weight; pieces are filled in when the file is written. Errors: `invalid-argument` for bytes that do not fit type and shape. */
export function newTensorMessage(name: string, weight: NewWeight): TensorProto {
  const { dtype, shape } = weight;
  const bytes = 'bytes' in weight ? weight.bytes : new Uint8Array(0);
  if ('bytes' in weight && dtype !== 'string' && bytes.byteLength !== byteLength(dtype, shape))
    throw new LoomweightError(
      'invalid-argument',
      `Weight '${name}', ${dtype}[${shape.join(', ')}], needs ${byteLength(dtype, shape)} bytes, got ${bytes.byteLength}.`,
      { tensor: name },
    );
  return encodeTensor({ kind: 'inline', dtype, shape, bytes }, name);
}

/** The message of a new node. */
export function newNodeMessage(node: NewNode, name: string): NodeProto {
  return create(NodeProtoSchema, {
    opType: node.op,
    name,
    ...(node.domain === undefined || node.domain === '' ? {} : { domain: node.domain }),
    // An omitted input at the end is left out: to ONNX Runtime an empty name there is a zero point of type uint8.
    input: withoutTrailing(node.inputs),
    output: [...node.outputs],
    attribute: Object.entries(node.attributes ?? {}).map(([key, attribute]) => encodeAttribute(key, attribute)),
  });
}
