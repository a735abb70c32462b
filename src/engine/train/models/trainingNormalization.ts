import { elementCount } from '../../../protocol/dtypes';
import { int } from '../../graph/builder';
import type { GraphBuilder } from '../../graph/builder';
import type { Graph, Node, Value } from '../../graph/graph';
import type { NodeRewrite } from '../../graph/passes/inline';
import { reshaped, staticShape } from '../../ops/gradients';

/**
 * Batch normalisation as training has it: statistics of the batch instead of the stored ones, and new stored ones beside.
 *
 *   y = (x - mean) / sqrt(variance + epsilon) * scale + bias        mean, variance: of the batch, for each channel
 *   stored = momentum * stored + (1 - momentum) * batch's            the variance unbiased (n / (n - 1)), as PyTorch stores it
 */
export class TrainingNormalizations {
  private readonly buffers: Record<string, Value> = {};

  /** `graph`: where the nodes come from; their statistics are its inputs. */
  constructor(private readonly graph: Graph) {}

  /** New values of the stored statistics, by name. Complete once the graph is copied. */
  newBuffers(): Readonly<Record<string, Value>> {
    return this.buffers;
  }

  readonly rewrite: NodeRewrite = (node, inputs, build) => {
    if (node.op !== 'BatchNormalization' || node.domain !== '') return undefined;
    const [x, scale, bias, mean, variance] = inputs;
    if (!x || !scale || !bias || !mean || !variance) return undefined;
    const shape = staticShape(x);
    const channels = shape[1] as number;
    const perChannel = [1, channels, ...shape.slice(2).map(() => 1)];
    const axes = build.int64(shape.map((_, axis) => axis).filter((axis) => axis !== 1));
    const count = elementCount(shape) / channels;
    const batchMean = build.op('ReduceMean', [x, axes], { keepdims: int(1) }, { name: `${node.name}/mean` });
    const centered = build.op('Sub', [x, batchMean]);
    const batchVariance = build.op('ReduceMean', [build.op('Mul', [centered, centered]), axes], { keepdims: int(1) });
    const epsilon = build.float32(attribute(node, 'epsilon', 1e-5));
    const normalized = build.op('Div', [centered, build.op('Sqrt', [build.op('Add', [batchVariance, epsilon])])]);
    const scaled = build.op('Mul', [normalized, reshaped(build, scale, perChannel)]);
    const result = build.op('Add', [scaled, reshaped(build, bias, perChannel)], {}, { name: `${node.name}/training` });
    const kept = attribute(node, 'momentum', 0.9);
    this.store(build, node, 3, mean, kept, batchMean, 1);
    this.store(build, node, 4, variance, kept, batchVariance, count > 1 ? count / (count - 1) : 1);
    return [result];
  };

  private store(build: GraphBuilder, node: Node, input: number, before: Value, kept: number, ofBatch: Value, factor: number): void {
    const name = node.inputs[input]?.name;
    if (name === undefined || !this.graph.inputs.some((value) => value.name === name)) return;
    const fresh = build.op('Mul', [reshaped(build, ofBatch, staticShape(before)), build.float32((1 - kept) * factor)]);
    this.buffers[name] = build.op('Add', [build.op('Mul', [before, build.float32(kept)]), fresh]);
  }
}

function attribute(node: Node, name: string, fallback: number): number {
  const value = node.attributes[name];
  return value?.kind === 'float' ? value.value : fallback;
}
