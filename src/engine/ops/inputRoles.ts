import type { InputRole, InputRoleTable } from '../graph/passes/parameters';
import type { TableUse } from '../graph/passes/fixedTables';
import type { TrainingFormTable } from '../graph/passes/batchStatistics';
import { int } from '../graph/builder';
import { intAttribute } from './inference';

/** What training must know of operators besides their gradients: which inputs hold no weights, and which nodes work differently. */

/** Inputs that are numbers somebody chose, by operator. */
const settings: Readonly<Record<string, readonly number[]>> = {
  Clip: [1, 2],
  'com.microsoft:GroupQueryAttention': [7, 8],
  'com.microsoft:MatMulNBits': [2],
  'com.microsoft:RotaryEmbedding': [2, 3],
  DequantizeLinear: [1],
  Dropout: [1],
  OneHot: [2],
  Pad: [2],
  QuantizeLinear: [1],
  Range: [0, 1, 2],
  Resize: [1, 2],
  RotaryEmbedding: [1, 2],
  Upsample: [1],
};

/** Inputs that follow the batches. */
const statistics: Readonly<Record<string, readonly number[]>> = { BatchNormalization: [3, 4] };

/** Operators beside whose activations masks and tables stand as well as weights. */
const tableUses: Readonly<Record<string, TableUse>> = { Add: 'sum', Sub: 'sum', Where: 'sum', Mul: 'product', Div: 'product' };

const rearranging = new Set(['Identity', 'Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Cast']);

const key = (domain: string, op: string): string => (domain === '' || domain === 'ai.onnx' ? op : `${domain}:${op}`);

/** Roles of inputs. */
export const inputRoles: InputRoleTable = {
  inputRole: ({ domain, op }, input): InputRole => {
    const name = key(domain, op);
    if (settings[name]?.includes(input) === true) return 'setting';
    return statistics[name]?.includes(input) === true ? 'statistic' : 'weight';
  },
  tableUse: ({ domain, op }, input) => (key(domain, op) === 'Gather' && input === 0 ? 'lookup' : tableUses[key(domain, op)]),
  passesOn: ({ domain, op }) => rearranging.has(key(domain, op)),
  makesWaves: ({ domain, op }) => key(domain, op) === 'Sin' || key(domain, op) === 'Cos',
};

/**
 * Batch normalisation by the batch: y from the batch's mean and variance; the stored ones become momentum * stored + (1 - momentum) * the batch's
 * (ONNX defines the variance over all values, PyTorch's running variance is n / (n - 1) of that).
 */
export const trainingForms: TrainingFormTable = {
  trainingForm: (node, inputs, build) => {
    if (key(node.domain, node.op) !== 'BatchNormalization' || intAttribute(node, 'training_mode', 0) !== 0) return undefined;
    const attributes = { ...node.attributes, training_mode: int(1) };
    const [y, mean, variance] = build.node(node.op, inputs, attributes, {
      domain: node.domain,
      name: build.freeName(node.name),
      outputs: 3,
    });
    if (!y || !mean || !variance) return undefined;
    return {
      outputs: [y],
      updates: [
        { input: 3, value: mean },
        { input: 4, value: variance },
      ],
    };
  },
};
