import type { IntegerOrWordParam, ParamValues } from '../../../common/params';
import { throwIfCancelled } from '../../../protocol/errors';
import type { Products } from '../../kernels/host/secondOrder/subtractProduct';
import type { SparseTensor } from '../../outputs/planned/plannedTensor';
import type { FactoredHessian } from '../quantizers/gptq/factoredHessian';
import { dampingParameter, SharedHessians, sweepBlock, sweepCost } from '../quantizers/gptq/sharedHessians';
import { groupingOf, groupSizeParameter, matrixLayout, scalesParameter, symmetricParameter } from '../quantizers/parameters';
import { defineQuantizer, type OfferedTensor } from '../quantizers/quantizer';
import { losesScales } from '../quantizers/rounding/halfScales';
import { rtn } from '../quantizers/rtn';
import { patternParameter, prunedOfRow, sparseLayout, sparsityOf, sparsityParameter } from './parameters';
import { sweepPruned } from './sweepPruned';
import { refuseUnranked } from './sparseTensor';

const bitsOfKept: IntegerOrWordParam = {
  key: 'bits',
  label: 'Bits',
  doc: 'Bits per kept weight, rounded in the same sweep; none keeps them as floats.',
  kind: 'integer-or-word',
  min: 1,
  max: 8,
  words: ['none'],
  default: 'none',
};

/** Prunes block after block of columns and moves the columns that follow to make up for it. */
export const sparsegpt = defineQuantizer({
  id: 'sparsegpt',
  family: 'pruner',
  label: 'SparseGPT',
  summary:
    'Sets the weights to 0 that cost the outputs on calibration text least, and corrects the columns that follow. Can round what is kept in the same sweep.',
  source: {
    title: 'SparseGPT: Massive Language Models Can be Accurately Pruned in One-Shot',
    authors: 'Frantar, Alistarh',
    year: 2023,
    url: 'https://arxiv.org/abs/2301.00774',
    equation: 'Algorithm 1',
  },
  parameters: [
    sparsityParameter,
    patternParameter,
    dampingParameter,
    bitsOfKept,
    groupSizeParameter({ default: 32 }),
    symmetricParameter({ default: false }),
    scalesParameter(),
  ],
  needs: ['gram'],
  unit: 'block',
  propagate: 'result',
  appliesTo: rtn.appliesTo,
  layoutOf: (tensor, parameters) => {
    const { pattern, sparsity, window } = sparsityOf(parameters);
    const [rows, columns] = tensor.shape;
    let pruned = window ? rows * prunedOfRow(columns, window) : 0;
    if (!window && sparsity > 0)
      for (let from = 0; from < columns; from += sweepBlock) {
        const count = rows * Math.min(sweepBlock, columns - from);
        pruned += Math.min(count, Math.floor(count * sparsity) + 1);
      }
    const layout = sparseLayout(tensor, pattern, pruned);
    return roundsKept(parameters) ? { ...layout, quantized: matrixLayout(rows, columns, parameters) } : layout;
  },
  blockErrorLimit: rtn.blockErrorLimit,
  planningCost: sweepCost,
  planBlock: async (offer) => {
    const planned = new Map<string, SparseTensor>();
    const hessians = new SharedHessians(offer, offer.products);
    for (const offered of offer.tensors) {
      throwIfCancelled(offer.signal);
      const { tensor, weights, parameters } = offered;
      refuseUnranked(tensor, weights);
      const gram = offer.statisticsOf(tensor.name)?.get('gram');
      if (!gram) offer.note(`'${tensor.name}' has no inputs to calibrate on and was pruned by the magnitude of its weights.`);
      const hessian = gram
        ? await hessians.of(tensor.name, gram, { damping: Number(parameters['damping']), actOrder: false })
        : independentInputs(tensor.shape[1]);
      planned.set(tensor.name, await planPruned(offered, hessian, offer.products));
    }
    return { planned };
  },
});

function roundsKept(parameters: ParamValues): boolean {
  return typeof parameters['bits'] === 'number';
}

/** Inputs of one size that do not depend on each other: nothing corrects anything. */
function independentInputs(columns: number): FactoredHessian {
  const factor = new Float64Array(columns * columns);
  for (let column = 0; column < columns; column += 1) factor[column * columns + column] = 1;
  return { order: undefined, dead: [], factor, damping: 0 };
}

async function planPruned(
  { tensor, weights, parameters }: OfferedTensor,
  hessian: FactoredHessian,
  products: Products,
): Promise<SparseTensor> {
  const [rows, columns] = tensor.shape;
  const plan = async (scaleDType: 'float16' | 'float32'): Promise<SparseTensor> => {
    const { tensor: planned } = await sweepPruned({
      tensor,
      weights,
      hessian,
      sparsity: sparsityOf(parameters),
      blockSize: sweepBlock,
      ...(roundsKept(parameters)
        ? {
            rounding: {
              bits: Number(parameters['bits']),
              symmetric: parameters['symmetric'] === true,
              scaleDType,
              ...groupingOf(rows, columns, parameters),
            },
          }
        : {}),
      products,
    });
    return planned;
  };
  const made = await plan(parameters['scales'] === 'float32' ? 'float32' : 'float16');
  return made.quantized && losesScales(made.quantized) ? plan('float32') : made;
}
