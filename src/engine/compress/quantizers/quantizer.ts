import type { ParamSpec, ParamValue, ParamValues } from '../../../common/params';
import type { DType } from '../../../protocol/dtypes';
import type { MethodSource } from '../../../protocol/methods';
import type { TensorRole } from '../../../protocol/model';
import type { Statistic } from '../../blocks/taps/tap';
import type { Products } from '../../kernels/host/secondOrder/subtractProduct';
import type { HostThreads } from '../../kernels/host/threads/hostThreads';
import type { PlannedLayout, PlannedTensor, QuantizedMatrix } from '../../outputs/planned/plannedTensor';

/** A weight matrix offered to a method. */
export interface QuantizableTensor {
  readonly name: string;
  readonly role: TensorRole;
  /** [out, in]; convolution kernels folded to [out, in * kernel]. */
  readonly shape: readonly [rows: number, columns: number];
  /** Type in the source's file. */
  readonly dtype?: DType;
}

/** One tensor of a block, with its weights. */
export interface OfferedTensor {
  readonly tensor: QuantizableTensor;
  /** [rows * columns] float32, row-major, not changed. */
  readonly weights: Float32Array;
  /** True if `weights` is [columns * rows]: the matrix as the file stores it, for methods with `takesStoredOrder`. */
  readonly transposed?: true;
  readonly parameters: ParamValues;
  /** A buffer of the same length that may become the codes of the result: fresh memory costs time. Its content means nothing. */
  readonly codes?: Uint8Array;
  /** Where something is known of the layer's inputs: weight of each column's squared error, [columns]. */
  readonly importance?: Float32Array;
  /** Widths that a budget chose for single groups, [rows, groups]. */
  readonly groupBits?: Uint8Array;
}

/** What a method is given for one block, or for one tensor where it plans tensor by tensor. */
export interface BlockOffer {
  readonly tensors: readonly OfferedTensor[];
  /** Statistics of a tensor's inputs by id, those that the method needs; undefined if nothing enters the tensor, as for an embedding. */
  statisticsOf(name: string): ReadonlyMap<string, Statistic> | undefined;
  /** Values of another tensor of the model as it is stored: norms that a transform changes. */
  read(name: string): Promise<Float32Array>;
  readonly signal: AbortSignal | undefined;
  /** Adds a sentence to the report. */
  note(text: string): void;
  /** Products of large matrices. */
  readonly products: Products;
  /** Threads for loops over weights. Offered weights and buffers for codes may be in memory that all of them see. */
  readonly threads: HostThreads;
}

/** What a method made of a block. */
export interface BlockPlan {
  /** By name: one planned tensor for each that was offered, and new plain values of other tensors where the method folds something into them. */
  readonly planned: ReadonlyMap<string, PlannedTensor>;
  /** Weights from which tensors were planned, [rows * columns], where a transform changed them first: errors are those against these. */
  readonly transformed?: ReadonlyMap<string, Float32Array>;
  /** Relative errors of tensors, where the method measured them on the way; otherwise they are computed. */
  readonly relativeErrors?: ReadonlyMap<string, number>;
}

/** A quantisation or pruning method: a descriptor and a planning function. The runner never asks which method it runs. */
export interface Quantizer {
  readonly id: string;
  /** Default: `quantizer`. */
  readonly family?: 'quantizer' | 'pruner';
  readonly label: string;
  readonly summary: string;
  readonly source: MethodSource;
  readonly parameters: readonly ParamSpec[];
  /** True for a method that may leave every tensor alone: an empty plan is then no mistake. */
  readonly mayLeaveAll?: boolean;
  /**
   * Type in which a tensor that the method leaves alone is written, from the type it has in the source's file. Undefined: as the source gives it. Absent:
   * always so.
   */
  writtenType?(stored: DType, parameters: ParamValues): DType | undefined;
  /**
   * What a budget may choose from, by key of a parameter: every combination is an option, except that a parameter given by the user stays as given.
   * `bits` must be among the keys. Absent: the method has no widths to choose.
   */
  readonly budgetChoices?: Readonly<Record<string, readonly ParamValue[]>>;
  /** Ids of the statistics (blocks/taps) that must be gathered of each layer's inputs: none for data-free methods. */
  readonly needs: readonly string[];
  /** `block`: all tensors of a decoder block are offered together, block after block. Methods that need statistics plan so. */
  readonly unit: 'tensor' | 'block';
  /** Unit `block`: what the next block's statistics are gathered on. `result` (default): the outputs of the planned weights, whose errors it can then correct. */
  readonly propagate?: 'source' | 'result';
  /**
   * True for a method that also takes matrices transposed, as files may store them, if all groups of a tensor have one width. It then returns the relative errors too. Saves
   * transposing them first.
   */
  readonly takesStoredOrder?: true;
  /** True, or the reason why not, as the end of a sentence. */
  appliesTo(tensor: QuantizableTensor): true | string;
  /** How a tensor will be laid out, before it is planned. */
  layoutOf(tensor: QuantizableTensor, parameters: ParamValues): PlannedLayout;
  /**
   * The most by which a block's output may change, relative to what the block adds to its input, from the relative errors of its weights. A larger
   * change means a damaged weight, not rounding.
   */
  blockErrorLimit(weightErrors: readonly number[]): number;
  planBlock(offer: BlockOffer): Promise<BlockPlan>;
  /** Unit `block`: memory that planning one tensor takes besides its weights, its statistics and its codes, and seconds on one core. For the forecast. */
  planningCost?(tensor: QuantizableTensor): { readonly bytes: number; readonly seconds: number };
  /** Plans one matrix at once without statistics: data-free methods as they do, others by what comes close. A budget tries its options with it. */
  plan?(offered: Omit<OfferedTensor, 'parameters' | 'groupBits'>, parameters: ParamValues): QuantizedMatrix;
}

/** Checks a descriptor's type; keeps method files free of annotations. */
export function defineQuantizer(quantizer: Quantizer): Quantizer {
  return quantizer;
}

/** A data-free method from a function that plans one matrix. */
export function defineDataFree(
  quantizer: Omit<Quantizer, 'needs' | 'unit' | 'planBlock' | 'plan'> & { readonly plan: NonNullable<Quantizer['plan']> },
): Quantizer & { readonly plan: NonNullable<Quantizer['plan']> } {
  return {
    ...quantizer,
    needs: [],
    unit: 'tensor',
    planBlock: async ({ tensors }) => {
      const planned = new Map<string, QuantizedMatrix>();
      for (const offered of tensors) planned.set(offered.tensor.name, await planOffered(quantizer.plan, offered));
      return { planned };
    },
  };
}

async function planOffered(plan: NonNullable<Quantizer['plan']>, offered: OfferedTensor): Promise<QuantizedMatrix> {
  const { groupBits, parameters, ...context } = offered;
  return groupBits ? planMixed(plan, { ...context, parameters, groupBits }) : plan(context, parameters);
}

/** Plans one matrix with one width, on this thread or on others. */
type PlanMatrix = (
  offered: Omit<OfferedTensor, 'parameters' | 'groupBits'>,
  parameters: ParamValues,
) => QuantizedMatrix | Promise<QuantizedMatrix>;

/**
 * Rounds a matrix whose groups have their own widths: the method plans it once for each width that occurs, and every group takes its codes from the one of its width. Groups of
 * 0 bits are pruned: codes, scale and zero point are 0. `groupBits` [rows, groups] goes with the parameters' group size.
 */
export async function planMixed(plan: PlanMatrix, offered: OfferedTensor & { readonly groupBits: Uint8Array }): Promise<QuantizedMatrix> {
  const { tensor, weights, parameters, groupBits, importance } = offered;
  const [rows, columns] = tensor.shape;
  const widths = [...new Set(groupBits)].filter((bits) => bits > 0).sort((a, b) => a - b);
  const codes = new Uint8Array(rows * columns);
  const scales = new Float32Array(groupBits.length);
  const zeroPoints = new Uint8Array(groupBits.length);
  const perRow = groupBits.length / rows;
  let layout: QuantizedMatrix | undefined;
  for (const bits of widths.length > 0 ? widths : [1]) {
    const matrix = await plan({ tensor, weights, ...(importance ? { importance } : {}) }, { ...parameters, bits });
    layout = matrix;
    for (let group = 0; group < groupBits.length; group += 1) {
      if (groupBits[group] !== bits) continue;
      const row = Math.floor(group / perRow);
      const start = row * columns + (group % perRow) * matrix.groupSize;
      const end = Math.min(start + matrix.groupSize, (row + 1) * columns);
      codes.set(matrix.codes.subarray(start, end), start);
      scales[group] = matrix.scales[group] as number;
      zeroPoints[group] = matrix.zeroPoints[group] as number;
    }
  }
  return { ...(layout as QuantizedMatrix), codes, scales, zeroPoints, groupBits };
}
