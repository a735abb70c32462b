import { throwIfCancelled } from '../../../protocol/errors';
import type { VerificationCheck } from '../../../protocol/report';
import { digestOfBytes } from '../planned/fingerprint';
import type { PlannedEntry } from '../planned/plannedStore';
import { copyChunk, valueTensor } from '../writers/copyTensors';
import type { OutputReader } from '../writers/outputWriter';
import type { VerificationRequest } from './verificationRequest';

/** Reads the finished output with the ordinary readers: every compressed tensor must be what was planned, every other one what the source or the plan holds. */
export async function verifyBytes(request: VerificationRequest): Promise<VerificationCheck> {
  const { planned, written, context } = request;
  const mismatches: string[] = [];
  const reader = await written.open();
  try {
    for (const name of written.layouts.keys()) {
      throwIfCancelled(context.signal);
      const expected = written.expected(await planned.get(name), planned.entry(name) as PlannedEntry);
      // A file that cannot be decoded is a mismatch, not the end of the check.
      const found = await reader.fingerprint(name).catch(() => undefined);
      if (found !== expected) mismatches.push(name);
    }
    for (const name of written.values) {
      throwIfCancelled(context.signal);
      if (!(await sameValues(request, reader, name))) mismatches.push(name);
    }
  } finally {
    await reader.close();
  }
  const tensors = written.layouts.size + written.values.length;
  return {
    name: 'bytes',
    passed: mismatches.length === 0,
    measured: mismatches.length,
    limit: 0,
    unit: 'mismatches',
    note:
      mismatches.length === 0
        ? `${tensors} tensors read back as planned.`
        : `${tensors} tensors read back; different: ${mismatches.slice(0, 3).join(', ')}${mismatches.length > 3 ? ', ...' : ''}.`,
  };
}

async function sameValues({ source, planned, written }: VerificationRequest, reader: OutputReader, name: string): Promise<boolean> {
  const expected = valueTensor(source, planned, name, written.roundedToSource === true);
  if (reader.bytesOf(name) !== expected.bytes) return false;
  let offset = 0;
  for await (const bytes of expected.chunks())
    for (let start = 0; start < bytes.length; start += copyChunk) {
      const part = bytes.subarray(start, start + copyChunk);
      const found = await reader.read(name, { offset, length: part.length });
      if (digestOfBytes(found) !== digestOfBytes(part)) return false;
      offset += part.length;
    }
  return offset === expected.bytes;
}
