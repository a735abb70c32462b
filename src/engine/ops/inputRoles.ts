import { ownEntry } from '../../common/ownEntry';
import type { InputRole, InputRoleTable } from '../graph/passes/inputRole';
import type { TableUse } from '../graph/passes/fixedTables';

/** What training must know about operators besides their gradients: which inputs are not weights. */

/** Inputs that are settings, by operator. */
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

/** Inputs that are statistics of batches. */
const statistics: Readonly<Record<string, readonly number[]>> = { BatchNormalization: [3, 4] };

/** Operators whose constant inputs may be masks and tables as well as weights. */
const tableUses: Readonly<Record<string, TableUse>> = { Add: 'sum', Sub: 'sum', Where: 'sum', Mul: 'product', Div: 'product' };

const rearranging = new Set(['Identity', 'Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Cast']);

const rounding = new Set(['QuantizeLinear', 'DynamicQuantizeLinear', 'com.microsoft:QuantizeLinear']);

/** An operator with its domain; standard operators without. */
export const operatorKey = (domain: string, op: string): string => (domain === '' || domain === 'ai.onnx' ? op : `${domain}:${op}`);

/** Roles of inputs, by operator. */
export const inputRoles: InputRoleTable = {
  inputRole: ({ domain, op }, input): InputRole => {
    const name = operatorKey(domain, op);
    if (ownEntry(settings, name)?.includes(input) === true) return 'setting';
    return ownEntry(statistics, name)?.includes(input) === true ? 'statistic' : 'weight';
  },
  tableUse: ({ domain, op }, input) =>
    operatorKey(domain, op) === 'Gather' && input === 0 ? 'lookup' : ownEntry(tableUses, operatorKey(domain, op)),
  passesOn: ({ domain, op }) => rearranging.has(operatorKey(domain, op)),
  rounds: ({ domain, op }) => rounding.has(operatorKey(domain, op)),
  makesWaves: ({ domain, op }) => operatorKey(domain, op) === 'Sin' || operatorKey(domain, op) === 'Cos',
};
