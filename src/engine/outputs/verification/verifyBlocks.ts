import { throwIfCancelled } from '../../../protocol/errors';
import type { VerificationCheck } from '../../../protocol/report';
import type { DecoderConfig, ExpectedTensor, WeightSource } from '../../architectures/architecture';
import { causalMask, decoderBlock } from '../../architectures/decoder/decoderBlock';
import { axisLength } from '../../architectures/decoder/languageModel';
import { windowOfBlock } from '../../architectures/decoder/readDecoderConfig';
import { rotaryAngles } from '../../architectures/decoder/rope';
import { decodeToFloat32 } from '../../formats/decode';
import { GraphBuilder, ints } from '../../graph/builder';
import type { Graph, Value } from '../../graph/graph';
import { operators } from '../../ops/index';
import type { RuntimeTensor, Session } from '../../runtime/types';
import { relativeDifference } from './measures';
import { sampleIds } from './sampleInputs';
import type { VerificationContext } from './verificationContext';

/** Bytes of a tensor that are read and widened at a time. */
const readChunk = 8 * 2 ** 20;

/**
 * Runs every decoder block with the weights of the source and with those of the finished file on the same activations, one block in memory at a
 * time, and compares what each adds to its input. The activations are those of the source's own blocks, from a fixed sample of tokens.
 */
export async function verifyBlocks(context: VerificationContext, config: DecoderConfig): Promise<VerificationCheck> {
  const { source, plan, result, runtime, signal } = context;
  const tensors = source.decoder!.architecture.expectedTensors(config);
  const ids = sampleIds(config, context.seed, Math.min(16, config.contextLength));
  let hidden = await embeddingRows(context, config, ids);
  const buffers = new Map<string, Float32Array>();
  let worst = { ratio: 0, error: 0, limit: 1, block: 0 };
  const sessions = new Map<number | undefined, Session>();
  try {
    for (let block = 0; block < config.layers; block += 1) {
      throwIfCancelled(signal);
      context.progress('Checking blocks', block, config.layers);
      const members = tensors.filter((tensor) => tensor.block === block);
      const planned = members.filter(({ name }) => plan.has(name));
      const window = windowOfBlock(config, block);
      const session = sessions.get(window) ?? (await runtime.createFromGraph(blockGraph(config, block, members)));
      sessions.set(window, session);
      const run = async (finished: boolean): Promise<Float32Array> => {
        const feeds: Record<string, RuntimeTensor> = {
          hidden: { dtype: 'float32', shape: [1, ids.length, config.hiddenSize], data: hidden },
        };
        feeds['position_ids'] = { dtype: 'int64', shape: [1, ids.length], data: BigInt64Array.from(ids, (_, index) => BigInt(index)) };
        for (const tensor of members) {
          throwIfCancelled(signal);
          const suffix = inBlock(tensor.name);
          const count = tensor.shape.reduce((product, length) => product * length, 1);
          let buffer = buffers.get(suffix);
          if (buffer?.length !== count) buffers.set(suffix, (buffer = new Float32Array(count)));
          if (!finished) await readFloat(context, tensor.name, buffer);
          else if (plan.has(tensor.name)) await result.readWeights(tensor.name, buffer);
          feeds[suffix] = { dtype: 'float32', shape: tensor.shape, data: buffer };
        }
        return (await session.run(feeds))['added']!.data as Float32Array;
      };
      const expected = await run(false);
      if (planned.length > 0) {
        // Untouched weights still lie in the buffers from the first run.
        const error = relativeDifference(expected, await run(true));
        const errors = planned.map(({ name }) => context.relativeErrors.get(name) ?? 0);
        const limit = plan.get(planned[0]!.name)!.quantizer.blockErrorLimit(errors);
        if (error / limit > worst.ratio) worst = { ratio: error / limit, error, limit, block };
      }
      hidden = hidden.map((value, index) => value + (expected[index] as number));
    }
  } finally {
    for (const session of sessions.values()) await session.release();
  }
  return {
    name: 'blocks',
    passed: worst.error <= worst.limit,
    measured: worst.error,
    limit: worst.limit,
    unit: 'relative',
    note: `Largest share of the limit: block ${worst.block} of ${config.layers}.`,
  };
}

/** One block with its weights as inputs: compiled once, run for every block. Gives what the block adds to its input. */
function blockGraph(config: DecoderConfig, block: number, members: readonly ExpectedTensor[]): Graph {
  const build = new GraphBuilder(operators, 'block');
  const hidden = build.input('hidden', { dtype: 'float32', shape: ['batch', 'sequence', config.hiddenSize] });
  const positions = build.input('position_ids', { dtype: 'int64', shape: ['batch', 'sequence'] });
  const inputs = new Map<string, Value>(
    members.map(({ name, shape }) => [inBlock(name), build.input(inBlock(name), { dtype: 'float32', shape })]),
  );
  const length = axisLength(build, positions, 1);
  const mask = causalMask(build, { sequence: length, total: length }, windowOfBlock(config, block));
  const weights = inputWeights(inputs);
  const result = decoderBlock(build, config, weights, block, { hidden, angles: rotaryAngles(build, config, positions), mask });
  build.output(build.op('Sub', [result.hidden, hidden]), 'added');
  return build.finish();
}

function inputWeights(inputs: ReadonlyMap<string, Value>): WeightSource {
  const input = (name: string) => inputs.get(inBlock(name))!;
  return {
    linear: (build, name, x, _shape, biasName) => {
      const product = build.op('MatMul', [x, build.op('Transpose', [input(name)], { perm: ints([1, 0]) })]);
      return biasName === undefined ? product : build.op('Add', [product, input(biasName)]);
    },
    embedding: (build, name, ids) => build.op('Gather', [input(name), ids]),
    vector: (_build, name) => input(name),
  };
}

/** Name of a tensor without its block's number: `self_attn.q_proj.weight`. */
function inBlock(name: string): string {
  return name.replace(/^.*?layers\.\d+\./, '');
}

/** Reads a tensor of the source in pieces into a buffer that is used again for the next block. */
async function readFloat({ source }: VerificationContext, name: string, target: Float32Array): Promise<void> {
  const entry = source.container.tensors.get(name)!;
  const width = entry.bytes / target.length;
  const readAt = (offset: number) => source.container.read(name, { offset, length: Math.min(readChunk, entry.bytes - offset) });
  let next = readAt(0);
  for (let offset = 0; offset < entry.bytes; offset += readChunk) {
    const bytes = await next;
    // The next piece is read while this one is widened.
    if (offset + readChunk < entry.bytes) next = readAt(offset + readChunk);
    decodeToFloat32(entry.dtype, bytes, target.subarray(offset / width, (offset + bytes.length) / width));
  }
}

/** Rows of the source's embedding for the sample. */
async function embeddingRows({ source }: VerificationContext, config: DecoderConfig, ids: readonly number[]): Promise<Float32Array> {
  const name = source.decoder!.architecture.expectedTensors(config).find(({ role }) => role === 'embedding')!.name;
  const entry = source.container.tensors.get(name)!;
  const rowBytes = entry.bytes / config.vocabularySize;
  const hidden = new Float32Array(ids.length * config.hiddenSize);
  for (const [index, id] of ids.entries())
    hidden.set(
      decodeToFloat32(entry.dtype, await source.container.read(name, { offset: id * rowBytes, length: rowBytes })),
      index * config.hiddenSize,
    );
  return hidden;
}
