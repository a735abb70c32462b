import type { BooleanParam, ParamValues } from '../../../common/params';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import type { Products } from '../../kernels/host/secondOrder/subtractProduct';
import type { QuantizedMatrix } from '../../outputs/planned/plannedTensor';
import type { FactoredHessian } from './gptq/factoredHessian';
import { actOrderParameter, dampingParameter, SharedHessians, sweepBlock, sweepCost } from './gptq/sharedHessians';
import { sweepMatrix } from './gptq/sweepMatrix';
import { bitsParameter, groupingOf, groupSizeParameter, matrixLayout, scalesParameter, symmetricParameter } from './parameters';
import { defineQuantizer, type BlockOffer, type OfferedTensor } from './quantizer';
import { losesScales } from './rounding/halfScales';
import { rtn } from './rtn';

const staticGroups: BooleanParam = {
  key: 'staticGroups',
  label: 'Static groups',
  doc: 'With activation order: groups are adjacent columns, with scales from the original weights. Off: groups follow the order of rounding, which only hf and onnx-packed store.',
  kind: 'boolean',
  default: true,
};

const clip: BooleanParam = {
  key: 'clip',
  label: 'Clip',
  doc: 'Shortens the range of each group where that lowers the sum of its errors to the power 2.4. Off: the range covers every weight.',
  kind: 'boolean',
  default: false,
};

/** Rounds column after column and moves the columns that follow to make up for the error. */
export const gptq = defineQuantizer({
  id: 'gptq',
  label: 'GPTQ',
  summary: 'Rounds a layer column after column and corrects the columns that follow, so that its outputs on calibration text change least.',
  source: {
    title: 'GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers',
    authors: 'Frantar, Ashkboos, Hoefler, Alistarh',
    year: 2022,
    url: 'https://arxiv.org/abs/2210.17323',
    equation: 'Algorithm 1',
  },
  parameters: [
    bitsParameter({ min: 1, max: 8, default: 4 }),
    groupSizeParameter({ default: 32 }),
    symmetricParameter({ default: false }),
    scalesParameter(),
    clip,
    actOrderParameter,
    staticGroups,
    dampingParameter,
  ],
  // What is lost by rounding to nearest ranks widths and groups as what is lost by this method does.
  budgetChoices: { bits: [1, 2, 3, 4, 5, 6, 7, 8], groupSize: [32, 64, 128, 'row'], clip: [true] },
  plan: (offered, parameters) => rtn.plan(offered, parameters),
  needs: ['gram'],
  unit: 'block',
  propagate: 'result',
  appliesTo: rtn.appliesTo,
  layoutOf: ({ shape: [rows, columns] }, parameters) => {
    const layout = matrixLayout(rows, columns, parameters);
    return isSorted(rows, columns, parameters) ? { ...layout, columnsAreSorted: true } : layout;
  },
  blockErrorLimit: rtn.blockErrorLimit,
  planningCost: sweepCost,
  planBlock: async (offer) => {
    const planned = new Map<string, QuantizedMatrix>();
    const hessians = new SharedHessians(offer, offer.products);
    for (const offered of offer.tensors) {
      throwIfCancelled(offer.signal);
      const { tensor, parameters } = offered;
      const { name } = tensor;
      const gram = offer.statisticsOf(name)?.get('gram');
      const options = { damping: Number(parameters['damping']), actOrder: parameters['actOrder'] === true };
      planned.set(
        name,
        gram ? await planSwept(offered, await hessians.of(name, gram, options), offer.products) : await planWithoutInputs(offer, offered),
      );
    }
    return { planned };
  },
});

/** True if groups are cut from the columns in the order of rounding. */
function isSorted(rows: number, columns: number, parameters: ParamValues): boolean {
  return parameters['actOrder'] === true && parameters['staticGroups'] !== true && groupingOf(rows, columns, parameters).groupsPerRow > 1;
}

async function planSwept(offered: OfferedTensor, hessian: FactoredHessian, products: Products): Promise<QuantizedMatrix> {
  const { tensor, weights, parameters, groupBits, codes } = offered;
  const [rows, columns] = tensor.shape;
  if (groupBits && isSorted(rows, columns, parameters))
    throw new LoomweightError(
      'invalid-argument',
      `Widths of single groups or channels require static groups, but '${tensor.name}' has groups in the order of rounding. Omit --no-static-groups, or use --no-act-order.`,
      { tensor: tensor.name },
    );
  const plan = async (scaleDType: 'float16' | 'float32'): Promise<QuantizedMatrix> => {
    const { matrix: planned } = await sweepMatrix({
      name: tensor.name,
      rows,
      columns,
      weights,
      hessian,
      ...groupingOf(rows, columns, parameters),
      bits: Number(parameters['bits']),
      symmetric: parameters['symmetric'] === true,
      clip: parameters['clip'] === true,
      scaleDType,
      staticGroups: parameters['staticGroups'] === true || groupBits !== undefined,
      blockSize: sweepBlock,
      ...(groupBits ? { groupBits } : {}),
      ...(codes ? { codes } : {}),
      products,
    });
    return planned;
  };
  const matrix = await plan(parameters['scales'] === 'float32' ? 'float32' : 'float16');
  return losesScales(matrix) ? plan('float32') : matrix;
}

/** An embedding is looked up and multiplies nothing: its rows are rounded to nearest. */
async function planWithoutInputs(offer: BlockOffer, offered: OfferedTensor): Promise<QuantizedMatrix> {
  const { name } = offered.tensor;
  offer.note(`'${name}' has no inputs to calibrate on and was rounded to nearest.`);
  const { planned } = await rtn.planBlock({ ...offer, tensors: [offered] });
  return planned.get(name) as QuantizedMatrix;
}
