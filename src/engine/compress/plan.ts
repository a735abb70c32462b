import { globMatcher } from '../../common/glob';
import { resolveParams, type ParamValues } from '../../common/params';
import { elementCount, floatDTypes } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { CompressSpec } from '../../protocol/jobs';
import type { TensorRole } from '../../protocol/model';
import { embeddingName, headName } from '../architectures/decoder/expectedTensors';
import { findQuantizer } from './quantizers';
import { isPinnedWidth, type PinnedWidth } from '../../common/allocation/types';
import { matrixSize, type MatrixSize } from '../outputs/planned/plannedSizes';
import type { PlannedLayer } from '../outputs/planned/plannedStore';
import type { PlannedLayout } from '../outputs/planned/plannedTensor';
import type { QuantizableTensor, Quantizer } from './quantizers/quantizer';
import type { GuessedRole } from '../models/guessRole';
import { withoutHeadCopy, type ModelSource } from '../models/modelSource';
import { withWrittenTypes } from '../models/writtenTypes';
import { leftOut, sentencesOf } from './leftOut';
import { keptTransforms } from './keptTransforms';

/** A tensor that will be compressed, and how. */
export interface TensorPlan {
  readonly tensor: QuantizableTensor;
  /** Shape as stored; `tensor.shape` folds a convolution's kernel into columns. */
  readonly storedShape: readonly number[];
  /** True if the file holds [in, out]. */
  readonly transposed: boolean;
  readonly quantizer: Quantizer;
  readonly parameters: ParamValues;
  /** Keys of parameters that were given, for all tensors or for this one: a budget does not change them. */
  readonly given: ReadonlySet<string>;
  readonly layout: PlannedLayout;
  /** Bits before any file format's padding. */
  readonly size: MatrixSize;
  /** Under a budget: 16 keeps the tensor unchanged, 0 prunes it. No method has these widths, so they are not parameters. */
  readonly pinned?: PinnedWidth;
  /** Widths of the groups where a budget chose them by group or channel: [rows, groups]; `bits` is then the largest. */
  readonly groupBits?: Uint8Array;
  /** [columns]: weight of each column's squared error while rounding, where something is known of the layer's inputs. */
  readonly importance?: Float32Array;
}

/** Every tensor to compress by name, in the order of the model. */
export type CompressPlan = ReadonlyMap<string, TensorPlan>;

const blockRoles: readonly TensorRole[] = ['query', 'key', 'value', 'attention-output', 'gate', 'up', 'down', 'linear', 'convolution'];

/**
 * Picks tensors: the linear layers of the blocks, embeddings and head on request (a tied matrix once), narrowed by `tensors`; each with the general
 * parameters or those of the last override that matches. Errors: `invalid-argument` for an unknown method, a parameter out of range (the range is
 * named), a glob that matches nothing.
 */
export function makePlan(source: ModelSource, spec: CompressSpec, quantizer: Quantizer = findQuantizer(spec.method)): CompressPlan {
  const general = resolved(quantizer, spec.parameters);
  const wanted = spec.tensors === undefined ? () => true : matcherIn(source, spec.tensors);
  const overrides = (spec.overrides ?? []).map(({ glob, parameters }) => {
    const { bits, ...rest } = parameters;
    const pinned = spec.budget !== undefined && isPinnedWidth(bits) ? bits : undefined;
    return {
      glob,
      matches: matcherIn(source, glob),
      parameters: resolved(quantizer, { ...spec.parameters, ...(pinned === undefined ? parameters : rest) }, ` In the override '${glob}'.`),
      given: new Set([...Object.keys(spec.parameters), ...Object.keys(parameters)]),
      pinned,
      used: false,
    };
  });
  if (spec.embeddings && ![...source.tensors.values()].some(({ role }) => role === 'embedding'))
    throw new LoomweightError('unsupported', `${source.container.path} has no embedding that can be compressed. Omit --embeddings.`, {
      path: source.container.path,
    });
  const plan = new Map<string, TensorPlan>();
  const refusals = new Map<string, string>();
  const guessed = new Set(keptTransforms(source, spec.tensors));
  for (const [name, { entry, role, transposed, rowAxes = 1, guess }] of source.tensors) {
    const asked =
      blockRoles.includes(role) ||
      (role === 'embedding' && (spec.embeddings || (source.tied === true && spec.head))) ||
      // A copy of a tied embedding never changes alone.
      (role === 'head' && spec.head && source.headIsCopy !== true) ||
      isNamed(guess, spec.tensors);
    if (!asked || !wanted(name) || guessed.has(name) || !floatDTypes.includes(entry.dtype) || entry.shape.length < 2) continue;
    const first = elementCount(entry.shape.slice(0, rowAxes));
    const others = elementCount(entry.shape.slice(rowAxes));
    const [rows, columns] = transposed ? [others, first] : [first, others];
    if (rows * columns === 0) continue;
    const tensor: QuantizableTensor = { name, role, shape: [rows, columns], dtype: entry.dtype };
    const applies = quantizer.appliesTo(tensor);
    if (applies !== true) {
      refusals.set(name, applies);
      continue;
    }
    let parameters = general;
    let given: ReadonlySet<string> = new Set(Object.keys(spec.parameters));
    let pinned: PinnedWidth | undefined;
    for (const override of overrides)
      if (override.matches(name)) {
        pinned = override.pinned;
        override.used = true;
        parameters = override.parameters;
        given = override.given;
      }
    plan.set(name, {
      tensor,
      storedShape: entry.shape,
      transposed: transposed === true,
      quantizer,
      parameters,
      given,
      ...layoutAndSize(quantizer, tensor, parameters),
      ...(pinned === undefined ? {} : { pinned }),
    });
  }
  const unused = overrides.find(({ used }) => !used);
  if (unused)
    throw new LoomweightError(
      'invalid-argument',
      `The override '${unused.glob}' matches no compressed tensor. List the names with 'loomweight inspect'.`,
      { glob: unused.glob },
    );
  if (plan.size === 0 && quantizer.mayLeaveAll !== true)
    throw new LoomweightError(
      'invalid-argument',
      `No tensor of ${source.container.path} can be compressed${spec.tensors === undefined ? '' : ` with --tensors '${spec.tensors}'`}. ${leftOut(source, wanted, refusals)}`.trim(),
      { tensors: spec.tensors, refusals: sentencesOf(refusals) },
    );
  return plan;
}

/** True for a router or constant that is left alone by its name, if the filter has the word in it that says so. */
function isNamed(guess: GuessedRole | undefined, filter: string | undefined): boolean {
  const left = guess?.leftAlone;
  if (filter === undefined || (left?.kind !== 'router' && left?.kind !== 'constant')) return false;
  return filter.toLowerCase().includes(left.word.toLowerCase());
}

/** Layout and size of a tensor with these parameters. */
export function layoutAndSize(
  quantizer: Quantizer,
  tensor: QuantizableTensor,
  parameters: ParamValues,
): { readonly layout: PlannedLayout; readonly size: MatrixSize } {
  const layout = quantizer.layoutOf(tensor, parameters);
  return { layout, size: layoutSize(layout) };
}

function layoutSize(layout: PlannedLayout): MatrixSize {
  if (layout.kind === 'grouped') return matrixSize(layout);
  const none = { codeBits: 0, scaleBits: 0, zeroPointBits: 0 };
  if (layout.kind !== 'sparse') return none;
  const mask = layout.rows * layout.columns;
  if (!layout.quantized) return { ...none, codeBits: mask + layout.kept * (layout.dtype === 'float32' ? 32 : 16) };
  return { ...matrixSize(layout.quantized), codeBits: mask + layout.kept * layout.quantized.bits };
}

/** A planned tensor as writers see it. */
export function layerOf({ tensor: { name, role }, storedShape, transposed, layout, size }: TensorPlan): PlannedLayer {
  return { name, role, storedShape, transposed, layout, size };
}

/** All of a plan, by name. */
export function layersOf(plan: CompressPlan): ReadonlyMap<string, PlannedLayer> {
  return new Map([...plan].map(([name, planned]) => [name, layerOf(planned)]));
}

/** The source, with the tensors that the method does not change in the types that it requests, and without a copy of an embedding that it changes. */
export function prepareSource(source: ModelSource, spec: CompressSpec): ModelSource {
  const quantizer = findQuantizer(spec.method);
  const parameters = resolved(quantizer, spec.parameters);
  const typed = quantizer.writtenType ? withWrittenTypes(source, (stored) => quantizer.writtenType!(stored, parameters)) : source;
  return changesEmbedding(source, spec, quantizer) ? withoutHeadCopy(typed) : typed;
}

/** Matches names by a glob. A tied embedding has the name of the output layer too: users know it by either. */
function matcherIn({ tied }: ModelSource, glob: string): (name: string) => boolean {
  const matches = globMatcher(glob);
  return (name) => matches(name) || (tied === true && name === embeddingName && matches(headName));
}

function changesEmbedding(source: ModelSource, { embeddings, head, tensors: filter }: CompressSpec, quantizer: Quantizer): boolean {
  const { tensors, tied } = source;
  const [rows, columns] = tensors.get(embeddingName)?.entry.shape ?? [];
  if (rows === undefined || columns === undefined || !(embeddings || (tied === true && head))) return false;
  if (filter !== undefined && !matcherIn(source, filter)(embeddingName)) return false;
  return quantizer.appliesTo({ name: embeddingName, role: 'embedding', shape: [rows, columns] }) === true;
}

function resolved(quantizer: Quantizer, given: Readonly<Record<string, unknown>>, where = ''): ParamValues {
  const { values, problems } = resolveParams(quantizer.parameters, given);
  if (problems.length === 0) return values;
  throw new LoomweightError('invalid-argument', `${quantizer.label}: ${problems.join(' ')}${where}`, { method: quantizer.id, problems });
}
