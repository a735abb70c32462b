import { dequantizeLearned, learnedBits } from '../formats/archive/dequantizeLearned';
import { float16ToNumber, numberToFloat16 } from '../../common/halfFloat';
import { throwIfCancelled } from '../../protocol/errors';
import type { TrainingEvaluation } from '../../protocol/training';
import { binaryAuc, classAccuracy } from '../evaluate/metrics';
import { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { operators } from '../ops/index';
import type { Runtime, RuntimeTensor, Session } from '../runtime/types';
import type { BatchInput } from './batches';
import type { HostState, MethodPlan, TrainableModel } from './contract';
import type { TrainingData } from './data/trainingData';
import { addLoss, judgedOutput } from './loss';
import { transposeMatrix } from '../kernels/host/transposeMatrix';

/** Held-out loss and metric with the weights that would be written. */
export type Evaluation = TrainingEvaluation & { readonly bitsPerWeight: number };

const weightName = (name: string): string => `weight/${name}`;

/** What is evaluated. */
export interface EvaluatorOptions {
  readonly model: TrainableModel;
  readonly plan: MethodPlan;
  readonly data: TrainingData;
  readonly batch: number;
  /** Weights that stay float are rounded to float16, as they will be stored. */
  readonly halfRest: boolean;
}

/** Evaluates states of a training with truly quantised weights: what the written file will hold, on data that no step sees. */
export class Evaluator {
  /** Prepared graphs by batch size: full batches, and the rest. */
  private readonly sessions = new Map<number, Session>();

  constructor(
    private readonly runtime: Runtime,
    private readonly options: EvaluatorOptions,
  ) {}

  async evaluate(state: HostState, step: number, signal?: AbortSignal): Promise<Evaluation> {
    const { data, batch, plan } = this.options;
    const learned = plan.realize(state);
    const weights = this.weights(state, learned);
    const score = newScore(data);
    for (let first = 0; first < data.evaluation.samples; first += batch) {
      throwIfCancelled(signal);
      const count = Math.min(batch, data.evaluation.samples - first);
      const inputs = data.evaluation.slice(first, count);
      const session = await this.session(count);
      const feeds = { ...inputs, ...weights };
      const wanted = Object.fromEntries(session.inputNames.map((name) => [name, feeds[name] as RuntimeTensor]));
      score.add(await session.run(wanted), inputs['label'] as RuntimeTensor, first);
    }
    const storedBits = learned.reduce((sum, tensor) => sum + learnedBits(tensor), 0);
    const storedWeights = learned.reduce((sum, { levels }) => sum + levels.length, 0);
    const plainBits = this.options.halfRest ? 16 : 32;
    return { step, ...score.result(), bitsPerWeight: storedWeights === 0 ? plainBits : storedBits / storedWeights };
  }

  async release(): Promise<void> {
    for (const session of this.sessions.values()) await session.release();
    this.sessions.clear();
  }

  /** Every parameter and buffer as the written model has it, in held order. */
  private weights(state: HostState, learned: ReturnType<MethodPlan['realize']>): Readonly<Record<string, RuntimeTensor>> {
    const { model, halfRest } = this.options;
    const quantized = new Map(learned.map((tensor) => [tensor.name, tensor]));
    const feeds: Record<string, RuntimeTensor> = {};
    for (const { name, heldShape, held, shape } of model.parameters) {
      const tensor = quantized.get(name);
      const canonical = tensor && dequantizeLearned(tensor);
      const data =
        canonical === undefined
          ? asStored(state.parameter(name), halfRest)
          : held === 'transposed'
            ? transposeMatrix(canonical, shape[0] as number, shape[1] as number)
            : canonical;
      feeds[weightName(name)] = { dtype: 'float32', shape: heldShape, data };
    }
    for (const { name, shape } of model.buffers) feeds[weightName(name)] = { dtype: 'float32', shape, data: state.parameter(name) };
    return feeds;
  }

  private async session(count: number): Promise<Session> {
    const known = this.sessions.get(count);
    if (known) return known;
    const { model, data } = this.options;
    const build = new GraphBuilder(operators, `held_out_${count}`);
    const labels = data.evaluation.slice(0, count)['label'] as RuntimeTensor;
    const inputs: readonly BatchInput[] = [
      ...model.inputs(count),
      { name: 'label', dtype: labels.dtype as BatchInput['dtype'], shape: labels.shape },
    ];
    const batch = Object.fromEntries(inputs.map(({ name, dtype, shape }) => [name, build.input(name, { dtype, shape })]));
    const made = new Map<string, Value>();
    for (const { name, heldShape } of model.parameters)
      made.set(name, build.input(weightName(name), { dtype: 'float32', shape: heldShape }));
    for (const { name, shape } of model.buffers) made.set(name, build.input(weightName(name), { dtype: 'float32', shape }));
    const forward = model.forward(build, batch, (name) => made.get(name) as Value, false);
    // Logits of a language model are large: only their mean loss leaves the runtime.
    if (data.kind === 'text') build.output(addLoss(data.loss, build, forward, batch['label'] as Value).value, 'loss');
    else build.output(judgedOutput(data.loss, forward), 'prediction');
    const session = await this.runtime.createFromGraph(build.finish(), { keep: false });
    this.sessions.set(count, session);
    return session;
  }
}

interface Score {
  add(outputs: Readonly<Record<string, RuntimeTensor>>, label: RuntimeTensor, first: number): void;
  result(): Pick<Evaluation, 'loss' | 'value' | 'metric'>;
}

function newScore(data: TrainingData): Score {
  if (data.kind === 'text') return perplexity();
  if (data.loss === 'mse') return squaredError();
  let metric: ReturnType<typeof binaryAuc> | undefined;
  return {
    add: ({ prediction }, label, first) => {
      const { data: values, shape } = prediction as RuntimeTensor;
      metric ??= data.loss === 'binary' ? binaryAuc() : classAccuracy(shape.at(-1) as number);
      metric.add(values as Float32Array, Array.from(label.data as ArrayLike<number | bigint>, Number), first);
    },
    result: () => (metric as ReturnType<typeof binaryAuc>).result(),
  };
}

function perplexity(): Score {
  let sum = 0;
  let tokens = 0;
  return {
    add: ({ loss }, label) => {
      sum += Number(loss?.data[0]) * label.data.length;
      tokens += label.data.length;
    },
    result: () => ({ loss: sum / tokens, value: Math.exp(sum / tokens), metric: 'perplexity' }),
  };
}

function squaredError(): Score {
  let sum = 0;
  let count = 0;
  return {
    add: ({ prediction }, label) => {
      const values = prediction?.data as Float32Array;
      const targets = label.data as Float32Array;
      for (let index = 0; index < values.length; index += 1) sum += ((values[index] as number) - (targets[index] as number)) ** 2;
      count += values.length;
    },
    result: () => ({ loss: sum / count, value: sum / count, metric: 'loss' }),
  };
}

function asStored(values: Float32Array, half: boolean): Float32Array {
  return half ? values.map((value) => float16ToNumber(numberToFloat16(value))) : values;
}
