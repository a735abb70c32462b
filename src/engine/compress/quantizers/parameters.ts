import type { BooleanParam, ChoiceParam, IntegerOrWordParam, IntegerParam, ParamValues } from '../../../common/params';
import type { MatrixLayout } from '../../outputs/planned/plannedTensor';

/** Largest group that can be asked for: longer than any row of a known model. */
const longestGroup = 1 << 20;

/** Bits of a code. */
export function bitsParameter(limits: { readonly min: number; readonly max: number; readonly default: number }): IntegerParam {
  return { key: 'bits', label: 'Bits', doc: 'Bits per stored weight.', kind: 'integer', unit: 'bits', ...limits };
}

/** Consecutive weights of a row that share one scale; or a whole row, or the whole tensor. The last group may be shorter. */
export function groupSizeParameter(options: { readonly default: number | string }): IntegerOrWordParam {
  return {
    key: 'groupSize',
    label: 'Group size',
    doc: 'Number of consecutive weights of a row that share a scale; the last group of a row may be shorter.',
    kind: 'integer-or-word',
    min: 1,
    max: longestGroup,
    words: ['row', 'tensor'],
    default: options.default,
  };
}

/** Levels spread evenly around zero, without stored zero points. */
export function symmetricParameter(options: { readonly default: boolean }): BooleanParam {
  return {
    key: 'symmetric',
    label: 'Symmetric',
    doc: 'Centres the levels on zero and stores no zero points.',
    kind: 'boolean',
    default: options.default,
  };
}

/** Type in which scales are stored. */
export function scalesParameter(): ChoiceParam {
  return {
    key: 'scales',
    label: 'Scales',
    doc: 'Element type of the stored scales.',
    kind: 'choice',
    choices: ['float16', 'float32'],
    default: 'float16',
  };
}

/** Ranges chosen by squared error. */
export function clipParameter(): BooleanParam {
  return {
    key: 'clip',
    label: 'Clip',
    doc: 'Chooses the range of each group to minimise the squared error, clipping outliers if that helps. Off: the range covers every weight.',
    kind: 'boolean',
    default: false,
  };
}

/** How a matrix is cut, from a resolved `groupSize`. */
export interface Grouping {
  readonly granularity: 'group' | 'row' | 'tensor';
  /** Weights of a row under one scale: the row's length for `row` and `tensor`. */
  readonly groupSize: number;
  readonly groupsPerRow: number;
  /** Scales to store: 1 for `tensor`. */
  readonly storedGroups: number;
}

/** Grouping of a [rows, columns] matrix. A group longer than the row is the row. */
export function groupingOf(rows: number, columns: number, parameters: ParamValues): Grouping {
  const asked = parameters['groupSize'];
  if (asked === 'tensor') return { granularity: 'tensor', groupSize: columns, groupsPerRow: 1, storedGroups: 1 };
  if (typeof asked !== 'number') return { granularity: 'row', groupSize: columns, groupsPerRow: 1, storedGroups: rows };
  const groupSize = Math.min(asked, columns);
  const groupsPerRow = Math.ceil(columns / groupSize);
  return { granularity: 'group', groupSize, groupsPerRow, storedGroups: rows * groupsPerRow };
}

/** Layout of a [rows, columns] matrix from resolved `bits`, `groupSize`, `symmetric` and `scales`. */
export function matrixLayout(rows: number, columns: number, parameters: ParamValues): MatrixLayout {
  const { granularity, groupSize } = groupingOf(rows, columns, parameters);
  return {
    kind: 'grouped',
    rows,
    columns,
    bits: Number(parameters['bits']),
    groupSize,
    granularity,
    symmetric: parameters['symmetric'] === true,
    scaleDType: parameters['scales'] === 'float32' ? 'float32' : 'float16',
  };
}
