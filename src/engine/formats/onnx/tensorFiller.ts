import { create } from '@bufbuild/protobuf';
import { byteLength } from '../../../protocol/dtypes';
import type { ConstantData } from '../../graph/types';
import type { NewWeight } from './edits';
import { encodeTensor } from './encodeModel';
import type { ExternalDataWriter } from './externalDataWriter';
import { TensorProto_DataLocation, TensorProtoSchema, type ModelProto, type TensorProto } from './generated/onnx';
import type { OnnxWeights } from './tensorReader';
import { copyData, joinPieces } from './tensorMessages';
import { eachTensor } from './walk';

/** Smaller tensors stay in the model file: the runtime needs shapes and axes during inference of shapes. */
const inlineBelow = 1024;

/** Puts values back into the messages of an edited model while it is written. */
export class TensorFiller {
  constructor(
    private readonly weights: OnnxWeights,
    /** Tensors whose new values come in pieces. */
    private readonly streamed: ReadonlyMap<TensorProto, NewWeight>,
  ) {}

  /** Total bytes of all values, wherever they are stored. */
  totalBytes(model: ModelProto): number {
    let total = 0;
    eachTensor(model, (tensor) => (total += this.byteCount(tensor)));
    return total;
  }

  /** Puts a tensor's values into its message or into the data file; returns a function that removes them again. */
  async fill(tensor: TensorProto, writer: ExternalDataWriter | undefined): Promise<() => void> {
    const isExternal = tensor.dataLocation === TensorProto_DataLocation.EXTERNAL;
    const given = this.streamed.get(tensor);
    const known = given !== undefined || this.weights.isKnown(tensor);
    const movable =
      writer !== undefined &&
      known &&
      tensor.dataType !== 8 &&
      (given !== undefined || isExternal || this.byteCount(tensor) >= inlineBelow);
    if (given === undefined && !movable && (!known || !isExternal)) {
      // Tensors that stay in the file keep their original form.
      if (!this.weights.isCut(tensor)) return () => undefined;
      const cut = create(TensorProtoSchema);
      copyData(tensor, cut);
      copyData(await this.weights.original(tensor), tensor);
      return () => copyData(cut, tensor);
    }
    const { dtype, shape } = given ?? this.weights.describe(tensor);
    const pieces = (): AsyncIterable<Uint8Array> | Iterable<Uint8Array> =>
      given !== undefined && 'pieces' in given ? given.pieces() : this.weights.pieces(tensor);
    const data: ConstantData = movable
      ? await writer.append(dtype, shape, pieces())
      : { kind: 'inline', dtype, shape, bytes: await joinPieces(dtype, shape, pieces()) };
    const before = create(TensorProtoSchema);
    copyData(tensor, before);
    copyData(encodeTensor(data, ''), tensor);
    return () => copyData(before, tensor);
  }

  private byteCount(tensor: TensorProto): number {
    if (tensor.dataType === 8 || !this.weights.isKnown(tensor)) return this.weights.payload(tensor);
    const { dtype, shape } = this.weights.describe(tensor);
    return byteLength(dtype, shape);
  }
}
