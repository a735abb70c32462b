import type { DecoderConfig } from '../architectures/architecture';
import { canFuseBlock } from '../architectures/decoder/fusedBlock';
import type { WeightReader } from '../models/weightReader';
import type { Runtime, RuntimeTensor, Session } from '../runtime/types';
import type { Drawing } from './advance';
import { checkRequest, Drawn, type GenerationRequest, type TokenGenerator } from './generator';
import { after, cacheNames, logProbabilitiesName, loopGraph } from './generationGraphs';
import { readGenerationWeights } from './generationWeights';
import { firstState, temperatureFeeds, uniformRows, type Feeds } from './stateFeeds';

/** How a decoder generates. */
export interface DecoderGeneratorOptions {
  readonly config: DecoderConfig;
  readonly weights: WeightReader;
  readonly drawing: Drawing;
  readonly runtime: Runtime;
  readonly signal?: AbortSignal | undefined;
  /** Tokens in one run of the loop. Default: chosen by time, which changes no token. */
  readonly tokensPerRun?: number;
  /** Bytes of weights up to which they are constants of the graph; more are its inputs. */
  readonly constantBytes?: number;
  /** Gives the logits to `onLogits` of a request. */
  readonly logits?: boolean;
}

/** Long enough that the cache's way out of the runtime and back costs little, short enough for progress and cancelling. */
const runSeconds = 0.15;
/** Tokens of a run however long it takes: with a large cache its way alone takes longer than the time above. */
const leastPerRun = 16;
const firstRun = 8;

/** Generates with the weights of a decoder: many tokens in each run of a Loop. */
export class DecoderGenerator implements TokenGenerator {
  private constructor(
    private readonly options: DecoderGeneratorOptions,
    private readonly feeds: Feeds,
    private readonly session: Session,
  ) {}

  /** Reads all weights into memory, float32. Errors: those of the reader and the runtime, `cancelled`. */
  static async create(options: DecoderGeneratorOptions): Promise<DecoderGenerator> {
    const { config, runtime, drawing, signal, logits = false } = options;
    const { feeds, source } = await readGenerationWeights(config, options.weights, { constantBytes: options.constantBytes, signal });
    const fused = runtime.environment.provider === 'cpu' && canFuseBlock(config);
    const graph = loopGraph({ config, fused, weights: source }, drawing, { logits });
    return new DecoderGenerator(options, feeds, await runtime.createFromGraph(graph, { keep: false }));
  }

  async generate(request: GenerationRequest): Promise<readonly (readonly number[])[]> {
    const { config, drawing, tokensPerRun, logits = false } = this.options;
    checkRequest(request, config.contextLength);
    const drawn = new Drawn(request, drawing);
    const uniforms = uniformRows(request);
    const batch = request.prompts.length;
    const temperatures = temperatureFeeds(request);
    const first = firstState(request, drawing);
    const names = Object.keys(first);
    const probabilities = drawing.logProbabilities === true ? [logProbabilitiesName] : [];
    const outputs = [
      'tokens',
      ...probabilities,
      ...(logits ? ['logits'] : []),
      ...names.map(after),
      ...this.cachePairs().map(([, present]) => present),
    ];
    let fed = int64([batch, (request.prompts[0] as readonly number[]).length], BigInt64Array.from(request.prompts.flat(), BigInt));
    let carried = { ...first, ...this.emptyCache(batch) };
    let perRun = tokensPerRun ?? firstRun;
    for (let made = 0; made < request.tokens && !drawn.finished;) {
      const steps = Math.min(perRun, request.tokens - made);
      const started = performance.now();
      const results = await this.session.run(
        {
          ...this.feeds,
          ...temperatures,
          ...carried,
          steps: int64([], BigInt64Array.of(BigInt(steps))),
          ids: fed,
          uniform: { dtype: 'float32', shape: [steps, batch], data: uniforms(steps) },
        },
        outputs,
      );
      const tokens = (results['tokens'] as RuntimeTensor).data as BigInt64Array;
      if (logits) request.onLogits?.((results['logits'] as RuntimeTensor).data as Float32Array);
      for (const name of probabilities) request.onLogProbabilities?.((results[name] as RuntimeTensor).data as Float32Array);
      fed = int64([batch, 1], tokens.slice(tokens.length - batch));
      carried = this.carry(results, names);
      made += steps;
      perRun = tokensPerRun ?? tokensFor(runSeconds, steps, (performance.now() - started) / 1000);
      drawn.add(tokens);
    }
    return drawn.tokens;
  }

  release(): Promise<void> {
    return this.session.release();
  }

  /** State and cache of a run as the inputs of the next one. */
  private carry(results: Feeds, names: readonly string[]): Feeds {
    return Object.fromEntries([
      ...names.map((name) => [name, results[after(name)] as RuntimeTensor] as const),
      ...this.cachePairs().map(([past, present]) => [past, results[present] as RuntimeTensor] as const),
    ]);
  }

  private cachePairs(): readonly (readonly [past: string, present: string])[] {
    return Array.from({ length: this.options.config.layers }, (_, block) => cacheNames(block)).flatMap(({ past, present }) =>
      past.map((name, index) => [name, present[index] as string] as const),
    );
  }

  private emptyCache(batch: number): Feeds {
    const { keyValueHeads, headSize } = this.options.config;
    const empty: RuntimeTensor = { dtype: 'float32', shape: [batch, keyValueHeads, 0, headSize], data: new Float32Array(0) };
    return Object.fromEntries(this.cachePairs().map(([past]) => [past, empty]));
  }
}

/** At most doubled, so that one slow run does not make the next one long. */
function tokensFor(seconds: number, steps: number, took: number): number {
  return Math.max(leastPerRun, Math.min(2 * steps, Math.floor((steps * seconds) / Math.max(took, 1e-4))));
}

function int64(shape: readonly number[], data: BigInt64Array): RuntimeTensor {
  return { dtype: 'int64', shape, data };
}
