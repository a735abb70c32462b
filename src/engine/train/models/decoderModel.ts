import { basename, dirname } from 'node:path';
import { runnableDecoder } from '../../models/recognizeDecoder';
import { LoomweightError } from '../../../protocol/errors';
import type { DecoderConfig, ExpectedTensor, WeightSource } from '../../architectures/architecture';
import { causalMask, decoderBlock, rmsNorm } from '../../architectures/decoder/decoderBlock';
import { embeddingName, finalNormName, headName } from '../../architectures/decoder/expectedTensors';
import { windowOfBlock } from '../../architectures/decoder/readDecoderConfig';
import { rotaryAngles } from '../../architectures/decoder/rope';
import { checkWeights, containerWeights } from '../../models/decoderWeights';
import type { TensorContainer } from '../../formats/container';
import { GraphBuilder, int } from '../../graph/builder';
import type { Graph, Value } from '../../graph/graph';
import { specializeGraph } from '../../graph/passes/specialize';
import { operators } from '../../ops/index';
import { hasTokenizer, loadTokenizer, parseTokenizer } from '../../text/tokenizer';
import type { TrainableParameter } from '../contract';
import { graphTrainable, type OpenTrainable } from './graphTrainable';
import { transposeMatrix } from '../../kernels/host/transposeMatrix';

/** The default window for training is at most this long: activations of all positions are in memory. */
const largestDefaultWindow = 256;

/**
 * Opens the weights of a decoder for training. Its own graph: no cache, positions and mask fixed; inputs `input_ids` [batch, sequence] int64, output
 * `logits` [batch, sequence, vocabulary]. Linear weights are held as [in, out]; a tied embedding is one parameter [vocabulary, hidden], and its head a
 * product with its transpose. Closes the container with the model. Errors: `unsupported`, `malformed-file`, `invalid-argument` for the window.
 */
export async function openDecoderTrainable(container: TensorContainer, window: number | undefined): Promise<OpenTrainable> {
  const { architecture, config } = await runnableDecoder(container);
  const expected = architecture.expectedTensors(config);
  checkWeights(container, expected);
  const folders = [container.format === 'hugging-face' ? container.path : dirname(container.path)];
  const length = window ?? Math.min(config.contextLength, largestDefaultWindow);
  if (!Number.isSafeInteger(length) || length < 2 || length > config.contextLength)
    throw new LoomweightError(
      'invalid-argument',
      `A training window must have 2 to ${config.contextLength} tokens (the model's context), got ${length}.`,
      { window: length, contextLength: config.contextLength },
    );
  const sequence = (await hasBeginning(container, folders, config)) ? length : length - 1;
  return graphTrainable({
    name: basename(container.path),
    kind: 'text',
    parameters: expected.map((tensor) => trainableParameter(tensor, config, container)),
    buffers: [],
    inputs: (batch) => [{ name: 'input_ids', dtype: 'int64', shape: [batch, sequence] }],
    graph: (batch) => trainingGraph(config, expected, batch, sequence),
    text: {
      folders,
      ...(container.generatedCompanions === undefined ? {} : { inside: container.generatedCompanions }),
      window: length,
      sequence,
      contextLength: config.contextLength,
      vocabularySize: config.vocabularySize,
      bosTokenId: config.bosTokenId,
    },
    close: () => container.close(),
  });
}

/** Whether windows start with a BOS: the tokenizer's settings or the config say one. */
async function hasBeginning(container: TensorContainer, folders: readonly string[], config: DecoderConfig): Promise<boolean> {
  const inside = container.generatedCompanions && parseTokenizer(container.generatedCompanions, container.path);
  const tokenizer = inside && !(await hasTokenizer(folders)) ? inside : await loadTokenizer(folders);
  return tokenizer.beginning(config.bosTokenId) !== undefined;
}

function isLinear({ shape, role }: ExpectedTensor): boolean {
  return shape.length === 2 && role !== 'embedding';
}

function trainableParameter(tensor: ExpectedTensor, config: DecoderConfig, container: TensorContainer): TrainableParameter {
  const { name, shape, role } = tensor;
  const linear = isLinear(tensor);
  const read = (): Promise<Float32Array> => containerWeights(container).read(name);
  return {
    name,
    role,
    shape,
    heldShape: linear ? [...shape].reverse() : shape,
    held: linear ? 'transposed' : 'canonical',
    storedTransposed: false,
    tiedTo: name === embeddingName && config.tiedEmbeddings ? [headName] : [],
    used: true,
    initial: async () => (linear ? transposeMatrix(await read(), shape[0] as number, shape[1] as number) : read()),
  };
}

/** The whole model for one batch: weights are inputs under their names, in held shape. */
function trainingGraph(config: DecoderConfig, expected: readonly ExpectedTensor[], batch: number, sequence: number): Graph {
  const build = new GraphBuilder(operators, `${config.architecture}_training`);
  const ids = build.input('input_ids', { dtype: 'int64', shape: [batch, sequence] });
  const inputs = new Map(
    expected.map((tensor) => {
      const shape = isLinear(tensor) ? [...tensor.shape].reverse() : tensor.shape;
      return [tensor.name, build.input(tensor.name, { dtype: 'float32', shape })];
    }),
  );
  const weights = heldWeights(inputs, batch, sequence);
  const positions = build.int64(
    Array.from({ length: sequence }, (_, position) => position),
    [1, sequence],
  );
  const angles = rotaryAngles(build, config, positions);
  const masks = new Map<number | undefined, Value>();
  const length = build.int64(sequence);
  let hidden = weights.embedding(build, embeddingName, ids, { rows: config.vocabularySize, columns: config.hiddenSize });
  for (let block = 0; block < config.layers; block += 1) {
    const slidingWindow = windowOfBlock(config, block);
    const mask = masks.get(slidingWindow) ?? causalMask(build, { sequence: length, total: length }, slidingWindow);
    masks.set(slidingWindow, mask);
    hidden = decoderBlock(build, config, weights, block, { hidden, angles, mask }).hidden;
  }
  const normed = rmsNorm(build, config, weights, finalNormName, hidden);
  build.output(head(build, config, inputs, normed, batch * sequence, [batch, sequence, config.vocabularySize]), 'logits');
  return specializeGraph(build.finish(), {}, operators);
}

function head(
  build: GraphBuilder,
  config: DecoderConfig,
  inputs: ReadonlyMap<string, Value>,
  normed: Value,
  count: number,
  shape: readonly number[],
): Value {
  const rows = build.op('Reshape', [normed, build.int64([count, config.hiddenSize])]);
  const logits = config.tiedEmbeddings
    ? build.op('Gemm', [rows, inputs.get(embeddingName)], { transB: int(1) }, { name: 'head/Gemm' })
    : build.op('MatMul', [rows, inputs.get(headName)], {}, { name: 'head/MatMul' });
  return build.op('Reshape', [logits, build.int64(shape)]);
}

/** Weights as the trainer holds them: y = x W for rows x [batch * sequence, in] and W [in, out]. */
function heldWeights(inputs: ReadonlyMap<string, Value>, batch: number, sequence: number): WeightSource {
  const count = batch * sequence;
  return {
    linear: (build, name, x, shape, biasName) => {
      const rows = build.op('Reshape', [x, build.int64([count, shape.in])]);
      const product = build.op('MatMul', [rows, inputs.get(name)], {}, { name: `${name}/MatMul` });
      const sum = biasName === undefined ? product : build.op('Add', [product, inputs.get(biasName)]);
      return build.op('Reshape', [sum, build.int64([batch, sequence, shape.out])]);
    },
    embedding: (build, name, ids) => build.op('Gather', [inputs.get(name), ids]),
    vector: (_build, name) => inputs.get(name) as Value,
  };
}
