import { int, type GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { drawTokens, isAnyOf, markSeen, type Sampling } from './sampling';

/** What happens when a document ends. */
export type DocumentEnd =
  /** Nothing: the sequence goes on behind the token. */
  | { readonly kind: 'none' }
  /** The sequence is finished; what is drawn after it has no meaning. */
  | { readonly kind: 'stop'; readonly ends: readonly number[] }
  /** A new document starts in the same sequence, with the start token where there is one that is not itself an end. */
  | { readonly kind: 'pack'; readonly ends: readonly number[]; readonly start: number | undefined };

/** What a generation does that is fixed in its graph. */
export interface Drawing {
  readonly vocabulary: number;
  readonly sampling: Sampling;
  readonly end: DocumentEnd;
  /** Also gives how probable each token is to the model. */
  readonly logProbabilities?: boolean;
}

/** What is carried from token to token besides the cache. */
export interface DrawState {
  /** The last token, [batch] int64. */
  readonly token: Value;
  /** Which token of its document the next one is, from 1, [batch] float32. */
  readonly index: Value;
  /** Only where sequences stop: true behind the end token, [batch] bool. */
  readonly finished?: Value | undefined;
  /** Only with a repetition penalty: as in `SamplingInputs`. */
  readonly seen?: Value | undefined;
}

/** The schedule of each sequence, [batch] float32 each. */
export interface TemperatureInputs {
  readonly first: Value;
  readonly last: Value;
  readonly length: Value;
}

/**
 * t(i) = first + min(i / length, 1) (last - first), for the i-th token of a document, from 1; a length of 0 gives `last` throughout. All [batch] float32.
 * Source: Carlini et al., "Extracting Training Data from Large Language Models", 2021, section 4.1, in a linear form.
 */
export function scheduledTemperature(build: GraphBuilder, index: Value, { first, last, length }: TemperatureInputs): Value {
  const share = build.op('Min', [build.op('Div', [index, length]), build.float32(1)]);
  // Exact at both ends, which first + share * (last - first) is not.
  return build.op('Add', [build.op('Mul', [first, build.op('Sub', [build.float32(1), share])]), build.op('Mul', [last, share])]);
}

/**
 * Natural logarithm of the probability that the model itself, at temperature 1 and without limits, gives to `tokens` [batch]: [batch] float32 from `logits` [batch, vocabulary].
 */
export function logProbabilityOf(build: GraphBuilder, logits: Value, tokens: Value): Value {
  const all = build.op('LogSoftmax', [logits], { axis: int(-1) });
  const one = build.op('GatherElements', [all, build.op('Unsqueeze', [tokens, build.int64([1])])], { axis: int(1) });
  return build.op('Squeeze', [one, build.int64([1])]);
}

/** Draws the next token of every sequence from `logits` [batch, vocabulary] and moves the state on. */
export function advance(
  build: GraphBuilder,
  { vocabulary, sampling, end }: Drawing,
  logits: Value,
  state: DrawState,
  inputs: { readonly temperatures: TemperatureInputs; readonly uniform: Value },
): DrawState {
  const one = build.float32(1);
  const start = end.kind === 'pack' && end.start !== undefined && !end.ends.includes(end.start) ? end.start : undefined;
  const begins = end.kind === 'pack' && end.ends.length > 0 ? isAnyOf(build, state.token, end.ends) : undefined;
  const index = begins ? build.op('Where', [begins, one, state.index]) : state.index;
  const temperature = scheduledTemperature(build, index, inputs.temperatures);
  const drawn = drawTokens(build, logits, vocabulary, sampling, { temperature, uniform: inputs.uniform, seen: state.seen });
  const forced = begins !== undefined && start !== undefined;
  const token = forced ? build.op('Where', [begins, build.int64(start), drawn]) : drawn;
  const following = build.op('Add', [index, one]);
  return {
    token,
    // The start token is not drawn: the first one behind it is.
    index: forced ? build.op('Where', [begins, one, following]) : following,
    ...(state.finished && end.kind === 'stop' && { finished: build.op('Or', [state.finished, isAnyOf(build, token, end.ends)]) }),
    ...(state.seen && { seen: markSeen(build, state.seen, token) }),
  };
}
