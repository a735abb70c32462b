import type { JobProgress } from '../../protocol/jobs';
import type { LayerReport } from '../../protocol/report';
import type { ModelSource } from '../models/modelSource';
import { sizeBits } from './planned/plannedSizes';
import type { PlannedEntry, PlannedStore } from './planned/plannedStore';
import type { OutputWriter, WrittenOutput } from './writers/outputWriter';

/** A layer while a job runs. */
export type ProgressLayer = NonNullable<JobProgress['layers']>[number];

/** The report of every compressed layer, in the order in which they were written. `stored`: bytes in the output by name. */
export function layerReports(
  source: ModelSource,
  planned: PlannedStore,
  writer: Pick<OutputWriter, 'dequantised'>,
  stored: ReadonlyMap<string, number>,
  { layouts }: Pick<WrittenOutput, 'layouts'>,
): readonly LayerReport[] {
  return [...stored].map(([name, bytesAfter]): LayerReport => {
    const entry = planned.entry(name) as PlannedEntry;
    const weights = weightsOf(entry);
    const layout = layouts.get(name);
    return {
      name,
      shape: entry.storedShape,
      ...entry.widths,
      bitsPerWeight: (writer.dequantised ? sizeBits(entry.size) : bytesAfter * 8) / Math.max(1, weights),
      weights,
      relativeError: entry.relativeError,
      bytesBefore: source.tensors.get(name)?.entry.bytes ?? 0,
      bytesAfter,
      ...(layout ? { layout } : {}),
    };
  });
}

/** A planned layer, with the bytes that it takes in the output; an estimate until it is written. */
export function progressLayer(source: ModelSource, entry: PlannedEntry, bytesAfter?: number): ProgressLayer {
  const { bits, histogram } = entry.widths;
  return {
    name: entry.name,
    bits,
    weights: weightsOf(entry),
    relativeError: entry.relativeError,
    bytesBefore: source.tensors.get(entry.name)?.entry.bytes ?? 0,
    bytesAfter: bytesAfter ?? Math.ceil(sizeBits(entry.size) / 8),
    ...(histogram ? { histogram } : {}),
  };
}

function weightsOf({ storedShape }: PlannedEntry): number {
  return storedShape.reduce((product, length) => product * length, 1);
}
