import { LoomweightError } from '../errors';
import type { JobSpec } from '../jobs';

/** Signals by which native code ends a process: an arithmetic fault, a bad instruction or address, a failed assertion. JavaScript causes none of them. */
const nativeSignals: Readonly<Record<string, string>> = {
  SIGFPE: 'an arithmetic fault, such as an integer division by zero or of the least integer by -1',
  SIGILL: 'an instruction that this processor does not have',
  SIGSEGV: 'an access outside of memory',
  SIGBUS: 'an access outside of a file or of memory',
  SIGABRT: 'a failed check of the runtime',
};

/** What is left of a job whose process ended early: finished steps of a recipe stay, and so does the checkpoint of a training. */
export const keptOfEnded = 'Nothing unfinished is kept, except the last checkpoint of a training.';

/** Keys of specifications whose values are models, in the order in which a person would name them. */
const modelKeys = ['model', 'first', 'second', 'base', 'donor', 'recipe'] as const;

/**
 * The error of a job whose process was ended from within native code: such code runs the model's own operators, so the error is about the model. A process that
 * ran out of JavaScript's heap ends with SIGABRT too and lacks memory. Undefined for every other end.
 */
export function nativeAbort(error: unknown, spec: JobSpec): LoomweightError | undefined {
  if (!LoomweightError.is(error, 'engine-crashed')) return undefined;
  const { signal, output } = (error.details ?? {}) as { readonly signal?: unknown; readonly output?: readonly string[] };
  const reason = typeof signal === 'string' && Object.hasOwn(nativeSignals, signal) ? nativeSignals[signal] : undefined;
  if (reason === undefined) return undefined;
  const fields = spec as JobSpec & Readonly<Record<string, unknown>>;
  const models = modelKeys.map((key) => fields[key]).filter((value): value is string => typeof value === 'string');
  const named = models.length > 0 ? models.join(' and ') : `the job '${spec.kind}'`;
  if (output?.some((line) => /heap out of memory|Allocation failed|FATAL ERROR: .*(?:heap|invalid (?:array|table) size)/i.test(line)))
    return new LoomweightError(
      'insufficient-memory',
      `The process that ran ${named} ran out of memory for its own bookkeeping. ${keptOfEnded} Use a smaller model, table or text.`,
      { ...error.details, models },
      { cause: error },
    );
  return new LoomweightError(
    'unsupported',
    `${named} cannot be run here: ONNX Runtime ended the process while it ran the model (${String(signal)}: ${reason}). ${keptOfEnded} ` +
      'Check the model with the program that wrote it, or export it again.',
    { ...error.details, models },
    { cause: error },
  );
}
