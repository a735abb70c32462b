import { float16ToNumber } from '../../common/halfFloat';
import { LoomweightError } from '../../protocol/errors';
import { asInteger, emptyInput, isCacheInput, type Port } from '../evaluate/onnxInputs';
import type { TensorContainer } from '../formats/container';
import type { Runtime, RuntimeTensor, Session } from '../runtime/types';
import type { Drawing } from './advance';
import { checkRequest, Drawn, type GenerationRequest, type TokenGenerator } from './generator';
import { after, drawGraph, logProbabilitiesName } from './generationGraphs';
import { firstState, temperatureFeeds, uniformRows, type Feeds } from './stateFeeds';

const purpose = 'Generating';

/** How an ONNX language model generates. */
export interface OnnxGeneratorOptions {
  readonly container: TensorContainer;
  readonly contextLength: number;
  /** `vocabulary` is replaced by that of the logits. */
  readonly drawing: Omit<Drawing, 'vocabulary'>;
  readonly runtime: Runtime;
}

/** What a run of the model takes besides the cache: ids [batch, length] behind `past` tokens. */
interface Turn {
  readonly ids: BigInt64Array;
  readonly batch: number;
  readonly length: number;
  readonly past: number;
}

/**
 * Generates with an ONNX language model of Optimum's names, as it is in its file, token by token: a run of the model, then a draw from its logits. Without the cache's outputs the whole sequence
 * is run again for every token.
 */
export class OnnxGenerator implements TokenGenerator {
  private draw: Session | undefined;

  private constructor(
    private readonly options: OnnxGeneratorOptions,
    private readonly session: Session,
    private readonly inputs: readonly Port[],
    /** Input of the cache to the output that continues it; undefined if the graph does not give it. */
    private readonly cache: ReadonlyMap<string, string> | undefined,
  ) {}

  /** Checks inputs and outputs before the model is loaded. Errors: `unsupported`. */
  static async create(options: OnnxGeneratorOptions): Promise<OnnxGenerator> {
    const { container, runtime } = options;
    const { inputs, outputs } = checkLanguageModel(container);
    return new OnnxGenerator(options, await runtime.createFromFile(container.path), inputs, cachePairs(inputs, outputs));
  }

  async generate(request: GenerationRequest): Promise<readonly (readonly number[])[]> {
    checkRequest(request, this.options.contextLength);
    const { prompts, tokens } = request;
    const batch = prompts.length;
    const drawing: Drawing = { vocabulary: 0, ...this.options.drawing };
    const drawn = new Drawn(request, drawing);
    const uniforms = uniformRows(request);
    const temperatures = temperatureFeeds(request);
    let state: Feeds | undefined;
    let cache: Feeds = {};
    let rows = prompts.map((prompt) => [...prompt]);
    let past = 0;
    for (let made = 0; made < tokens && !drawn.finished; made += 1) {
      const length = (rows[0] as readonly number[]).length;
      const outputs = await this.run({ ids: BigInt64Array.from(rows.flat(), BigInt), batch, length, past }, cache);
      const logits = lastLogits(outputs['logits'] as RuntimeTensor, batch);
      const vocabulary = logits.shape[1] as number;
      this.draw ??= await this.options.runtime.createFromGraph(drawGraph({ ...drawing, vocabulary }), { keep: false });
      const before: Feeds = state ?? firstState(request, { ...drawing, vocabulary });
      const results = await this.draw.run({
        logits,
        token: { dtype: 'int64', shape: [batch], data: BigInt64Array.from(rows, (row) => BigInt(row.at(-1) as number)) },
        ...before,
        ...temperatures,
        uniform: { dtype: 'float32', shape: [batch], data: uniforms(1) },
      });
      state = Object.fromEntries(Object.keys(before).map((name) => [name, results[after(name)] as RuntimeTensor]));
      const next = (results['drawn'] as RuntimeTensor).data as BigInt64Array;
      if (this.cache) {
        cache = Object.fromEntries([...this.cache].map(([input, output]) => [input, outputs[output] as RuntimeTensor]));
        past += length;
        rows = Array.from(next, (token) => [Number(token)]);
      } else {
        rows = rows.map((row, index) => [...row, Number(next[index])]);
      }
      if (drawing.logProbabilities === true)
        request.onLogProbabilities?.((results[logProbabilitiesName] as RuntimeTensor).data as Float32Array);
      drawn.add(next);
    }
    return drawn.tokens;
  }

  async release(): Promise<void> {
    await this.draw?.release();
    await this.session.release();
  }

  private run({ ids, batch, length, past }: Turn, cache: Feeds): Promise<Feeds> {
    const counted = (input: Port, count: number, value: (index: number) => number) =>
      asInteger(
        input,
        BigInt64Array.from({ length: batch * count }, (_, index) => BigInt(value(index % count))),
        [batch, count],
      );
    const feeds = this.inputs.map((input): readonly [string, RuntimeTensor] => {
      const { name } = input;
      if (name === 'input_ids') return [name, asInteger(input, ids, [batch, length])];
      if (name === 'attention_mask') return [name, counted(input, past + length, () => 1)];
      if (name === 'position_ids') return [name, counted(input, length, (index) => past + index)];
      if (name === 'use_cache_branch') return [name, { dtype: 'bool', shape: [1], data: Uint8Array.of(past > 0 ? 1 : 0) }];
      return [name, cache[name] ?? emptyInput(input, batch, length, purpose)];
    });
    return this.session.run(Object.fromEntries(feeds), ['logits', ...(this.cache?.values() ?? [])]);
  }
}

/** Inputs and outputs of a graph that can generate. Errors: `unsupported`. */
export function checkLanguageModel({ graph, path }: Pick<TensorContainer, 'graph' | 'path'>): {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
} {
  const { inputs = [], outputs = [] } = graph ?? {};
  if (!inputs.some(({ name }) => name === 'input_ids') || !outputs.some(({ name }) => name === 'logits')) {
    const names = (ports: readonly Port[]) => ports.map(({ name }) => name).join(', ') || 'none';
    throw new LoomweightError(
      'unsupported',
      `Generating requires an ONNX graph with the input 'input_ids' and the output 'logits', but ${path} has ${names(inputs)} and ` +
        `${names(outputs)}. Use a language model.`,
      { path },
    );
  }
  for (const input of inputs) emptyInput(input, 1, 1, purpose);
  return { inputs, outputs };
}

/** Optimum's names: `past_key_values.0.key` continues as `present.0.key`. */
function cachePairs(inputs: readonly Port[], outputs: readonly Port[]): ReadonlyMap<string, string> | undefined {
  const known = new Set(outputs.map(({ name }) => name));
  const pairs = inputs
    .filter(isCacheInput)
    .map(({ name }) => [name, name.replace(/^past_key_values\./, 'present.').replace(/^past_/, 'present_')] as const);
  return pairs.length > 0 && pairs.every(([, output]) => known.has(output)) ? new Map(pairs) : undefined;
}

/** The logits of the last position as float32, [batch, vocabulary]. Errors: `unsupported` for another shape or type. */
function lastLogits({ dtype, shape, data }: RuntimeTensor, batch: number): RuntimeTensor {
  const vocabulary = shape.at(-1) as number;
  if (shape.length !== 3 || shape[0] !== batch || (dtype !== 'float32' && dtype !== 'float16'))
    throw new LoomweightError(
      'unsupported',
      `Generating requires logits [${batch}, sequence, vocabulary] in float32 or float16, got ${dtype}[${shape.join(', ')}].`,
      { dtype, shape },
    );
  const values = data as Float32Array | Uint16Array;
  const positions = shape[1] as number;
  const last = new Float32Array(batch * vocabulary);
  for (let row = 0; row < batch; row += 1) {
    const start = (row * positions + positions - 1) * vocabulary;
    const part = values.subarray(start, start + vocabulary);
    last.set(dtype === 'float16' ? Array.from(part, float16ToNumber) : part, row * vocabulary);
  }
  return { dtype: 'float32', shape: [batch, vocabulary], data: last };
}
