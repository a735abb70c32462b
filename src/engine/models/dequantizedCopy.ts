import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTemporaryFolder } from '../formats/files/temporaryFolder';
import { LoomweightError } from '../../protocol/errors';
import { decodeToFloat32 } from '../formats/decode';
import { editModel, type OnnxEditor } from '../formats/onnx/editModel';
import type { NodeProto } from '../formats/onnx/generated/onnx';
import { dequantizeBlocks } from '../kernels/host/dequantizeBlocks';
import type { RuntimeTensor } from '../runtime/types';
import { packedProductsOf, weightsKey, type PackedProduct } from './packedProducts';

/** A temporary copy of an ONNX file that takes some of its weights as inputs. */
export interface DequantizedCopy {
  readonly path: string;
  /** The weights, float32 [rows, columns]: to be fed in every run. */
  readonly feeds: Readonly<Record<string, RuntimeTensor>>;
  /** Removes the file. May be called twice: on some systems a file cannot be removed while a session has it mapped. */
  remove(): Promise<void>;
}

/**
 * A copy of an ONNX file in which the chosen products take float32 weights as graph inputs, dequantised exactly. The weights are in memory once, as arrays: on the
 * CPU the runtime reads inputs where they are, and on many rows an input is as fast as a constant. Needs as many bytes on disk as the other weights have.
 * Errors: `insufficient-disk`, and those of reading the file.
 */
export async function dequantizedCopy(path: string, chosen: (product: PackedProduct) => boolean): Promise<DequantizedCopy> {
  const folder = createTemporaryFolder('dequantized');
  const remove = () => folder.remove();
  try {
    const copy = join(folder.path, 'model.onnx');
    return { path: copy, feeds: await writeCopy(path, copy, chosen), remove };
  } catch (error) {
    await remove();
    if (LoomweightError.is(error) && error.code === 'insufficient-disk')
      throw new LoomweightError('insufficient-disk', `Not enough space in ${tmpdir()} for a copy of ${path} without its slow weights.`, {
        path,
      });
    throw error;
  }
}

async function writeCopy(path: string, copy: string, chosen: (product: PackedProduct) => boolean): Promise<Record<string, RuntimeTensor>> {
  const editor = await editModel(path);
  try {
    const feeds: Record<string, RuntimeTensor> = {};
    const inputs = new Map<string, string>();
    for (const product of packedProductsOf(editor).filter(chosen)) {
      const key = weightsKey(product);
      let input = inputs.get(key);
      if (input === undefined) {
        input = editor.uniqueName(`${product.codes}_dequantized`);
        inputs.set(key, input);
        const shape = [product.rows, product.columns];
        feeds[input] = { dtype: 'float32', shape, data: await valuesOf(editor, product) };
        editor.addInitializer(input, { dtype: 'float32', shape, pieces: () => [] });
        editor.emptyWeight(input);
      }
      replaceProduct(editor, product.node, input);
    }
    editor.removeUnusedWeights();
    await editor.write(copy);
    return feeds;
  } finally {
    await editor.close();
  }
}

/** x [..., columns] times weights [rows, columns], transposed, plus the bias where the node has one. */
function replaceProduct(editor: OnnxEditor, node: NodeProto, weights: string): void {
  const [x = '', , , , , bias = ''] = node.input;
  const [output = ''] = node.output;
  const product = bias === '' ? output : editor.uniqueName(`${output}_product`);
  const transB = { kind: 'int', value: 1 } as const;
  const fused = { op: 'FusedMatMul', domain: 'com.microsoft', inputs: [x, weights], outputs: [product], attributes: { transB } };
  editor.replaceNode(node, bias === '' ? [fused] : [fused, { op: 'Add', inputs: [product, bias], outputs: [output] }]);
}

async function valuesOf(editor: OnnxEditor, { codes, scales, zeros, ...layout }: PackedProduct): Promise<Float32Array> {
  const weights = editor.weights();
  const floats = async (name: string) => decodeToFloat32(weights.get(name)!.dtype, await editor.read(name));
  const zeroPoints =
    zeros === undefined ? undefined : weights.get(zeros)?.dtype === 'uint8' ? await editor.read(zeros) : await floats(zeros);
  return dequantizeBlocks({ ...layout, codes: await editor.read(codes), scales: await floats(scales), zeros: zeroPoints });
}
