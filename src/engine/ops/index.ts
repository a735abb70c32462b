import type { DifferentiableOperator, GradientTable } from '../graph/gradient';
import type { OperatorTable } from '../graph/operator';
import type { TrainingFormTable } from '../graph/passes/batchStatistics';
import type { FoldTable } from '../graph/passes/folding';
import type { InputRoleTable } from '../graph/passes/inputRole';
import { activationOperators } from './activations';
import { alongAxisOperators } from './alongAxis';
import { attentionOperators } from './attention';
import { channelNormalizationOperators } from './channelNormalization';
import { comparisonOperators } from './comparison';
import { controlFlowOperators } from './controlFlow';
import { convolutionOperators } from './convolution';
import { einsumOperators } from './einsum';
import { elementwiseOperators } from './elementwise';
import { foldings } from './folding/index';
import { indexingOperators } from './indexing';
import { inputRoles } from './inputRoles';
import { lossOperators } from './losses';
import { matMulOperators } from './matmul';
import { normalizationOperators } from './normalization';
import { poolingOperators } from './pooling';
import { quantizationOperators } from './quantization';
import { quantizedProductOperators } from './quantizedProducts';
import { recurrentOperators } from './recurrent';
import { reductionOperators } from './reduction';
import { reshapeOperators } from './reshape';
import { resizeOperators } from './resize';
import { rotaryOperators } from './rotary';
import { selectionOperators } from './selection';
import { slicingOperators } from './slicing';
import { softmaxOperators } from './softmax';
import { sourceOperators } from './sources';
import { trigonometryOperators } from './trigonometry';
import { trainingForms } from './trainingForms';

/** Every supported operator, in no particular order. Add a new operator to its family's list, and a new family here. */
export const registry: readonly DifferentiableOperator[] = [
  ...elementwiseOperators,
  ...selectionOperators,
  ...trigonometryOperators,
  ...activationOperators,
  ...comparisonOperators,
  ...matMulOperators,
  ...quantizedProductOperators,
  ...reductionOperators,
  ...softmaxOperators,
  ...alongAxisOperators,
  ...lossOperators,
  ...reshapeOperators,
  ...slicingOperators,
  ...resizeOperators,
  ...poolingOperators,
  ...indexingOperators,
  ...sourceOperators,
  ...normalizationOperators,
  ...channelNormalizationOperators,
  ...recurrentOperators,
  ...attentionOperators,
  ...rotaryOperators,
  ...quantizationOperators,
  ...convolutionOperators,
  ...einsumOperators,
  ...controlFlowOperators,
];

/** The operators as the builder and the verifier take them. `ai.onnx` is another name of the standard domain. */
export const operators: OperatorTable & GradientTable & FoldTable & InputRoleTable & TrainingFormTable = {
  get: (domain, name) => byName.get(`${domain === 'ai.onnx' ? '' : domain}:${name}`),
  fold: foldings.fold,
  ...inputRoles,
  ...trainingForms,
};

const byName: ReadonlyMap<string, DifferentiableOperator> = new Map(
  registry.map((operator) => [`${operator.domain}:${operator.name}`, operator]),
);
