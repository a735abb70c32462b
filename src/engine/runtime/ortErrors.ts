import { LoomweightError } from '../../protocol/errors';
import type { ErrorCode } from '../../protocol/errors';

/** Messages of ONNX Runtime with a more specific meaning than `runtime`. Its errors have no codes, only text. */
const meanings: readonly {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly advice: string;
  /** In place of the runtime's text, where that is about its own source code. */
  readonly says?: (match: RegExpExecArray) => string;
}[] = [
  {
    pattern: /Unsupported model IR version: (\d+), max supported IR version: (\d+)/,
    code: 'unsupported',
    says: ([, found, most]) => `the file has IR version ${found}, and this ONNX Runtime reads versions up to ${most}.`,
    advice: 'Export the model again for an older version of ONNX.',
  },
  {
    pattern: /Opset (\d+) is under development[\s\S]*support for domain (\S+) is till opset (\d+)/,
    code: 'unsupported',
    says: ([, found, domain, most]) => `the model uses opset ${found} of ${domain}, and this ONNX Runtime supports opsets up to ${most}.`,
    advice: 'Export the model again with an older opset.',
  },
  {
    pattern: /the graph is not acyclic/,
    code: 'malformed-file',
    says: () => 'its nodes form a cycle.',
    advice: 'Export the model again.',
  },

  // Numbers of cudaError_t. Source: CUDA Runtime API, section "Data types used by CUDA Runtime".
  {
    pattern: /CUDA failure (35|36|803|804):/,
    code: 'unsupported',
    advice: 'The NVIDIA driver is older than the CUDA libraries: update the driver.',
  },
  {
    pattern: /CUDA failure (100|101):/,
    code: 'unsupported',
    advice: 'This process sees no NVIDIA GPU: check CUDA_VISIBLE_DEVICES, and start containers with GPU access.',
  },
  {
    pattern: /CUDA failure (98|209|222):/,
    code: 'unsupported',
    advice: 'The CUDA provider library has no code for the architecture of this GPU: install a build that supports it.',
  },
  {
    pattern: /CUDA failure (700|702|710|715|716|717|718|719):/,
    code: 'runtime',
    advice: 'The GPU refuses all further work from this process: run the job again.',
  },
  {
    pattern: /CUBLAS failure 3:|CUDNN failure 4000:/,
    code: 'insufficient-memory',
    advice: 'Close other programs that use the GPU, or reduce the batch or the window.',
  },
  {
    pattern: /Failed to load shared library/,
    code: 'unsupported',
    advice: 'A library that the provider requires is missing or too old: "loomweight devices" lists what was found.',
  },
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

/** What a model that the runtime refuses comes to, whatever the reason in the text says. */
const refusals: readonly {
  readonly action: RunContext['action'];
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly advice: string;
}[] = [
  {
    action: 'create',
    pattern:
      /invalid model|Invalid model|does not match expected size|is not output of any previous nodes|Duplicate definition|not a valid/,
    code: 'malformed-file',
    advice: 'The model is damaged or not valid ONNX.',
  },
  {
    action: 'create',
    pattern: /^/,
    code: 'unsupported',
    advice: 'The runtime refuses this model. Check it with onnx.checker, or export it again.',
  },
  {
    action: 'run',
    pattern: /Non-zero status code returned while running/,
    code: 'unsupported',
    advice: 'The model cannot be run on these inputs.',
  },
];

/** Maximum length of the inputs' description in a message. */
const longestFeeds = 300;

/** What was being done when the runtime failed. */
export interface RunContext {
  /** Graph name or file. */
  readonly model: string;
  readonly action: 'create' | 'run';
  readonly provider: string;
  /** The graph is that of a file, not one that was built here: what is wrong with it is wrong with the file. */
  readonly fromFile?: boolean;
  /** Names, types and shapes of the inputs. */
  readonly feeds?: string;
}

/** CUDA's errors include source lines, template names and the name of the machine: keep only what failed and in which call. */
function withoutCudaNoise(text: string): string {
  const failure = /\b((?:CUDA|CUBLAS|CUDNN|CURAND|CUFFT)\w* failure \d+: [^;]+?)\s*;/.exec(text)?.[1];
  if (failure === undefined) return text;
  const call = /\bexpr=([^;]+?)\s*;/.exec(text)?.[1];
  return `${failure}${call ? ` (${call})` : ''}`;
}

/**
 * Converts an error of ONNX Runtime to a LoomweightError with the model, the node if the text names one, and the shapes of the inputs.
 * LoomweightErrors pass unchanged.
 */
export function wrapOrtError(error: unknown, context: RunContext): LoomweightError {
  if (error instanceof LoomweightError) return error;
  const raw = (error instanceof Error ? error.message : String(error)).trim();
  const text = withoutCudaNoise(raw);
  const known = meanings.find(({ pattern }) => pattern.test(text));
  const match = known?.pattern.exec(text);
  const said = known?.says && match ? known.says(match) : text.replace(/\s+/g, ' ');
  const refusal =
    context.fromFile === true ? refusals.find(({ action, pattern }) => action === context.action && pattern.test(text)) : undefined;
  const meaning = known ?? refusal;
  const op = /running (\w+) node/.exec(raw)?.[1] ?? /implementation for (\w+)\(/.exec(raw)?.[1];
  const node = /Name:'([^']*)'/.exec(raw)?.[1] ?? /node with name '([^']*)'/.exec(raw)?.[1];
  const doing = context.action === 'create' ? 'could not load' : 'failed while running';
  const where = node ? ` at node '${node}'${op ? ` (${op})` : ''}` : op ? ` at an operator ${op}` : '';
  // A language model has dozens of cache inputs: the details list them all.
  const shown = (context.feeds?.length ?? 0) > longestFeeds ? `${context.feeds?.slice(0, longestFeeds)} ...` : context.feeds;
  const feeds = shown ? ` Inputs: ${shown}.` : '';
  return new LoomweightError(
    meaning?.code ?? 'runtime',
    `ONNX Runtime (${context.provider}) ${doing} '${context.model}'${where}: ${said}${said.endsWith('.') ? '' : '.'}` +
      `${feeds}${meaning ? ` ${meaning.advice}` : ''}`,
    { model: context.model, node, op, feeds: context.feeds, provider: context.provider },
    { cause: error },
  );
}
