import { globMatcher } from '../../../../common/glob';
import { elementCount } from '../../../../protocol/dtypes';
import type { TrainableParameter, WeightMethodContext } from '../../contract';

/** What a method rounds, and what the rest of the model costs. */
export interface SelectedTensors {
  readonly quantized: readonly TrainableParameter[];
  /** Bits of everything that stays float. */
  readonly restBits: number;
}

/**
 * The tensors that a method quantises: those with more entries than `minimumSize` MiB of float32 hold, whose full name and last part match no
 * glob of `exclude`. Tied tensors are one parameter and count once.
 */
export function selectTensors({
  parameters,
  exclude,
  minimumSize,
  halfRest,
}: Pick<WeightMethodContext, 'parameters' | 'exclude' | 'minimumSize' | 'halfRest'>): SelectedTensors {
  const excluded = exclude.map(globMatcher);
  const limit = Math.floor((minimumSize * 2 ** 20) / 4);
  const chosen = ({ name, tiedTo, shape }: TrainableParameter): boolean =>
    elementCount(shape) > limit &&
    ![name, ...tiedTo].some((each) => excluded.some((matches) => matches(each) || matches(each.slice(each.lastIndexOf('.') + 1))));
  const quantized = parameters.filter(chosen);
  const rest = parameters.filter((parameter) => !chosen(parameter));
  const restEntries = rest.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return { quantized, restBits: restEntries * (halfRest ? 16 : 32) };
}
