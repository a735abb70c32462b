import type { TemperatureSchedule } from '../../common/temperatureSchedule';
import { LoomweightError, throwIfCancelled } from '../../protocol/errors';
import type { Drawing } from './advance';

/** Sequences that are generated together. */
export interface GenerationRequest {
  /** What the sequences start with: equal lengths, at least one token each. */
  readonly prompts: readonly (readonly number[])[];
  /** Tokens to draw for each sequence. Prompt and drawn tokens fit in the model's context. */
  readonly tokens: number;
  readonly seed: number;
  /** Index of the first sequence among all of the seed: later batches draw other numbers. Default 0. */
  readonly firstSequence?: number;
  /** One for all sequences, or one each. */
  readonly temperatures: TemperatureSchedule | readonly TemperatureSchedule[];
  readonly signal?: AbortSignal | undefined;
  /** Told what has been drawn since the last time: rows of one token for each sequence. */
  readonly onTokens?: (rows: readonly (readonly number[])[]) => void;
  /** Given the log probabilities of the same tokens before that, [rows, batch], where the drawing has them. */
  readonly onLogProbabilities?: (values: Float32Array) => void;
  /** Given the logits of the same tokens, [rows, batch, vocabulary], by generators that were asked for them. */
  readonly onLogits?: (logits: Float32Array) => void;
}

/** Draws tokens with a model. */
export interface TokenGenerator {
  /** The drawn tokens of each sequence; where sequences stop, up to and including the end token. */
  generate(request: GenerationRequest): Promise<readonly (readonly number[])[]>;
  release(): Promise<void>;
}

/** The rows drawn so far, and when to stop. */
export class Drawn {
  private readonly stops: readonly number[];
  private readonly sequences: number[][];
  private readonly stopped: boolean[];

  constructor(
    private readonly request: GenerationRequest,
    { end }: Drawing,
  ) {
    this.stops = end.kind === 'stop' ? end.ends : [];
    this.sequences = request.prompts.map(() => []);
    this.stopped = request.prompts.map(() => false);
  }

  get tokens(): readonly (readonly number[])[] {
    return this.sequences;
  }

  /** Rows [rows, batch] in order. */
  add(values: BigInt64Array): void {
    const batch = this.sequences.length;
    const rows: number[][] = [];
    for (let start = 0; start < values.length; start += batch) rows.push(Array.from(values.subarray(start, start + batch), Number));
    for (const row of rows)
      for (const [index, token] of row.entries()) {
        if (this.stopped[index] === true) continue;
        (this.sequences[index] as number[]).push(token);
        this.stopped[index] = this.stops.includes(token);
      }
    this.request.onTokens?.(rows);
    throwIfCancelled(this.request.signal);
  }

  get finished(): boolean {
    return this.stopped.every(Boolean);
  }
}

/** Errors: `invalid-argument` for prompts that the model cannot continue. */
export function checkRequest({ prompts, tokens }: GenerationRequest, contextLength: number): void {
  const length = prompts[0]?.length ?? 0;
  if (length === 0 || prompts.some((prompt) => prompt.length !== length))
    throw new LoomweightError('invalid-argument', 'Generating requires prompts of one length, with at least one token each.', {
      lengths: prompts.map((prompt) => prompt.length),
    });
  if (length + tokens > contextLength)
    throw new LoomweightError(
      'invalid-argument',
      `${length} tokens of prompt and ${tokens} more exceed the model's context of ${contextLength}. Use a shorter prompt or fewer tokens.`,
      { prompt: length, tokens, contextLength },
    );
}

/** Errors: `malformed-file` where log probabilities of drawn tokens are not numbers: every further token would have no meaning. */
export function checkLogProbabilities(values: Float32Array): void {
  if (!values.some(Number.isNaN)) return;
  throw new LoomweightError(
    'malformed-file',
    "The model's logits are not numbers (NaN): its weights are damaged, or its activations overflow float32. Check it with 'loomweight inspect MODEL --stats'.",
    {},
  );
}
