import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

const block = 512;
const padding = (size) => Buffer.alloc((block - (size % block)) % block);

/** Header of a file in POSIX ustar format, without owner and time, so that the same files always give the same bytes. */
function header(name, size, mode) {
  const bytes = Buffer.alloc(block);
  if (Buffer.byteLength(name) > 100) {
    throw new Error(`tar: the name ${name} is longer than 100 bytes.`);
  }
  bytes.write(name, 0);
  bytes.write(`${mode.toString(8).padStart(7, '0')}\0`, 100);
  bytes.write('0000000\0', 108);
  bytes.write('0000000\0', 116);
  bytes.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  bytes.write('00000000000\0', 136);
  bytes.write('        ', 148);
  bytes.write('0', 156);
  bytes.write('ustar\0' + '00', 257);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
}

async function* tar(files) {
  for (const { name, path, mode = 0o644 } of files) {
    const { size } = await stat(path);
    yield header(name, size, mode);
    yield* createReadStream(path, { highWaterMark: 1 << 20 });
    yield padding(size);
  }
  yield Buffer.alloc(2 * block);
}

/** Writes a stream into files of at most `limit` bytes, `NAME.1`, `NAME.2`, ... in a folder. */
class Splitter extends Writable {
  constructor(folder, name, limit) {
    super({ highWaterMark: 1 << 20 });
    Object.assign(this, { folder, base: name, limit, parts: [] });
  }

  _write(chunk, _encoding, done) {
    this.take(chunk).then(() => done(), done);
  }

  _final(done) {
    this.close().then(() => done(), done);
  }

  async take(chunk) {
    for (let rest = chunk; rest.length > 0;) {
      if (this.part === undefined || this.part.bytes === this.limit) {
        await this.close();
        const name = `${this.base}.${this.parts.length + 1}`;
        this.part = { name, bytes: 0, hash: createHash('sha256'), stream: createWriteStream(join(this.folder, name)) };
      }
      const piece = rest.subarray(0, this.limit - this.part.bytes);
      this.part.bytes += piece.length;
      this.part.hash.update(piece);
      if (!this.part.stream.write(piece)) {
        await once(this.part.stream, 'drain');
      }
      rest = rest.subarray(piece.length);
    }
  }

  async close() {
    if (this.part === undefined) {
      return;
    }
    const { name, bytes, hash, stream } = this.part;
    stream.end();
    await once(stream, 'close');
    this.parts.push({ name, bytes, sha256: hash.digest('hex') });
    this.part = undefined;
  }
}

/**
 * Writes files ({name, path, mode}) as one gzip-compressed tar, cut into parts of at most `limit` bytes. Files in front give the same parts as long as they
 * are the same, whatever follows. Gives name, size and SHA-256 of each part.
 */
export async function writeArchive(files, { folder, name, limit, level }) {
  const splitter = new Splitter(folder, name, limit);
  await pipeline(Readable.from(tar(files)), createGzip({ level }), splitter);
  return splitter.parts;
}
