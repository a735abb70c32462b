import { createHash } from 'node:crypto';

/** Where subjects are kept between windows; the editor's workspace state fits. */
export interface SubjectStorage {
  get(): Readonly<Record<string, string>>;
  set(subjects: Readonly<Record<string, string>>): void;
}

/** Subjects kept; the oldest are forgotten, and a page about one starts anew. */
const mostSubjects = 200;

/**
 * What pages are about (paths of models, recipes and reports), under keys that say nothing. A page keeps only its key, so it cannot name a file:
 * a key that was not given out means nothing.
 */
export class PageSubjects {
  private readonly subjects: Map<string, string>;

  constructor(private readonly storage: SubjectStorage) {
    this.subjects = new Map(Object.entries(storage.get()));
  }

  /** The key of a subject, the same every time. */
  keyOf(subject: string): string {
    const key = createHash('sha256').update(subject).digest('hex').slice(0, 32);
    if (this.subjects.get(key) !== subject) {
      this.subjects.set(key, subject);
      for (const oldest of [...this.subjects.keys()].slice(0, Math.max(0, this.subjects.size - mostSubjects))) this.subjects.delete(oldest);
      this.storage.set(Object.fromEntries(this.subjects));
    }
    return key;
  }

  /** The subject of a key, which may be anything that a page says. */
  subjectOf(key: unknown): string | undefined {
    return typeof key === 'string' ? this.subjects.get(key) : undefined;
  }
}
