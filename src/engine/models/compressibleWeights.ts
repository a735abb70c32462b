import { elementCount, floatDTypes } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { TensorRole } from '../../protocol/model';
import { decodeToFloat32 } from '../formats/decode';
import type { EditableWeight } from '../formats/onnx/edits';
import { editModel, type OnnxEditor } from '../formats/onnx/editModel';
import type { NodeProto } from '../formats/onnx/generated/onnx';
import { isStandard } from '../formats/onnx/walk';
import { transposeInto } from '../kernels/host/transpose';
import { fixedTransformOf, type FixedTransform } from './fixedTransforms';
import { weightPlaces, type WeightPlace } from './weightPlaces';

/** A weight of an ONNX graph that can be compressed, and how it is seen as a matrix whose rows are rounded in groups. */
export interface OnnxWeightUse {
  readonly role: TensorRole;
  /** True for a stored [columns, rows]. */
  readonly transposed: boolean;
  /** Leading axes that are the rows, where that is not the first alone. */
  readonly rowAxes?: number;
  /** Set where its values are those of a known transform, which is guessed to be no trained weight. */
  readonly fixed?: FixedTransform;
}

/** The weights of an ONNX model that can be compressed, and why the other float tensors with several axes cannot. */
export interface CompressibleWeights {
  readonly uses: ReadonlyMap<string, OnnxWeightUse>;
  /** The end of a sentence by name. */
  readonly reasons: ReadonlyMap<string, string>;
}

/**
 * Weights by name of which every use is that of a product, convolution, recurrent layer or look-up of rows, also behind nodes that only change shape, order or
 * type (see `productUse`), in the main graph and in bodies. Values are read of kernels of one channel and of the first eight matrices, to find known transforms.
 */
export async function findOnnxWeights(path: string): Promise<CompressibleWeights> {
  const editor = await editModel(path);
  try {
    refuseTwins(path, editor);
    const uses = new Map<string, OnnxWeightUse>();
    const reasons = new Map<string, string>();
    const read = { matrices: 0 };
    for (const weight of [...editor.weights().values(), ...editor.bodyWeights().values()]) {
      if (weight.shape.length < 2 || !floatDTypes.includes(weight.dtype)) continue;
      const found = useOf(editor, weight);
      if (typeof found === 'string') reasons.set(weight.name, found);
      else {
        const fixed = await transformOf(editor, weight, found, read);
        uses.set(weight.name, fixed ? { ...found, fixed } : found);
      }
    }
    return { uses, reasons };
  } finally {
    await editor.close();
  }
}

/** Transforms of audio models have at most a few thousand samples and frequencies: larger weights are not read. */
const largestTransform = 2 ** 22;
/** Matrices without a sign of it are read only where a model begins. */
const firstMatrices = 8;

/** The known transform that a weight holds. Read are kernels of one channel and the first matrices of a model. */
async function transformOf(
  editor: OnnxEditor,
  weight: EditableWeight,
  use: OnnxWeightUse,
  read: { matrices: number },
): Promise<FixedTransform | undefined> {
  const { name, shape, dtype } = weight;
  const elements = elementCount(shape);
  if (use.role === 'embedding' || elements > largestTransform) return undefined;
  if (use.role !== 'convolution' || shape[1] !== 1) {
    // A signal cut into frames is transformed by a matrix, or by a convolution of one place.
    const isMatrix = use.role === 'convolution' ? elementCount(shape.slice(2)) === 1 : shape.length === 2;
    if (!isMatrix || (read.matrices += 1) > firstMatrices) return undefined;
  }
  const stored = decodeToFloat32(dtype, await editor.read(name));
  const [first, others] = [shape[0] as number, elements / (shape[0] as number)];
  return use.transposed
    ? fixedTransformOf(transposeInto(stored, others, 0, first, new Float32Array(elements)), others, first)
    : fixedTransformOf(stored, first, others);
}

/** Runtimes disagree on which of two initialisers of one name counts. */
function refuseTwins(path: string, editor: OnnxEditor): void {
  const seen = new Set<string>();
  for (const { name } of editor.graph.initializer) {
    if (seen.has(name))
      throw new LoomweightError(
        'malformed-file',
        `Two initialisers of ${path} are named '${name}', and runtimes disagree on which of them counts. Remove one, or export the model again.`,
        { path, tensor: name },
      );
    seen.add(name);
  }
}

function useOf(editor: OnnxEditor, weight: EditableWeight): OnnxWeightUse | string {
  if (weight.isOutput) return 'it is an output of its graph';
  if (weight.uses.length === 0) return 'no node takes it';
  const places = weightPlaces(editor, weight).filter(({ node }) => node.opType !== 'Shape' && node.opType !== 'Size');
  const other = places.find(({ use }) => use === undefined);
  if (other) return reasonOf(other, editor);
  const views = places.map((place) => viewOf(weight.shape, place));
  const [first] = views;
  if (first === undefined) return 'only its shape is used';
  const agree = views.every(({ transposed, rowAxes }) => transposed === first.transposed && rowAxes === first.rowAxes);
  const role = places.some(({ use }) => use?.role === 'embedding') ? 'embedding' : first.role;
  return agree ? { ...first, role } : natural(weight.shape, role);
}

/** The matrix whose columns are what an operator sums over, where those axes are the last ones or the first of two; otherwise the last axis. */
export function viewOf(shape: readonly number[], { use, axes }: WeightPlace): OnnxWeightUse {
  const role = use?.role ?? 'other';
  const summed = use?.summed?.map((axis) => axes?.[axis] ?? -1).sort((a, b) => a - b);
  if (summed === undefined || summed.length === 0 || summed.includes(-1)) return natural(shape, role);
  const first = shape.length - summed.length;
  if (summed.every((axis, index) => axis === first + index)) return withRows(role, first);
  return shape.length === 2 && summed[0] === 0 && summed.length === 1 ? { role, transposed: true } : natural(shape, role);
}

/** Rows along the last axis; kernels and tables by their first. */
function natural(shape: readonly number[], role: TensorRole): OnnxWeightUse {
  return withRows(role, role === 'linear' ? shape.length - 1 : 1);
}

function withRows(role: TensorRole, rowAxes: number): OnnxWeightUse {
  return { role, transposed: false, ...(rowAxes === 1 ? {} : { rowAxes }) };
}

function reasonOf({ node, chain, input }: WeightPlace, editor: OnnxEditor): string {
  const behind = chain.length === 0 ? '' : `, behind ${[...new Set(chain.map(({ opType }) => opType))].join(' and ')}`;
  const output = node.output[0] ?? '';
  if (chain.at(-1) === node && editor.isOutput(output, node)) return `it is an output of its graph${behind}`;
  return `input ${input} of ${titleOf(node)} is no product, convolution, recurrent layer or look-up of rows${behind}`;
}

function titleOf({ opType, domain, name }: NodeProto): string {
  return `${isStandard({ domain }) ? opType : `${domain}.${opType}`}${name === '' ? '' : ` '${name}'`}`;
}
