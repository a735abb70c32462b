import type { Node } from '../graph';
import type { TableUse } from './fixedTables';

/** The role of an operator's input: a weight is trained, a statistic follows the batches, a setting is a fixed number. */
export type InputRole = 'weight' | 'statistic' | 'setting';

/** What passes must know about operators to find the weights of a graph. */
export interface InputRoleTable {
  inputRole(node: Node, input: number): InputRole;
  /**
   * How an operator uses an input that may be a mask or table as well as a weight: Add, Mul, Gather. Undefined: only weights are possible.
   */
  tableUse(node: Node, input: number): TableUse | undefined;
  /** True for operators that change the shape, order or type of their first input: the use of the weight is behind them. */
  passesOn(node: Node): boolean;
  /** True for operators that round floats to codes: QuantizeLinear. */
  rounds(node: Node): boolean;
  /** True for Sin and Cos: applied to positions, they use the frequencies of an embedding. */
  makesWaves(node: Node): boolean;
}
