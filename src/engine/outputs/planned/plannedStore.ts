import { join } from 'node:path';
import type { TensorRole } from '../../../protocol/model';
import type { BitHistogram } from '../../../protocol/report';
import { transposeInto } from '../../kernels/host/transpose';
import { dequantizePlanned } from './dequantize';
import { plannedSize, widthsOf, type MatrixSize } from './plannedSizes';
import { layoutOf, type PlannedLayout, type PlannedTensor } from './plannedTensor';
import { arraysOf, arrayBytes, tensorWith, type StoredArrays } from './tensorArrays';
import { SpillFile, type SpilledArray } from './spillFile';

/** What a writer must know of a tensor before its values are there. */
export interface PlannedLayer {
  readonly name: string;
  readonly role: TensorRole;
  /** Shape in the model's file. */
  readonly storedShape: readonly number[];
  /** True where the file holds the transpose of the planned [rows, columns]. */
  readonly transposed: boolean;
  readonly layout: PlannedLayout;
  /** Bits before any file format's padding. */
  readonly size: MatrixSize;
}

/** A planned tensor without its values. */
export interface PlannedEntry extends PlannedLayer {
  /** Bits of a code; where groups differ, their mean over weights and how many weights have which. */
  readonly widths: { readonly bits: number; readonly histogram?: BitHistogram };
  /** Norm of the error divided by the norm of the weights it was planned from. */
  readonly relativeError: number;
  /** True where those are not the source's: a transform changed them before. */
  readonly transformed?: true;
}

interface Kept {
  readonly entry: PlannedEntry;
  readonly place: { readonly tensor: PlannedTensor } | { readonly shell: PlannedTensor; readonly arrays: StoredArrays<SpilledArray> };
}

/** Planned tensors beyond this are written to a temporary file unless the caller says otherwise. */
const defaultLimit = 1.5e9;

/**
 * Every planned tensor of a job, once: writers, verification and measures read from it in the order that suits them. Tensors are in memory until one would
 * exceed `limit` bytes; it and all later ones go to a temporary file in the job's own folder, which `dispose` removes.
 */
export class PlannedStore {
  private readonly kept = new Map<string, Kept>();
  private readonly file: SpillFile;
  private resident = 0;
  /** Once one tensor went to the file all later ones do: from then on the arrays of a tensor are buffers that are used again. */
  private spilling = false;

  /** `folder`: where the temporary file is made if it is needed. */
  constructor(
    folder: string,
    private readonly limit = defaultLimit,
    fileName = '.planned',
  ) {
    this.file = new SpillFile(join(folder, fileName));
  }

  get size(): number {
    return this.kept.size;
  }

  /** Bytes of planned tensors in memory. */
  get residentBytes(): number {
    return this.resident;
  }

  /** In the order in which tensors were planned. */
  entries(): readonly PlannedEntry[] {
    return [...this.kept.values()].map(({ entry }) => entry);
  }

  has(name: string): boolean {
    return this.kept.has(name);
  }

  /** Undefined for tensors that stay as the source gives them. */
  entry(name: string): PlannedEntry | undefined {
    return this.kept.get(name)?.entry;
  }

  /** True for tensors with codes, levels or a mask; false also for plain values. */
  isCompressed(name: string): boolean {
    const entry = this.entry(name);
    return entry !== undefined && entry.layout.kind !== 'plain';
  }

  /** Names of compressed tensors, in the order in which they were planned. */
  compressed(): readonly string[] {
    return [...this.kept.keys()].filter((name) => this.isCompressed(name));
  }

  /** Adds a tensor, or replaces it; its arrays belong to the store from now on unless they were written to the file (`spilled`), when buffers may be used again. */
  async add(
    layer: Omit<PlannedLayer, 'layout' | 'size'> & Pick<PlannedEntry, 'transformed'>,
    tensor: PlannedTensor,
    relativeError: number,
  ): Promise<{ readonly spilled: boolean }> {
    const { name, role, storedShape, transposed } = layer;
    const entry: PlannedEntry = {
      name,
      role,
      storedShape,
      transposed,
      layout: layoutOf(tensor),
      widths: widthsOf(tensor),
      size: plannedSize(tensor),
      relativeError,
      ...(layer.transformed ? { transformed: true } : {}),
    };
    const arrays = arraysOf(tensor);
    const bytes = arrayBytes(arrays);
    const before = this.kept.get(name)?.place;
    if (before && 'tensor' in before) this.resident -= arrayBytes(arraysOf(before.tensor));
    this.spilling ||= this.resident + bytes > this.limit;
    if (!this.spilling) {
      this.resident += bytes;
      this.kept.set(layer.name, { entry, place: { tensor } });
      return { spilled: false };
    }
    const spilled: Record<string, SpilledArray> = {};
    for (const [key, array] of Object.entries(arrays)) if (array) spilled[key] = await this.file.append(array);
    const empty = Object.fromEntries(Object.entries(arrays).map(([key, array]) => [key, array?.subarray(0, 0).slice()]));
    this.kept.set(layer.name, { entry, place: { shell: tensorWith(tensor, empty), arrays: spilled } });
    return { spilled: true };
  }

  /** A planned tensor, from memory or from the file. */
  async get(name: string): Promise<PlannedTensor> {
    const { place } = this.find(name);
    if ('tensor' in place) return place.tensor;
    const arrays: Record<string, Awaited<ReturnType<SpillFile['read']>>> = {};
    for (const [key, spilled] of Object.entries(place.arrays)) if (spilled) arrays[key] = await this.file.read(spilled);
    return tensorWith(place.shell, arrays);
  }

  /** The values that a tensor has when it is read back, as they were planned: [rows * columns]; plain values as stored. */
  async values(name: string, target?: Float32Array): Promise<Float32Array> {
    return dequantizePlanned(await this.get(name), target);
  }

  /** The values in the order in which the model stores the tensor. */
  async storedValues(name: string, target?: Float32Array): Promise<Float32Array> {
    const { entry } = this.find(name);
    if (!entry.transposed || entry.layout.kind === 'plain') return this.values(name, target);
    const { rows, columns } = entry.layout;
    const values = await this.values(name);
    return transposeInto(values, columns, 0, rows, target ?? new Float32Array(values.length));
  }

  /** Gives the memory and the file back. */
  async dispose(): Promise<void> {
    this.kept.clear();
    this.resident = 0;
    this.spilling = false;
    await this.file.remove();
  }

  private find(name: string): Kept {
    const kept = this.kept.get(name);
    if (kept) return kept;
    throw new Error(`The tensor '${name}' was not planned.`);
  }
}
