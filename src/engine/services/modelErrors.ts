import { LoomweightError } from '../../protocol/errors';

/**
 * A job builds graphs from the graph of its model. Where an operator of that does not take its inputs, the model is damaged or not supported, and nothing
 * that the user asked for is wrong. Other errors pass unchanged.
 */
export function aboutTheModel(error: unknown): unknown {
  if (!LoomweightError.is(error, 'invalid-argument') || error.details?.['node'] === undefined || error.details['graph'] === undefined)
    return error;
  return new LoomweightError(
    'malformed-file',
    `${error.message} The model is damaged, or it needs other lengths than those of the data.`,
    error.details,
    { cause: error },
  );
}
