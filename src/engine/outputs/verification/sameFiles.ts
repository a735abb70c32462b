import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

/** True if two files have the same bytes. */
export async function sameFiles(first: string, second: string): Promise<boolean> {
  const sizes = await Promise.all([first, second].map(async (path) => (await stat(path)).size));
  if (sizes[0] !== sizes[1]) return false;
  const options = { highWaterMark: 2 ** 20 };
  const others = createReadStream(second, options)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let left = Buffer.alloc(0);
  for await (const part of createReadStream(first, options) as AsyncIterable<Buffer>) {
    while (left.length < part.length) {
      const { done, value } = await others.next();
      if (done) return false;
      left = Buffer.concat([left, value]);
    }
    if (!part.equals(left.subarray(0, part.length))) return false;
    left = left.subarray(part.length);
  }
  return true;
}
