/** What one test inside the extension host came to. */
export interface HostTestResult {
  readonly name: string;
  /** Absent where it passed. */
  readonly problem?: string;
}
