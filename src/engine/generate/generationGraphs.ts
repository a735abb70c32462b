import type { DecoderConfig, WeightSource } from '../architectures/architecture';
import { cachedStep } from '../architectures/decoder/cachedStep';
import type { BlockCache } from '../architectures/decoder/decoderBlock';
import { rotaryTables } from '../architectures/decoder/fusedBlock';
import { axisLength } from '../architectures/decoder/languageModel';
import { GraphBuilder, int } from '../graph/builder';
import type { Graph, Value } from '../graph/graph';
import { operators } from '../ops';
import { advance, logProbabilityOf, type Drawing, type DrawState, type TemperatureInputs } from './advance';

/** What the graph of a generation is built from. */
export interface GenerationModel {
  readonly config: DecoderConfig;
  /** Makes weights in the builder that it is given: that of the whole graph, not of the body. */
  weights(build: GraphBuilder): WeightSource;
  /** ONNX Runtime's own operators (CPU only). */
  readonly fused: boolean;
}

/** Names of the state's inputs. */
export const stateNames = { index: 'index', finished: 'finished', seen: 'seen' } as const;

/** The output with the log probability of each token, [drawn, batch] float32; of one draw [batch]. */
export const logProbabilitiesName = 'log_probabilities';

/** The output that carries a value of the state on. */
export const after = (name: string): string => `${name}/after`;

/** Names of a block's cache as inputs and as outputs. */
export const cacheNames = (block: number) =>
  ({ past: [`past.${block}.key`, `past.${block}.value`], present: [`present.${block}.key`, `present.${block}.value`] }) as const;

/**
 * Many tokens in one run: a Loop over `cachedStep` and the drawing. The first turn takes all of `ids`, each further one the token drawn before. Inputs: steps [] int64; ids [batch, sequence] int64,
 * of which with a cache there is one; the state (`index` [batch] float32, where the drawing has them `finished` [batch] bool and `seen` [batch, vocabulary] float32); first_temperature,
 * last_temperature, schedule_length [batch] float32; uniform [steps, batch] float32; past.N.key and .value [batch, keyValueHeads, past, headSize] float32; the weights. Outputs: tokens [drawn, batch]
 * int64 (fewer than `steps` where every sequence is finished), their log probabilities where the drawing has them, the state under `after(name)`, present.N.key and .value, and with `logits` those of each turn, [drawn, batch, vocabulary] float32.
 */
export function loopGraph(model: GenerationModel, drawing: Drawing, { logits: withLogits = false } = {}): Graph {
  const { config } = model;
  const build = new GraphBuilder(operators, 'generation');
  const steps = build.input('steps', { dtype: 'int64', shape: [] });
  const ids = build.input('ids', { dtype: 'int64', shape: ['batch', 'sequence'] });
  const temperatures = temperatureInputs(build);
  const uniforms = build.input('uniform', { dtype: 'float32', shape: ['steps', 'batch'] });
  const past = cacheInputs(build, config);
  const state = stateInputs(build, drawing);
  const weights = model.weights(build);
  const tables = model.fused ? rotaryTables(build, config, positionsOf(build, { ids, past, steps })) : undefined;

  const body = build.subgraph('next_token');
  const iteration = body.input('iteration', { dtype: 'int64', shape: [] });
  const condition = body.input('condition', { dtype: 'bool', shape: [] });
  const fed = body.input('carried/ids', { dtype: 'int64', shape: ['batch', 'fed'] });
  const carried = stateInputs(body, drawing, 'carried/');
  const cache = cacheInputs(body, config, 'carried/');
  const total = body.op('Add', [pastLength(body, cache), axisLength(body, fed, 1)]);
  const { logits, present } = cachedStep(body, config, weights, { ids: fed, past: cache, total, tables });
  const token = body.op('Gather', [fed, body.int64(-1)], { axis: int(1) });
  const uniform = body.op('Gather', [uniforms, iteration], { axis: int(0) });
  const next = advance(body, drawing, logits, { token, ...carried }, { temperatures, uniform });
  body.output(next.finished ? someUnfinished(body, next.finished) : body.op('Identity', [condition]));
  body.output(body.op('Unsqueeze', [next.token, body.int64([1])]));
  for (const [, value] of namedState(next)) body.output(value);
  for (const { key, value } of present) for (const each of [key, value]) body.output(each);
  body.output(next.token, 'drawn');
  const scanned = ['tokens'];
  if (drawing.logProbabilities === true) {
    body.output(logProbabilityOf(body, logits, next.token));
    scanned.push(logProbabilitiesName);
  }
  if (withLogits) {
    body.output(logits, 'drawn_from');
    scanned.push('logits');
  }

  const names = namedState(state).map(([name]) => name);
  const start = [ids, ...namedState(state).map(([, value]) => value), ...past.flatMap(({ key, value }) => [key, value])];
  const attributes = { body: { kind: 'graph' as const, value: body.finish() } };
  const results = build.node('Loop', [steps, undefined, ...start], attributes, { outputs: start.length + scanned.length });
  for (const [index, name] of scanned.entries()) build.output(results[start.length + index] as Value, name);
  for (const [index, name] of names.entries()) build.output(results[1 + index] as Value, after(name));
  const caches = results.slice(1 + names.length);
  for (let block = 0; block < config.layers; block += 1)
    for (const [index, name] of cacheNames(block).present.entries()) build.output(caches[2 * block + index] as Value, name);
  return build.finish();
}

/**
 * One draw from given logits, for models whose graph is not ours. Inputs: logits [batch, vocabulary] float32, token [batch] int64 (the last one of each sequence), and the state, temperatures and
 * uniform [batch] as in `loopGraph`. Outputs: drawn [batch] int64, the state.
 */
export function drawGraph(drawing: Drawing): Graph {
  const build = new GraphBuilder(operators, 'draw');
  const logits = build.input('logits', { dtype: 'float32', shape: ['batch', drawing.vocabulary] });
  const token = build.input('token', { dtype: 'int64', shape: ['batch'] });
  const temperatures = temperatureInputs(build);
  const uniform = build.input('uniform', { dtype: 'float32', shape: ['batch'] });
  const next = advance(build, drawing, logits, { token, ...stateInputs(build, drawing) }, { temperatures, uniform });
  build.output(next.token, 'drawn');
  if (drawing.logProbabilities === true) build.output(logProbabilityOf(build, logits, next.token), logProbabilitiesName);
  for (const [name, value] of namedState(next)) build.output(value, after(name));
  return build.finish();
}

/** Number of positions that a run reaches: those of the cache, of the ids and of the tokens that are drawn and fed again. */
function positionsOf(
  build: GraphBuilder,
  { ids, past, steps }: { readonly ids: Value; readonly past: readonly BlockCache[]; readonly steps: Value },
): Value {
  return build.op('Add', [build.op('Add', [pastLength(build, past), axisLength(build, ids, 1)]), steps]);
}

function pastLength(build: GraphBuilder, past: readonly BlockCache[]): Value {
  return axisLength(build, (past[0] as BlockCache).key, 2);
}

function someUnfinished(build: GraphBuilder, finished: Value): Value {
  const all = build.op('ReduceMin', [build.op('Cast', [finished], { to: int(6) })], { keepdims: int(0) });
  return build.op('Not', [build.op('Cast', [all], { to: int(9) })]);
}

function temperatureInputs(build: GraphBuilder): TemperatureInputs {
  const batched = { dtype: 'float32' as const, shape: ['batch'] };
  return {
    first: build.input('first_temperature', batched),
    last: build.input('last_temperature', batched),
    length: build.input('schedule_length', batched),
  };
}

/** True if the drawing keeps account of the tokens that are in a sequence. */
export function penalises({ sampling: { repetitionPenalty = 1 } }: Drawing): boolean {
  return repetitionPenalty !== 1;
}

function stateInputs(build: GraphBuilder, drawing: Drawing, prefix = ''): Omit<DrawState, 'token'> {
  return {
    index: build.input(`${prefix}${stateNames.index}`, { dtype: 'float32', shape: ['batch'] }),
    ...(drawing.end.kind === 'stop' && { finished: build.input(`${prefix}${stateNames.finished}`, { dtype: 'bool', shape: ['batch'] }) }),
    ...(penalises(drawing) && {
      seen: build.input(`${prefix}${stateNames.seen}`, { dtype: 'float32', shape: ['batch', drawing.vocabulary] }),
    }),
  };
}

/** The state in the order in which graphs carry it. */
function namedState({ index, finished, seen }: Omit<DrawState, 'token'>): readonly (readonly [name: string, value: Value])[] {
  return [
    [stateNames.index, index],
    ...(finished ? [[stateNames.finished, finished] as const] : []),
    ...(seen ? [[stateNames.seen, seen] as const] : []),
  ];
}

function cacheInputs(build: GraphBuilder, config: DecoderConfig, prefix = ''): readonly BlockCache[] {
  const type = { dtype: 'float32' as const, shape: ['batch', config.keyValueHeads, `${prefix}past`, config.headSize] };
  return Array.from({ length: config.layers }, (_, block) => {
    const [key, value] = cacheNames(block).past;
    return { key: build.input(`${prefix}${key}`, type), value: build.input(`${prefix}${value}`, type) };
  });
}
