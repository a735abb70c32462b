import { LoomweightError } from '../../../protocol/errors';

/** Throws `malformed-file` if a statistic of the inputs of the layer `name` is not finite. `values` [columns]: one for each input. */
export function requireFiniteInputs(name: string, values: Float64Array): void {
  const column = values.findIndex((value) => !Number.isFinite(value));
  if (column < 0) return;
  throw new LoomweightError(
    'malformed-file',
    `The inputs of '${name}' are not finite on the calibration tokens (first at column ${column}): weights of an earlier layer contain NaN or infinity, or overflow. ` +
      `Repair the model, or use a method that needs no calibration.`,
    { tensor: name, column },
  );
}
