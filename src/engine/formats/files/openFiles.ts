import { RandomAccessFile } from './randomAccessFile';

/**
 * The open files of one container: each is opened on first read and kept until `close`. At most `limit` stay open (the least recently used
 * is closed first), so that a model with hundreds of shards does not exhaust the process's handles.
 */
export class OpenFiles {
  private readonly files = new Map<string, Promise<RandomAccessFile>>();
  private readonly readers = new Map<string, number>();
  private closed = false;

  constructor(private readonly limit = 64) {}

  /** Reads a range of a file; see RandomAccessFile.read. */
  read(path: string, offset: number, length: number): Promise<Uint8Array> {
    return this.using(path, (file) => file.read(offset, length));
  }

  /** Fills `target` from a position of a file; see RandomAccessFile.readInto. */
  readInto(path: string, offset: number, target: Uint8Array): Promise<void> {
    return this.using(path, (file) => file.readInto(target, offset));
  }

  async close(): Promise<void> {
    this.closed = true;
    const open = [...this.files.values()];
    this.files.clear();
    await Promise.all(
      open.map((file) =>
        file.then(
          (opened) => opened.close(),
          () => undefined,
        ),
      ),
    );
  }

  private async using<T>(path: string, action: (file: RandomAccessFile) => Promise<T>): Promise<T> {
    if (this.closed) throw new Error(`${path} was read after its model was closed`);
    const opening = this.files.get(path) ?? RandomAccessFile.open(path);
    // Deleting first moves the entry to the end: the order of the map is the order of use.
    this.files.delete(path);
    this.files.set(path, opening);
    this.readers.set(path, (this.readers.get(path) ?? 0) + 1);
    try {
      return await action(await opening);
    } catch (error) {
      if (
        await opening.then(
          () => false,
          () => true,
        )
      )
        this.files.delete(path);
      throw error;
    } finally {
      this.readers.set(path, (this.readers.get(path) ?? 1) - 1);
      await this.evict();
    }
  }

  private async evict(): Promise<void> {
    for (const [path, opening] of this.files) {
      if (this.files.size <= this.limit) return;
      if ((this.readers.get(path) ?? 0) > 0) continue;
      this.files.delete(path);
      this.readers.delete(path);
      await opening.then(
        (file) => file.close(),
        () => undefined,
      );
    }
  }
}
