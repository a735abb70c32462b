import { fromBinary } from '@bufbuild/protobuf';
import type { DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { dtypeOfElementType } from '../../graph/elementTypes';
import type { ByteLocation } from '../container';
import { OpenFiles } from '../files/openFiles';
import { ExternalDataResolver } from './externalData';
import { TensorProto_DataLocation, TensorProtoSchema, type TensorProto } from './generated/onnx';
import { bytesOfTensor } from './tensorData';
import type { ScannedTensor } from './wire/scanTensor';
import { decodeTypedFields } from './wire/typedFields';

/** Size of the pieces in which weights are copied. */
const pieceBytes = 8 * 2 ** 20;

/** Values of a model's tensors: in the message, cut out of it, or in another file. A single owner closes the files. */
export class OnnxWeights {
  private readonly resolver: ExternalDataResolver;
  private readonly files = new OpenFiles();

  constructor(
    /** Absolute path of the ONNX file. */
    readonly path: string,
    private readonly cut: ReadonlyMap<TensorProto, ScannedTensor>,
  ) {
    this.resolver = new ExternalDataResolver(path);
  }

  /** Element type and shape. Throws `malformed-file` for impossible types and shapes. */
  describe(tensor: TensorProto): { readonly dtype: DType; readonly shape: readonly number[] } {
    const scanned = this.cut.get(tensor);
    if (scanned?.problem !== undefined) throw this.malformed(tensor, scanned.problem);
    const dtype = dtypeOfElementType(tensor.dataType);
    if (dtype === undefined) throw this.malformed(tensor, `unknown element type ${tensor.dataType}.`);
    const elements = tensor.dims.reduce((product, length) => product * length, 1n);
    if (tensor.dims.some((length) => length < 0n || length > 2n ** 50n) || elements > 2n ** 50n)
      throw this.malformed(tensor, `the shape [${tensor.dims.join(', ')}] is not possible.`);
    return { dtype, shape: tensor.dims.map(Number) };
  }

  /** Position of the raw bytes on disk; undefined if they are in memory or must be decoded. */
  async locate(tensor: TensorProto): Promise<ByteLocation | undefined> {
    const { dtype, shape } = this.describe(tensor);
    const scanned = this.cut.get(tensor);
    if (scanned !== undefined)
      return scanned.storage.kind === 'raw'
        ? { file: this.path, offset: scanned.storage.offset, length: scanned.storage.length }
        : undefined;
    if (tensor.dataLocation !== TensorProto_DataLocation.EXTERNAL) return undefined;
    const entry = (key: string) => tensor.externalData.find((item) => item.key === key)?.value ?? '';
    const found = await this.resolver.resolve(
      { location: entry('location'), offset: entry('offset'), length: entry('length') },
      dtype,
      shape,
    );
    if (!found.ok) throw this.malformed(tensor, found.problem);
    return found.location;
  }

  /** All bytes, raw and little-endian; strings as by `bytesOfStrings`. */
  async read(tensor: TensorProto): Promise<Uint8Array> {
    const { dtype, shape } = this.describe(tensor);
    const location = await this.locate(tensor);
    if (location !== undefined) return this.files.read(location.file, location.offset, location.length);
    const scanned = this.cut.get(tensor);
    if (scanned === undefined) return bytesOfTensor(tensor, dtype, shape);
    const message = await this.files.read(this.path, scanned.start, scanned.end - scanned.start);
    return decodeTypedFields(message, { name: tensor.name, dtype, shape, file: this.path, offset: scanned.start });
  }

  /** The same in pieces, if the bytes are on disk. */
  async *pieces(tensor: TensorProto): AsyncIterable<Uint8Array> {
    const location = await this.locate(tensor);
    if (location === undefined) {
      yield await this.read(tensor);
      return;
    }
    for (let done = 0; done < location.length; done += pieceBytes)
      yield await this.files.read(location.file, location.offset + done, Math.min(pieceBytes, location.length - done));
  }

  /** True if the element type is known; tensors of other types are carried along unchanged. */
  isKnown(tensor: TensorProto): boolean {
    return dtypeOfElementType(tensor.dataType) !== undefined;
  }

  /** The whole message as in the file, for a tensor whose values were cut out. */
  async original(tensor: TensorProto): Promise<TensorProto> {
    const scanned = this.cut.get(tensor);
    return scanned === undefined
      ? tensor
      : fromBinary(TensorProtoSchema, await this.files.read(this.path, scanned.start, scanned.end - scanned.start));
  }

  /** Approximate number of bytes that the values take in the message: for strings and unknown types. */
  payload(tensor: TensorProto): number {
    const inMessage = tensor.rawData.byteLength + tensor.stringData.reduce((sum, text) => sum + text.byteLength + 4, 0);
    return this.cut.get(tensor)?.payload ?? inMessage + (tensor.int32Data.length + tensor.floatData.length) * 4;
  }

  /** True if the values were cut out of the message, so that it cannot be written unchanged. */
  isCut(tensor: TensorProto): boolean {
    return this.cut.has(tensor);
  }

  close(): Promise<void> {
    return this.files.close();
  }

  private malformed(tensor: TensorProto, problem: string): LoomweightError {
    return new LoomweightError('malformed-file', `Tensor '${tensor.name}': ${problem.replace(/\.$/, '')}: ${this.path}.`, {
      tensor: tensor.name,
      path: this.path,
      ...(this.cut.has(tensor) ? { offset: this.cut.get(tensor)?.start } : {}),
    });
  }
}
