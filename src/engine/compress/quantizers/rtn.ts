import type { ParamValues } from '../../../common/params';
import type { TensorRole } from '../../../protocol/model';
import {
  bitsParameter,
  clipParameter,
  groupingOf,
  groupSizeParameter,
  matrixLayout,
  scalesParameter,
  symmetricParameter,
} from './parameters';
import type { QuantizedMatrix } from '../../outputs/planned/plannedTensor';
import { defineDataFree, planMixed, type OfferedTensor, type Quantizer } from './quantizer';
import { losesScales, roundWithEnoughScales } from './rounding/halfScales';
import { roundMatricesOnThreads, type MatrixToRound, type RoundedMatrix } from './rounding/roundOnThreads';

const untouched: readonly TensorRole[] = ['norm', 'bias'];

/** On the calling thread, one tensor at a time. */
const onOneThread = defineDataFree({
  id: 'rtn',
  label: 'Round to nearest',
  summary: 'Rounds every weight to the nearest level of its group. Needs no data.',
  source: { title: 'ONNX QuantizeLinear', url: 'https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html' },
  parameters: [
    bitsParameter({ min: 1, max: 8, default: 4 }),
    groupSizeParameter({ default: 32 }),
    symmetricParameter({ default: false }),
    scalesParameter(),
    clipParameter(),
  ],
  budgetChoices: { bits: [1, 2, 3, 4, 5, 6, 7, 8], groupSize: [32, 64, 128, 'row'], clip: [true] },
  appliesTo: (tensor) => !untouched.includes(tensor.role) || 'norms and biases are not compressed',
  layoutOf: ({ shape: [rows, columns] }, parameters) => matrixLayout(rows, columns, parameters),
  // Independent errors of seven layers add as squares; the factor leaves room for attention and the gate, which multiply them.
  blockErrorLimit: (weightErrors) => 4 * Math.sqrt(weightErrors.reduce((sum, error) => sum + error * error, 0)),
  plan: (offered, parameters) => {
    const { name, weights, rows, columns, options } = toRound(offered, parameters);
    return roundWithEnoughScales(name, weights, rows, columns, options);
  },
});

/** Round to nearest: no data, no search. The control that every other quantiser must beat. */
export const rtn: typeof onOneThread & Pick<Quantizer, 'takesStoredOrder'> = {
  ...onOneThread,
  takesStoredOrder: true,
  planBlock: async ({ tensors, threads, signal }) => {
    const round = async (matrices: readonly MatrixToRound[]): Promise<readonly RoundedMatrix[]> => {
      const rounded = await roundMatricesOnThreads(threads, matrices, { signal });
      const lossy = rounded.flatMap(({ matrix }, index) => (losesScales(matrix) ? [index] : []));
      if (lossy.length === 0) return rounded;
      const again = await roundMatricesOnThreads(
        threads,
        lossy.map((index) => withFloat32Scales(matrices[index]!)),
        { signal },
      );
      return rounded.map((one, index) => again[lossy.indexOf(index)] ?? one);
    };
    const plain = tensors.filter(({ groupBits }) => !groupBits);
    const rounded = await round(plain.map((offered) => toRound(offered, offered.parameters)));
    const results = new Map(plain.map(({ tensor }, index) => [tensor.name, rounded[index]!]));
    const planned = new Map<string, QuantizedMatrix>();
    for (const offered of tensors) {
      const { tensor, groupBits } = offered;
      planned.set(
        tensor.name,
        groupBits
          ? await planMixedWidths(async (one, parameters) => (await round([toRound(one, parameters)]))[0]!.matrix, {
              ...offered,
              groupBits,
            })
          : results.get(tensor.name)!.matrix,
      );
    }
    return { planned, relativeErrors: new Map([...results].map(([name, { relativeError }]) => [name, relativeError])) };
  },
};

function withFloat32Scales(matrix: MatrixToRound): MatrixToRound {
  return { ...matrix, options: { ...matrix.options, scaleDType: 'float32' } };
}

/** All widths of a matrix share one type of scales. */
async function planMixedWidths(...[plan, offered]: Parameters<typeof planMixed>): Promise<QuantizedMatrix> {
  let coarse = false;
  const planned = await planMixed(async (one, parameters) => {
    const matrix = await plan(one, parameters);
    coarse ||= matrix.scaleDType !== (parameters['scales'] === 'float32' ? 'float32' : 'float16');
    return matrix;
  }, offered);
  return coarse ? planMixed(plan, { ...offered, parameters: { ...offered.parameters, scales: 'float32' } }) : planned;
}

function toRound(
  { tensor, weights, transposed, codes, importance }: Omit<OfferedTensor, 'parameters' | 'groupBits'>,
  parameters: ParamValues,
): MatrixToRound {
  const [rows, columns] = tensor.shape;
  const options = {
    ...groupingOf(rows, columns, parameters),
    bits: Number(parameters['bits']),
    symmetric: parameters['symmetric'] === true,
    scaleDType: parameters['scales'] === 'float32' ? ('float32' as const) : ('float16' as const),
    clip: parameters['clip'] === true,
    ...(transposed ? { transposed } : {}),
    ...(importance === undefined ? {} : { importance }),
    ...(codes === undefined ? {} : { codes }),
  };
  return { name: tensor.name, weights, rows, columns, options };
}
