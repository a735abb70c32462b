import { LoomweightError } from '../../protocol/errors';
import type { ErrorCode } from '../../protocol/errors';

/** Messages of ONNX Runtime that mean something more exact than `runtime`. Codes do not exist on its errors: only text. */
const meanings: readonly { readonly pattern: RegExp; readonly code: ErrorCode; readonly advice: string }[] = [
  {
    pattern: /bad.?alloc|failed to allocate memory|out of memory|Available memory of .* is smaller/i,
    code: 'insufficient-memory',
    advice: 'Close other programs, reduce the batch or the window, or set a smaller --max-memory so that work is split into smaller parts.',
  },
  {
    pattern:
      /Could not find an implementation|is not a registered function\/op|No Op registered for|No opset import for domain|unsupported opset|NOT_IMPLEMENTED/i,
    code: 'unsupported',
    advice: 'The runtime does not support this operator. Choose another provider or another output format.',
  },
  {
    pattern: /requires f16 but the device does not support it/,
    code: 'unsupported',
    advice: 'This GPU does not support the 16-bit floats that the model uses. Run with --provider cpu.',
  },
  {
    pattern: /protobuf parsing failed|INVALID_PROTOBUF|INVALID_GRAPH|No graph was found|Type Error/i,
    code: 'malformed-file',
    advice: 'The model is damaged or not valid ONNX.',
  },
  { pattern: /NO_SUCHFILE|file doesn't exist|External data path/i, code: 'not-found', advice: 'A file of the model is missing.' },
];

/** Characters of the inputs' description in a message. */
const longestFeeds = 300;

/** What was being done when the runtime failed. */
export interface RunContext {
  /** Graph name or file. */
  readonly model: string;
  readonly action: 'create' | 'run';
  readonly provider: string;
  /** Names, types and shapes of what was fed. */
  readonly feeds?: string;
}

/**
 * An error of ONNX Runtime as ours: says the model, the node where the text names one, and the shapes that were fed.
 * Errors that are ours already pass unchanged.
 */
export function wrapOrtError(error: unknown, context: RunContext): LoomweightError {
  if (error instanceof LoomweightError) return error;
  const text = (error instanceof Error ? error.message : String(error)).trim();
  const meaning = meanings.find(({ pattern }) => pattern.test(text));
  const op = /running (\w+) node/.exec(text)?.[1] ?? /implementation for (\w+)\(/.exec(text)?.[1];
  const node = /Name:'([^']*)'/.exec(text)?.[1] ?? /node with name '([^']*)'/.exec(text)?.[1];
  const doing = context.action === 'create' ? 'could not load' : 'failed while running';
  const where = node ? ` at node '${node}'${op ? ` (${op})` : ''}` : op ? ` at an operator ${op}` : '';
  // A language model has dozens of cache inputs: the details hold them all.
  const shown = (context.feeds?.length ?? 0) > longestFeeds ? `${context.feeds?.slice(0, longestFeeds)} ...` : context.feeds;
  const feeds = shown ? ` Inputs: ${shown}.` : '';
  return new LoomweightError(
    meaning?.code ?? 'runtime',
    `ONNX Runtime (${context.provider}) ${doing} '${context.model}'${where}: ${text.replace(/\s+/g, ' ')}${text.endsWith('.') ? '' : '.'}` +
      `${feeds}${meaning ? ` ${meaning.advice}` : ''}`,
    { model: context.model, node, op, feeds: context.feeds, provider: context.provider },
    { cause: error },
  );
}
