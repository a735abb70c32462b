import type { DifferentiableOperator, GradientTable } from '../graph/gradient';
import type { OperatorTable } from '../graph/operator';
import { attentionOperators } from './attention';
import { controlFlowOperators } from './controlFlow';
import { convolutionOperators } from './convolution';
import { einsumOperators } from './einsum';
import { elementwiseOperators } from './elementwise';
import { indexingOperators } from './indexing';
import { matMulOperators } from './matmul';
import { normalizationOperators } from './normalization';
import { quantizationOperators } from './quantization';
import { reductionOperators } from './reduction';
import { reshapeOperators } from './reshape';
import { sourceOperators } from './sources';

/** Every operator we know, in no particular order. A new one is added to its family's list, a new family here. */
export const registry: readonly DifferentiableOperator[] = [
  ...elementwiseOperators,
  ...matMulOperators,
  ...reductionOperators,
  ...reshapeOperators,
  ...indexingOperators,
  ...sourceOperators,
  ...normalizationOperators,
  ...attentionOperators,
  ...quantizationOperators,
  ...convolutionOperators,
  ...einsumOperators,
  ...controlFlowOperators,
];

/** The operators as builder and verifier take them. `ai.onnx` is another name of the standard domain. */
export const operators: OperatorTable & GradientTable = {
  get: (domain, name) => byName.get(`${domain === 'ai.onnx' ? '' : domain}:${name}`),
};

const byName: ReadonlyMap<string, DifferentiableOperator> = new Map(
  registry.map((operator) => [`${operator.domain}:${operator.name}`, operator]),
);
