import type { Diagnostic } from '../../../../protocol/model';
import type { WireField, WireReader } from './wireReader';

/** A file with more tensors than this is not a usable model; the list ends here. */
const mostTensors = 1_000_000;
const mostDiagnostics = 200;

/** Collects the problems of a scan, up to a maximum number. */
export class ScanReport {
  private readonly list: Diagnostic[] = [];
  private dropped = 0;
  private full = false;

  constructor(private readonly path: string) {}

  get diagnostics(): readonly Diagnostic[] {
    if (this.dropped === 0) return this.list;
    return [
      ...this.list,
      { severity: 'info', code: 'more-problems', message: `${this.dropped} more problems are not listed.`, file: this.path },
    ];
  }

  add(code: string, severity: Diagnostic['severity'], message: string, offset: number, subject?: string): void {
    if (this.list.length >= mostDiagnostics) {
      this.dropped += 1;
      return;
    }
    this.list.push({ severity, code, message, file: this.path, offset, ...(subject === undefined ? {} : { subject }) });
  }

  /** True once the list of tensors may not grow; reports it the first time. */
  isFull(count: number, offset: number): boolean {
    if (count < mostTensors) return false;
    if (!this.full) {
      this.full = true;
      this.add('too-many-tensors', 'error', `The file has more than ${mostTensors} tensors; the rest are not listed.`, offset);
    }
    return true;
  }

  /** A string of the file; invalid UTF-8 and excessive length are reported. */
  text(reader: WireReader, field: WireField, what: string): string {
    const { value, valid, whole } = reader.text(field);
    if (!valid) this.add('invalid-utf8', 'warning', `A ${what} is not valid UTF-8.`, field.start, value);
    if (!whole) this.add('long-text', 'warning', `A ${what} of ${field.end - field.start} bytes is truncated for display.`, field.start);
    return value;
  }
}
